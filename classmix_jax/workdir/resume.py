"""Opens a run directory: one training at a time, and only with the config that started it.

Synopsis:

    check_run(run, config.to_dict())
    with convert_disk_errors(run), lock_run(run):
      open_run(run, config.to_dict())
"""

from collections.abc import Iterator, Mapping
import contextlib
import errno
import json
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict
import jax

from classmix_jax.errors import UserError
from classmix_jax.utils.file_lock import LockedError, file_lock
from classmix_jax.utils.text import listed
from classmix_jax.workdir.checkpoint_lookup import list_steps
from classmix_jax.workdir.run_files import read_json, write_json

# Fields that may change when a run resumes: they do not affect the steps already trained. Classes
# and images are compared as they are, wherever they come from; see run_identity.py.
CHANGEABLE = (
  'steps',
  'eval_every',
  'checkpoint_every',
  'log_every',
  'deterministic',
  'eval_batch_size',
  'on_nan',
  'data.on_error',
  'data.root',
  'data.classes',
  'data.labeled',
  'data.split_seed',
  'data.images',
  'data.masks',
  'data.unlabeled_images',
  'data.val',
  'data.val_share',
  'data.val_seed',
  'data.cache_gb',
  'data.copy_root',
  'data.reader',
  'data.tfds_dir',
  'model.remat',
)

IDENTITY = ('config.json', 'classes.json', 'data.json')  # files of a run that has started

# Errors of the disk or its permissions, not of this program.
DISK_ERRORS = (
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EROFS,
  errno.EACCES,
  errno.EPERM,
  errno.EIO,
  errno.ESTALE,
)


def check_complete(run: Path) -> None:
  """Raises UserError if a run has checkpoints, but not all of the files that identify it.

  Checkpoints alone could be those of other classes, images or settings.
  """
  missing = [name for name in IDENTITY if not (run / name).exists()]
  if missing and list_steps(run / 'checkpoints'):
    raise UserError(
      f'{run} has checkpoints, but not {listed(missing, 3)}: restore '
      f'{"it" if len(missing) == 1 else "them"}, or give another --workdir.'
    )


def check_run(run: Path, config: Mapping[str, Any]) -> None:
  """Checks that a run may start or resume with a config; writes nothing.

  Args:
    run: the run directory, which may not exist.
    config: the config as nested plain dicts.

  Raises:
    UserError: the directory holds a run with another config, or a run that lacks a file which
      identifies it.
  """
  check_complete(run)
  path = run / 'config.json'
  if path.exists():
    # As in the file, where tuples are lists.
    check_same_run(read_json(path), json.loads(json.dumps(config)), run)


def open_run(run: Path, config: Mapping[str, Any]) -> None:
  """Creates the run directory and config.json, or checks that the run may resume.

  Args:
    run: the run directory.
    config: the config as nested plain dicts.

  Raises:
    UserError: the directory cannot be written, or holds a run with another config.
  """
  try:
    run.mkdir(parents=True, exist_ok=True)
    check_run(run, config)
    write_json(run / 'config.json', config)
  except OSError as error:
    raise UserError(
      f'{run} cannot be written ({error.strerror}); give another --workdir.'
    ) from None


def describe_ways_on(run: Path, *, other: str = '', weights: bool = True, gain: str = '') -> str:
  """Returns what to do if a run cannot resume, as the end of a sentence.

  Args:
    run: the run directory.
    other: what lets the run resume, if there is something.
    weights: whether another run can start from its weights.
    gain: what such a run keeps.

  Example:
    >>> describe_ways_on(Path('nothing'), other='use config A')
    'use config A, or give another --workdir, or remove nothing, which has no checkpoint.'
  """
  ways = [other] if other else []
  if not any((run / 'checkpoints').glob('[0-9]*')):
    ways += ['give another --workdir', f'remove {run}, which has no checkpoint']
  elif weights:
    ways.append(
      f'give another --workdir, where --config.model.pretrained={run} starts from these weights'
      + gain
    )
  else:
    ways.append('give another --workdir')
  return ', or '.join(ways) + '.'


def check_same_run(old: Mapping[str, Any], new: Mapping[str, Any], run: Path) -> None:
  """Checks that two configs differ only in fields that may change between starts.

  Args:
    old: the config of the run, nested.
    new: the config of this start, nested.
    run: the run directory, for the message.

  Raises:
    UserError: other fields differ; the message has the first three.
  """
  before, after = flatten_dict(old, sep='.'), flatten_dict(new, sep='.')
  # Fields of `paper` are the published values, which the fingerprint compares with.
  differences = [
    key
    for key in sorted(before.keys() | after.keys())
    if before.get(key) != after.get(key) and key not in CHANGEABLE and not key.startswith('paper.')
  ]
  if differences:
    shown = '; '.join(describe_field(key, before, after) for key in differences[:3])
    more = f' and {len(differences) - 3} more fields' if len(differences) > 3 else ''
    raise UserError(
      f'{run} holds a run with another config: {shown}{more}: '
      + describe_ways_on(
        run,
        other='use the config that started it',
        weights=not any(key.startswith('model.') for key in differences),
      )
    )


def describe_field(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
  """Returns for example 'config.seed was 0 and is now 1'.

  Example:
    >>> describe_field('data.crop', {'data.crop': [24, 32]}, {})
    'config.data.crop was (24, 32) and no longer exists'
  """
  if name not in before:
    return f'config.{name} did not exist and is now {format_value(after[name])}'
  was = f'config.{name} was {format_value(before[name])}'
  if name not in after:
    return f'{was} and no longer exists'
  return f'{was} and is now {format_value(after[name])}'


def format_value(value: Any) -> str:
  """Returns a value of config.json as flags accept it: lists as tuples."""
  return repr(tuple(value) if isinstance(value, list) else value)


@contextlib.contextmanager
def lock_run(run: Path) -> Iterator[None]:
  """Creates and locks the run directory, so that a second training cannot start in it.

  Process 0 holds the lock for all processes. The kernel releases it when the process ends, even if
  it is killed. Temporary files of a killed process are removed.

  Raises:
    UserError: another training holds the lock, or the directory cannot be written.
  """
  if jax.process_index() > 0:
    yield
    return
  with contextlib.ExitStack() as stack:
    try:
      run.mkdir(parents=True, exist_ok=True)
      stack.enter_context(file_lock(run / 'lock', wait=False))
    except LockedError as error:
      raise UserError(
        f'{run} is in use by {error.holder or "another training"}; wait for its end, or '
        'give another --workdir.'
      ) from None
    except OSError as error:
      raise UserError(
        f'{run} cannot be written ({error.strerror}); give another --workdir.'
      ) from None
    for path in run.rglob('.*.tmp'):
      path.unlink(missing_ok=True)
    yield


@contextlib.contextmanager
def convert_disk_errors(run: Path) -> Iterator[None]:
  """Converts disk errors (full, read-only, no permission) to UserError; others pass through."""
  try:
    yield
  except OSError as error:
    if error.errno not in DISK_ERRORS:
      raise
    raise UserError(
      f'{error.filename or run}: {error.strerror}; free disk space or give write permission, and '
      'the same command resumes from the last checkpoint.'
    ) from error
