"""Runs launch/main.py to its end and writes score, classes and speed.

    python benchmarks/training.py --workdir=RUN --output=FILE.json --config=configs/camvid.py ...

Unknown arguments go to launch/main.py.
"""

import argparse
import json
from pathlib import Path
import statistics
import subprocess
import sys
import time

import json_file
from long_run import MAIN
from long_run import rows as read_rows
from provenance import provenance


def result(run: Path) -> dict:
  """Returns the last evaluation of a run, and its median speed."""
  rows = read_rows(run)
  path = run / 'eval' / f'{rows[-1]["step"]}.json'
  score = json.loads(path.read_text(encoding='utf-8'))
  fields = (
    'step',
    'miou',
    'iou',
    'network',
    'protocol',
    'split',
    'labeled',
    'images',
    'devices',
  )
  return {
    **{key: score[key] for key in fields},
    'networks': {name: actual['miou'] for name, actual in score['networks'].items()},
    'steps_per_second': statistics.median(row['steps_per_second'] for row in rows),
  }


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', type=Path, required=True)
  parser.add_argument('--output', default='')
  options, arguments = parser.parse_known_args()
  begin = time.monotonic()
  subprocess.run(
    [sys.executable, str(MAIN), f'--workdir={options.workdir}', *arguments], check=True
  )
  actual = {
    **provenance('jax', 'jaxlib'),
    'arguments': arguments,
    'wall_s': time.monotonic() - begin,
    **result(options.workdir),
  }
  json_file.write(options.output, actual)
  print(
    f'{actual["network"]}: {100 * actual["miou"]:.2f} mIoU after {actual["step"]} steps, '
    f'{actual["wall_s"]:.0f} s'
  )


if __name__ == '__main__':
  main()
