"""What the programs share: flags, and one sentence instead of a traceback."""

from collections.abc import Callable
import os
from pathlib import Path
import sys

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')  # TensorFlow only reads data here

from absl import flags  # noqa: E402


def fail(sentence: str) -> None:
  """Ends the program with status 2 and one sentence on the standard error."""
  print(f'error: {sentence}', file=sys.stderr, flush=True)
  sys.exit(2)


def parse_flags() -> None:
  """Parses sys.argv; mistakes in flags and config fields end with one sentence."""
  from classmix_jax.types import UserError
  try:
    rest = flags.FLAGS(sys.argv)
  except UserError as error:
    fail(str(error))
  except FileNotFoundError as error:
    fail(f'the config file {error.filename} does not exist; the ones shipped stand in configs/.')
  except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
    fail(' '.join(str(error).split()))
  if len(rest) > 1:
    fail(f'the argument {rest[1]!r} is not understood; options start with --.')


def existing_run(workdir: str) -> Path:
  """Returns the folder of a run; UserError where the flag is missing or no folder."""
  from classmix_jax.types import UserError
  if not workdir:
    raise UserError('--workdir is missing; it is the folder of a training run.')
  path = Path(workdir).expanduser().absolute()
  if not path.is_dir():
    raise UserError(f'--workdir={workdir} is not a folder; it is the folder of a training run.')
  return path


def run(main: Callable[[], None]) -> None:
  """Runs a program: parses flags, then `main()`.

  The user's mistakes (`UserError`) end with one sentence and status 2, anything
  else with its traceback. After Ctrl-C the same command goes on.
  """
  from classmix_jax.types import UserError
  parse_flags()
  try:
    main()
  except UserError as error:
    fail(str(error))
  except KeyboardInterrupt:
    print('interrupted; the same command goes on from the last checkpoint.', file=sys.stderr)
    sys.exit(130)
