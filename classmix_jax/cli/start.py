"""Starts one of the programs: `classmix-jax train`, or `python launch/main.py`."""

import importlib
import sys

from classmix_jax.training.preemption import Stop

PROGRAMS = (
  'train',
  'evaluate',
  'predict',
  'export',
  'report',
  'table',
  'check-data',
  'convert-weights',
  'convert-labels',
)
STOP = Stop()  # of a training


def start(program: str) -> None:
  """Runs a program of this room with the flags of `sys.argv`."""
  if program == 'train':
    STOP.listen()  # before the imports, which take seconds
  from classmix_jax.cli import command_line

  command_line.run(importlib.import_module(f'classmix_jax.cli.{program.replace("-", "_")}'))


def main() -> None:
  """Runs the program that the first argument names."""
  if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
    print(
      'usage: classmix-jax PROGRAM [--flag=value ...]\n'
      f'PROGRAM is one of {", ".join(PROGRAMS)}; '
      'classmix-jax PROGRAM --help lists its flags.',
      file=sys.stderr,
    )
    sys.exit(0 if sys.argv[1:] == ['--help'] else 2)
  start(sys.argv.pop(1))
