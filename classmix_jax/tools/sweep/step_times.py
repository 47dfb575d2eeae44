"""Times a step of methods that have not run in any cell of a table.

Synopsis:

    speeds = step_times(cells, command, cores=set())      # method -> seconds
"""

from collections.abc import Callable, Sequence
import json
from pathlib import Path
import subprocess
import tempfile

from classmix_jax.errors import UserError
from classmix_jax.tools.sweep.grid import Cell
from classmix_jax.tools.sweep.scheduler import start_process

# (cell, file) -> ['python', ...]: a program that writes {"ms": ...} to the file.
TimingCommand = Callable[[Cell, Path], Sequence[str]]


def step_time(cell: Cell, command: TimingCommand, cores: set[int]) -> float:
  """Returns the seconds of one step.

  Raises:
    UserError: the program failed; the message has the last line that it printed.
  """
  with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / 'step.json'
    process = start_process(command(cell, path), cores, stdout=subprocess.PIPE, text=True)
    lines = process.communicate()[0].strip().splitlines() or ['it printed nothing']
    if process.returncode:
      raise UserError(f'a step of {cell.method} cannot be timed: {lines[-1]}')
    return json.loads(path.read_text(encoding='utf-8'))['ms'] / 1000


def step_times(cells: Sequence[Cell], command: TimingCommand, cores: set[int]) -> dict[str, float]:
  """Returns method -> seconds per step, measured in the first cell of each method.

  Args:
    cells: of methods that have not run.
    command: returns the command line for a cell and the file of the result.
    cores: the cores that the program may use; empty for all.
  """
  first: dict[str, Cell] = {}
  for cell in cells:
    first.setdefault(cell.method, cell)
  speeds = {}
  for done, (method, cell) in enumerate(first.items(), 1):
    speeds[method] = step_time(cell, command, cores)
    print(f'timed {done}/{len(first)}  {method}: {1000 * speeds[method]:.0f} ms a step', flush=True)
  return speeds
