"""Parses flags and reports errors of the user, for all command-line programs."""

from collections.abc import Mapping, Sequence
import difflib
import os
from pathlib import Path
import sys
from types import ModuleType

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


def fail(sentence: str) -> None:
  """Ends the program with status 2 and one sentence on the standard error."""
  print(f'error: {sentence}', file=sys.stderr, flush=True)
  sys.exit(2)


def find_config(value: str) -> str:
  """Returns the value of --config with the path of a config that is given by name.

  `scenes`, and `configs/scenes.py` if there is no such file in the working directory, are
  the config of the checkout or of the installed package.

  Example: `find_config('camvid:labeled=46')` is `'PACKAGE/configs/camvid.py:labeled=46'`.
  """
  name, colon, arguments = value.partition(':')
  given = Path(name)
  if given.exists() or given.parent not in (Path(), Path('configs')):
    return value
  package = Path(__file__).resolve().parents[1]
  for folder in (package.parent / 'configs', package / 'configs'):
    path = folder / f'{given.stem}.py'
    if path.exists():
      return f'{path}{colon}{arguments}'
  return value


def with_found_config(arguments: Sequence[str]) -> list[str]:
  """Returns the arguments with the path of the config, see `find_config`."""
  flag = '--config='
  return [
    flag + find_config(argument.removeprefix(flag)) if argument.startswith(flag) else argument
    for argument in arguments
  ]


def check_overrides(arguments: Sequence[str], config: Mapping) -> None:
  """Raises UserError if the config does not have the field of a `--config.FIELD`."""
  from classmix_jax.utils.nested import flatten

  known = flatten(config)
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
    raise flags.Error(f'the argument {rest[1]!r} is not understood; options start with --.')


def parse_flags(program: ModuleType) -> None:
  """Parses sys.argv; a wrong flag or config field ends the program with one sentence."""
  if '--help' in sys.argv[1:]:
    print(program.__doc__, flags.FLAGS.module_help(program), sep='\n')
    sys.exit(0)
  # ml_collections looks for overrides in sys.argv itself.
  sys.argv = with_found_config(sys.argv)
  try:
    parse_config(sys.argv)
  except UserError as error:
    fail(str(error))
  except OSError:
    given = [argument for argument in sys.argv if argument.startswith('--config')]
    fail(f'the file of {" ".join(given)} cannot be read; those of the package are in configs/.')
  except (flags.Error, ValueError, TypeError) as error:
    fail(' '.join(str(error).split()))


def required(config: Mapping | None) -> Mapping:
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


def run(program: ModuleType) -> None:
  """Parses the flags of a program and calls its `main()`.

  A `UserError` ends it with one sentence and status 2, any other error with its traceback.
  """
  keep_freed_memory()
  parse_flags(program)
  try:
    program.main()
  except UserError as error:
    fail(str(error))
  except KeyboardInterrupt:
    print('interrupted; the same command goes on from the last checkpoint.', file=sys.stderr)
    sys.exit(130)
