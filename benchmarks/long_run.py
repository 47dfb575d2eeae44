"""Samples memory, open files and speed of a long training run, and its end after SIGTERM.

    python benchmarks/long_run.py --minutes=60 --workdir=RUN --output=FILE.json \
        --config=configs/scenes.py --config.eval_every=500 --config.checkpoint_every=500

Starts launch/main.py with the remaining arguments and more steps than fit, samples it once a
minute (from /proc, so on Linux), ends it with SIGTERM, and starts it again, to compare the step
time before and after a resume. The speed is that of the rows of metrics.jsonl, which exclude
evaluations.
"""

import argparse
import json
import os
from pathlib import Path
import signal
import statistics
import subprocess
import sys
import time

from provenance import provenance

MAIN = Path(__file__).resolve().parent.parent / 'launch' / 'main.py'
NEAR = 40  # rows on each side of a resume: the load of the machine changes within minutes


def look(process: int) -> dict[str, float]:
  """Returns resident memory in MiB, open files and threads of a process."""
  status = Path(f'/proc/{process}/status').read_text()

  def field(name):
    return int(status.split(f'{name}:')[1].split()[0])

  return {
    'memory_mib': field('VmRSS') / 1024,
    'threads': field('Threads'),
    'open_files': len(os.listdir(f'/proc/{process}/fd')),
  }


def rows(run: Path) -> list[dict]:
  path = run / 'metrics.jsonl'
  return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def watch(command: list[str], run: Path, minutes: float) -> tuple[list[dict], float]:
  """Trains for some minutes; returns the samples, and the seconds until the process ended."""
  process = subprocess.Popen(command, stdout=sys.stderr)
  begin, seen = time.monotonic(), []
  while (spent := time.monotonic() - begin) < 60 * minutes and process.poll() is None:
    done = rows(run)
    seen.append(
      {
        'minute': spent / 60,
        **look(process.pid),
        'rows': len(done),
        'evaluations': sum('eval/miou' in row for row in done),
      }
    )
    time.sleep(min(60.0, 60 * minutes - spent))
  end = time.monotonic()
  process.send_signal(signal.SIGTERM)
  if process.wait(timeout=120):
    raise SystemExit(f'the training ended with status {process.returncode}')
  return seen, time.monotonic() - end


def milliseconds(some: list[dict]) -> float:
  """Returns the median step time of rows."""
  return 1000 * statistics.median(1 / row['steps_per_second'] for row in some)


def speed_around_resume(before: list[dict], after: list[dict]) -> dict[str, float]:
  """Compares the rows next to a resume, without the first after it, which may compile."""
  near = min(NEAR, len(after) - 1)
  return {
    'step_ms_before_resume': round(milliseconds(before[-near:]), 2),
    'step_ms_after_resume': round(milliseconds(after[1 : near + 1]), 2),
  }


def summary(seen: list[dict], before: list[dict], after: list[dict]) -> dict:
  """Compares the last third with the first, without the first row, in which programs compile."""
  third = max(2, len(seen) // 3)

  def mean(some, key):
    return statistics.mean(look[key] for look in some)

  compared = {
    f'{key}_{name}': round(mean(some, key), 1)
    for key in ('memory_mib', 'open_files', 'threads')
    for name, some in (('first_third', seen[1:third]), ('last_third', seen[-third:]))
  }
  before, third = before[1:], len(before) // 3
  return {
    **compared,
    'step_ms_first_third': round(milliseconds(before[:third]), 2),
    'step_ms_last_third': round(milliseconds(before[-third:]), 2),
    **speed_around_resume(before, after),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--minutes', type=float, default=60.0)
  parser.add_argument('--resumed_minutes', type=float, default=5.0)
  parser.add_argument('--workdir', type=Path, required=True)
  parser.add_argument('--output', type=Path, required=True)
  options, rest = parser.parse_known_args()
  command = [
    sys.executable,
    str(MAIN),
    *rest,
    f'--workdir={options.workdir}',
    '--config.steps=1000000',
    '--config.log_every=50',
  ]
  seen, ended_in = watch(command, options.workdir, options.minutes)
  before = rows(options.workdir)
  _, again = watch(command, options.workdir, options.resumed_minutes)
  steps = [row['step'] for row in rows(options.workdir)]
  assert steps == sorted(set(steps)), 'a row is there twice'
  result = {
    'arguments': rest,
    'minutes': round(seen[-1]['minute'], 1),
    'steps': before[-1]['step'],
    'evaluations': seen[-1]['evaluations'],
    'seconds_to_end': [round(ended_in, 2), round(again, 2)],
    **summary(seen, before, rows(options.workdir)[len(before) :]),
    'seen': seen,
    **provenance('jax', 'jaxlib', 'orbax-checkpoint'),
  }
  options.output.write_text(json.dumps(result, indent=1) + '\n')
  print(json.dumps({key: value for key, value in result.items() if key != 'seen'}, indent=1))


if __name__ == '__main__':
  main()
