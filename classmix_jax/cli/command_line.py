"""Parses flags and reports errors of the user, for all command-line programs."""

from collections.abc import Mapping, Sequence
import difflib
import io
import os
from pathlib import Path
import re
import sys
from types import ModuleType

from classmix_jax.config.lookup import Config
from classmix_jax.errors import UserError
from classmix_jax.utils.paths import cache_root

# TensorFlow only reads data here. Without these it prints a notice about oneDNN at every start.
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
# Compiled programs are reused; JAX identifies them by version, devices and options.
os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', str(cache_root() / 'compiled'))

from absl import flags  # noqa: E402

from classmix_jax.cli.allocator import keep_freed_memory  # noqa: E402
from classmix_jax.config.flags import OVERRIDE, load_without_overrides  # noqa: E402

OVERRIDE_FLAG = re.compile(rf'--?{re.escape(OVERRIDE[2:])}')  # absl takes one dash as well


def fail(sentence: str) -> None:
  """Ends the program with status 2 and one sentence on the standard error."""
  print(f'error: {sentence}', file=sys.stderr, flush=True)
  sys.exit(2)


def config_directory() -> Path:
  """Returns the directory of the configs: of the installed package, or of the checkout."""
  package = Path(__file__).resolve().parents[1]
  installed = package / 'configs'
  return installed if installed.is_dir() else package.parent / 'configs'


def config_names() -> list[str]:
  """Returns the names of the configs that come with this package, for example 'scenes'."""
  return sorted(path.stem for path in config_directory().glob('[!_]*.py'))


def find_config(value: str) -> str:
  """Returns the value of --config with the path of a config that is given by name.

  `scenes`, and `configs/scenes.py` if there is no such file in the working directory, are
  configs of this package.

  Example: `find_config('camvid:labeled=46')` is `'DIRECTORY/camvid.py:labeled=46'`.
  """
  name, colon, arguments = value.partition(':')
  given = Path(name)
  if given.is_file() or given.parent not in (Path(), Path('configs')):
    return value
  path = config_directory() / f'{given.stem}.py'
  return f'{path}{colon}{arguments}' if path.exists() else value


def find_configs(arguments: Sequence[str]) -> list[str]:
  """Returns the arguments with the path of the config, see `find_config`.

  Example: `find_configs(['--config', 'scenes'])` is `['--config=DIRECTORY/scenes.py']`.
  """
  result, remaining = [], list(arguments)
  while remaining:
    argument = remaining.pop(0)
    if argument == '--config' and remaining:
      argument = f'--config={remaining.pop(0)}'
    flag, equals, value = argument.partition('=')
    result.append(f'--config={find_config(value)}' if flag + equals == '--config=' else argument)
  return result


def keep_last_overrides(arguments: Sequence[str]) -> list[str]:
  """Returns the arguments with the last value of every `--config.FIELD` only.

  ml_collections (1.1.0) would join the tuples of repeated flags: `(32, 32, 24, 24)`.

  Example:
    >>> keep_last_overrides(['--config.seed=1', '--config.steps=3', '--config.seed', '2'])
    ['--config.steps=3', '--config.seed=2']
  """
  result: dict[str, str] = {}
  remaining = list(arguments)
  while remaining:
    argument = remaining.pop(0)
    flag, equals, value = argument.partition('=')
    if not OVERRIDE_FLAG.match(flag):
      result[f'argument {len(remaining)}'] = argument
      continue
    if not equals and remaining and not remaining[0].startswith('--'):
      value, equals = remaining.pop(0), '='
    result.pop(flag.lstrip('-'), None)  # the last one keeps its place
    result[flag.lstrip('-')] = f'{flag}{equals}{value}'
  return list(result.values())


def check_overrides(arguments: Sequence[str], config: Mapping) -> None:
  """Raises UserError if the config does not have the field of a `--config.FIELD`."""
  from flax.traverse_util import flatten_dict

  known = flatten_dict(config, sep='.')
  for argument in arguments:
    field = argument.removeprefix(OVERRIDE).partition('=')[0]
    if argument.startswith(OVERRIDE) and field not in known:
      prefix = field.rpartition('.')[0]
      siblings = [name for name in known if name.rpartition('.')[0] == prefix] or list(known)
      near = difflib.get_close_matches(field, known, n=1)
      hint = f'Did you mean config.{near[0]}? ' if near else ''
      raise UserError(
        f'config.{field} does not exist. {hint}There are '
        f'{", ".join(f"config.{name}" for name in siblings)}.'
      )


def parse_config(arguments: Sequence[str]) -> None:
  """Checks that the overridden fields exist, then parses all flags."""
  if 'config' in flags.FLAGS:
    config = load_without_overrides(arguments)
    if config is not None:
      check_overrides(arguments, config)
  rest = flags.FLAGS(list(arguments))
  if len(rest) > 1:
    hint = "; put a pattern in quotes, as in '*.jpg'" if os.path.exists(rest[1]) else ''
    raise flags.Error(f'the argument {rest[1]!r} is not understood; options start with --{hint}.')


def parse_flags(program: ModuleType) -> None:
  """Parses sys.argv; a wrong flag or config field ends the program with one sentence."""
  if '--help' in sys.argv[1:]:
    print(program.__doc__, flags.FLAGS.module_help(program), sep='\n')
    sys.exit(0)
  # ml_collections looks for overrides in sys.argv itself.
  sys.argv = keep_last_overrides(find_configs(sys.argv))
  try:
    parse_config(sys.argv)
  except UserError as error:
    fail(str(error))
  except OSError:
    given = [argument for argument in sys.argv if argument.startswith('--config')]
    fail(
      f'the file of {" ".join(given)} cannot be read; give a path, or the name of a file of '
      f'configs/: {", ".join(config_names())}.'
    )
  except (flags.Error, ValueError, TypeError) as error:
    fail(' '.join(str(error).split()))


def required(config: Config | None) -> Config:
  """Returns the config; raises UserError if the flag is missing."""
  if config is None:
    raise UserError('--config is missing; for example --config=configs/scenes.py.')
  return config


def existing_run(workdir: str) -> Path:
  """Returns the directory of a run; raises UserError if it is missing."""
  if not workdir:
    raise UserError('--workdir is missing; give the directory of a training run.')
  path = Path(workdir).expanduser().absolute()
  if not path.is_dir():
    raise UserError(f'--workdir={workdir} is not a directory; give that of a training run.')
  return path


def print_any_name() -> None:
  """Escapes characters of file names that the terminal's encoding lacks, instead of failing."""
  if isinstance(sys.stdout, io.TextIOWrapper):
    sys.stdout.reconfigure(errors='backslashreplace')


def run(program: ModuleType) -> None:
  """Parses the flags of a program and calls its `main()`.

  A `UserError` ends it with one sentence and status 2, any other error with its traceback.
  """
  keep_freed_memory()
  print_any_name()
  parse_flags(program)
  try:
    program.main()
  except UserError as error:
    fail(str(error))
  except KeyboardInterrupt as interrupt:
    state = str(interrupt) or 'the same command starts again, a training run from a checkpoint.'
    print(f'interrupted; {state}', file=sys.stderr)
    sys.exit(130)
