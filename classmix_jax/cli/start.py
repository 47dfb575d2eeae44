"""Starts one of the programs: `classmix-jax train`, or `python launch/main.py`."""

import ast
import importlib
from pathlib import Path
import sys

from classmix_jax.training.preemption import Stop

PROGRAMS = (
  'train',
  'evaluate',
  'predict',
  'serve',
  'export',
  'report',
  'table',
  'time-steps',
  'check-data',
  'convert-weights',
  'convert-labels',
)
USAGE = """usage: classmix-jax PROGRAM [--flag=value ...]

{programs}

classmix-jax PROGRAM --help lists the flags of a program.
classmix-jax --version prints the versions that a bug report needs."""
STOP = Stop()  # of a training


def module_name(program: str) -> str:
  """Returns the module of a program in this room."""
  return program.replace('-', '_')


def summary(program: str) -> str:
  """Returns the first line of a program's docstring.

  The module is parsed and not imported: flags of two programs share names.
  """
  path = Path(__file__).with_name(f'{module_name(program)}.py')
  docstring = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
  return docstring.partition('\n')[0]


def usage() -> str:
  """Returns what `classmix-jax --help` prints."""
  width = max(map(len, PROGRAMS))
  lines = [f'  {program:{width}}  {summary(program)}' for program in PROGRAMS]
  return USAGE.format(programs='\n'.join(lines))


def start(program: str) -> None:
  """Runs a program of this room with the flags of `sys.argv`."""
  if program == 'train':
    STOP.listen()  # before the imports, which take seconds
  from classmix_jax.cli import command_line

  command_line.run(importlib.import_module(f'classmix_jax.cli.{module_name(program)}'))


def main() -> None:
  """Runs the program that the first argument names."""
  first = sys.argv[1] if len(sys.argv) > 1 else ''
  if first in PROGRAMS:
    start(sys.argv.pop(1))
  elif first == '--help':
    print(usage())
  elif first == '--version':
    from classmix_jax.cli.versions import describe_versions

    print(describe_versions())
  else:
    print(usage(), file=sys.stderr)
    sys.exit(2)
