"""Runs table cells in separate processes, so that a failure does not stop the others.

Synopsis:

    failed = run_cells(cells, command, jobs=2)     # command: cell -> ['python', ...]
"""

from collections.abc import Callable, Sequence
import concurrent.futures
import os
from pathlib import Path
import queue
import subprocess
import time
from typing import Any

from classmix_jax.tools.sweep.grid import Cell, read
from classmix_jax.utils.progress import format_duration

Command = Callable[[Cell], Sequence[str]]


def shares_of_cores(jobs: int) -> list[set[int]]:
  """Divides the cores of this process among concurrent trainings.

  The sets are empty if there are fewer cores than jobs, or the system cannot bind processes.

  Example:
    >>> sum(map(len, shares_of_cores(1))) <= os.cpu_count()
    True
  """
  cores = sorted(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else []
  if jobs == 1 or len(cores) < jobs:
    return [set()] * jobs
  return [set(cores[index::jobs]) for index in range(jobs)]


def start_process(command: Sequence[str], cores: set[int], **options: Any) -> subprocess.Popen:
  """Starts a process that imports this same package, on some of the cores.

  Args:
    command: program and arguments.
    cores: the cores that it may use; empty for all.
    **options: of `subprocess.Popen`.
  """
  package = str(Path(__file__).resolve().parents[3])
  path = os.pathsep.join(filter(None, [package, os.environ.get('PYTHONPATH')]))
  process = subprocess.Popen(
    command, env=os.environ | {'PYTHONPATH': path}, stderr=subprocess.STDOUT, **options
  )
  if cores:
    os.sched_setaffinity(process.pid, cores)
  return process


def run_cell(cell: Cell, command: Command, cores: set[int]) -> int:
  """Trains one cell, writes its output to RUN/log.txt, and returns its exit status."""
  cell.run.mkdir(parents=True, exist_ok=True)
  with open(cell.run / 'log.txt', 'a', encoding='utf-8') as log:
    process = start_process(command(cell), cores, stdout=log)
    try:
      return process.wait()
    except KeyboardInterrupt:
      process.wait()  # the terminal has interrupted it, too: it saves and exits
      raise


def last_line(cell: Cell) -> str:
  lines = (cell.run / 'log.txt').read_text(encoding='utf-8', errors='replace').splitlines()
  return next((line for line in reversed(lines) if line.strip()), 'it printed nothing')


def run_cells(cells: Sequence[Cell], command: Command, jobs: int = 1) -> dict[Cell, str]:
  """Runs all unfinished cells, `jobs` at a time.

  Args:
    cells: in the order of their start.
    command: returns the command line of a cell.
    jobs: number of concurrent trainings, which divide the cores.

  Returns:
    Failed cell -> the last line that it printed.
  """
  waiting = [cell for cell in cells if not read(cell).finished]
  shares: queue.SimpleQueue = queue.SimpleQueue()
  for cores in shares_of_cores(jobs):
    shares.put(cores)
  begin, failed = time.monotonic(), {}

  def work(cell: Cell) -> tuple[Cell, int]:
    cores = shares.get()
    try:
      return cell, run_cell(cell, command, cores)
    finally:
      shares.put(cores)

  with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
    futures = [pool.submit(work, cell) for cell in waiting]
    for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
      cell, status = future.result()
      result = read(cell)
      if result.finished and result.miou is not None:
        state = f'mIoU {100 * result.miou:.2f}'
      else:
        failed[cell] = last_line(cell)
        state = f'FAILED (status {status})'
      spent = time.monotonic() - begin
      eta = format_duration(spent / done * (len(waiting) - done))
      print(
        f'{done}/{len(waiting)}  {cell.method}, {cell.labeled} labelled, seed {cell.seed}: '
        f'{state}  ETA {eta}',
        flush=True,
      )
  return failed
