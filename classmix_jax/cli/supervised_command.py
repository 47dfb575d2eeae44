"""Writes the command of the supervised training that a training is compared with."""

from collections.abc import Sequence
from pathlib import Path
import shlex

from classmix_jax.methods import BASELINE


def join_values(arguments: Sequence[str]) -> list[str]:
  """Returns the arguments with each flag and its value as one word, `--flag=value`.

  Example:
    >>> join_values(['--config', 'scenes', '-workdir=RUN', '--verbose'])
    ['--config=scenes', '--workdir=RUN', '--verbose']
  """
  result: list[str] = []
  for argument in arguments:
    if argument.startswith('-'):
      result.append('--' + argument.lstrip('-'))
    elif result and result[-1].startswith('--') and '=' not in result[-1]:
      result[-1] += f'={argument}'
    else:
      result.append(argument)
  return result


def drop_interpreter_options(words: Sequence[str]) -> list[str]:
  """Returns the words from the program on.

  Example:
    >>> drop_interpreter_options(['-u', '-X', 'dev', 'launch/main.py', '--config=scenes'])
    ['launch/main.py', '--config=scenes']
  """
  words = list(words)
  while words[0].startswith('-') and words[0] != '-m':
    del words[: 2 if words[0] in ('-X', '-W') else 1]
  return words


def replace_method(argument: str) -> str:
  """Returns a flag as the supervised training has it.

  Example:
    >>> replace_method('--config=configs/folder.py:method=cutmix,labeled=20')
    '--config=configs/folder.py:method=supervised,labeled=20'
    >>> replace_method('--workdir=runs/first/')
    '--workdir=runs/first-supervised'
  """
  flag, _, value = argument.partition('=')
  if flag == '--workdir':
    return f'{flag}={value.rstrip("/")}-{BASELINE}'
  if flag != '--config':
    return argument
  path, _, text = value.partition(':')
  others = [part for part in text.split(',') if part and not part.startswith('method=')]
  return f'{flag}={path}:' + ','.join([f'method={BASELINE}', *others])


def supervised_command(words: Sequence[str]) -> str:
  """Returns the same command with the supervised method and a directory of its own.

  Args:
    words: of the command line of a training, behind the interpreter: `sys.orig_argv[1:]`. The
      program is a script, `-m` and a module, or an installed one.

  Example:
    >>> supervised_command(['launch/main.py', '--config=scenes', '--config.method.threshold=0.8'])
    'python launch/main.py --config=scenes:method=supervised'
  """
  words = drop_interpreter_options(words)
  count = next((i for i, word in enumerate(words) if i and word.startswith('-')), len(words))
  program, flags = list(words[:count]), join_values(words[count:])
  if program[0].endswith('.py') or program[0] == '-m':
    program.insert(0, 'python')
  else:
    program[0] = Path(program[0]).name
  kept = [flag for flag in flags if not flag.startswith('--config.method.')]
  return shlex.join([*program, *map(replace_method, kept)])
