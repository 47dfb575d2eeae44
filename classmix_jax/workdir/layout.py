"""A run's folder: what stands where, and when a second start may go on in it.

RUN/config.json      the whole config
RUN/classes.json     class names and palette: enough to predict without the data
RUN/pretrained.json  which weights it started from, and how many of their tensors fit
RUN/splits/          the names of the labelled and of the unlabelled images
RUN/checkpoints/     orbax
RUN/metrics.jsonl    one JSON object per logged step
RUN/tensorboard/     events
RUN/eval/STEP.json   evaluation results; STEP-PROTOCOL.json those of other protocols;
                     STEP-confusion.csv the counts behind them
RUN/predictions.png  validation images, truth and predictions
RUN/training.png     what the method learned from, at the last evaluation
RUN/report.html      all of it on one page
RUN/nonfinite/STEP/  a batch whose loss or gradient was not finite, see training/nonfinite.py
RUN/left_out.json    examples that do not read, where config.data.on_error is 'skip'
RUN/compiled/        programs for a GPU, see training/compilation_cache.py
RUN/lock             who trains in it, or was the last to
RUN/damaged_checkpoints/  those that could not be read when the run went on
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import csv
import errno
import fcntl
import json
import os
from pathlib import Path
import socket
from typing import Any

import jax

from classmix_jax.data.source import Dataset
from classmix_jax.errors import UserError
from classmix_jax.utils.atomic_write import replacing, write_atomically
from classmix_jax.utils.nested import flatten

# A second start may change these: they do not touch what was trained so far.
CHANGEABLE = (
  'steps',
  'eval_every',
  'checkpoint_every',
  'log_every',
  'steps_per_dispatch',
  'deterministic',
  'eval_batch_size',
  'eval_network',
  'on_nan',
  'data.on_error',
  'data.root',
  'data.cache_gb',
  'data.copy_root',
  'data.reader',
  'data.tfds_dir',
  'model.remat',
)

DISK_ERRORS = (
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EROFS,
  errno.EACCES,
  errno.EPERM,
  errno.EIO,
  errno.ESTALE,
)


ORIGIN_FIELDS = dict.fromkeys(('name', 'sha256', 'trained_on', 'preprocessing', 'matched'), str)


def read_json(path: Path) -> Any:
  """Reads a JSON file of a run; UserError where it is missing or broken."""
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError:
    raise UserError(
      f'{path} does not exist; --workdir must be the folder of a training run.'
    ) from None
  except (ValueError, OSError) as error:
    raise UserError(f'{path} cannot be read ({error}); is this the folder of a run?') from None


def read_object(path: Path, kinds: Mapping[str, type | tuple[type, ...]]) -> dict[str, Any]:
  """Reads a JSON object of which some fields must be there, by dotted name, and of a type.

  Raises:
    UserError: the file is missing or broken, or says which field is wrong.
  """
  found = read_json(path)
  if not isinstance(found, dict):
    raise UserError(f'{path} is damaged: it holds no JSON object; restore the file.')
  for name, kind in kinds.items():
    value: Any = found
    for key in name.split('.'):
      value = value.get(key) if isinstance(value, dict) else None
    if not isinstance(value, kind):
      raise UserError(f'{path} is damaged: {name} is {str(value)[:60]!r}; restore the file.')
  return found


def read_classes(run: Path) -> tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]:
  """Returns the names and the colours of a run's classes.

  Raises:
    UserError: they are missing or damaged.
  """
  path = run / 'classes.json'
  found = read_object(path, {'names': list, 'palette': list})
  names, palette = found['names'], found['palette']
  colors = all(
    isinstance(color, list)
    and len(color) == 3
    and all(type(n) is int and 0 <= n <= 255 for n in color)
    for color in palette
  )
  if (
    not names
    or not all(isinstance(name, str) for name in names)
    or not colors
    or len(palette) != len(names)
  ):
    raise UserError(
      f'{path} is damaged: expected are as many names as colours [R, G, B]; restore the file.'
    )
  return tuple(names), tuple(map(tuple, palette))


def check_same_run(old: Mapping[str, Any], new: Mapping[str, Any], run: Path) -> None:
  """Refuses to go on with a config that would not continue the same training.

  Raises:
    UserError: names the first fields that differ.
  """
  before, after = flatten(old), flatten(new)
  differing = [
    key
    for key in sorted(before.keys() | after.keys())
    if before.get(key) != after.get(key) and key not in CHANGEABLE and not key.startswith('paper.')
  ]
  if differing:
    shown = '; '.join(
      f'config.{key} was {before.get(key)!r} and is now {after.get(key)!r}' for key in differing[:3]
    )
    raise UserError(
      f'{run} holds a run with another config: {shown}. Use another --workdir, or the config '
      'that started it.'
    )


@contextlib.contextmanager
def held(run: Path) -> Iterator[None]:
  """Keeps a second training out of the folder, which it creates; process 0 does so for all.

  The kernel lets it go when the process ends, however that ends. What a killed one was writing is
  removed.

  Raises:
    UserError: another training is in it, or it cannot be written.
  """
  if jax.process_index() > 0:
    yield
    return
  try:
    run.mkdir(parents=True, exist_ok=True)
    (run / 'lock').touch()
  except OSError as error:
    raise UserError(
      f'{run} cannot be written ({error.strerror}); give another --workdir.'
    ) from None
  with open(run / 'lock', 'r+', encoding='utf-8') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise UserError(
        f'{run} is in use by {file.read().strip() or "another training"}; wait for its end, or '
        'give another --workdir.'
      ) from None
    file.truncate(0)
    print(f'process {os.getpid()} on {socket.gethostname()}', file=file, flush=True)
    for path in run.rglob('.*.tmp'):
      path.unlink(missing_ok=True)
    yield


@contextlib.contextmanager
def disk_errors(run: Path) -> Iterator[None]:
  """Turns what a disk says while a run is written into a UserError."""
  try:
    yield
  except OSError as error:
    if error.errno not in DISK_ERRORS:
      raise
    raise UserError(
      f'{error.filename or run}: {error.strerror}; make room or give permission, and the same '
      'command goes on from the last checkpoint.'
    ) from error


def open_run(run: Path, config: Mapping[str, Any]) -> None:
  """Creates the folder and its config.json, or checks that the run may go on.

  This and the other functions that write leave it to process 0.

  Args:
    run: the folder.
    config: the config as nested plain dicts.

  Raises:
    UserError: the folder cannot be written, or holds another run.
  """
  config = json.loads(json.dumps(config))  # tuples become lists, as on the disk
  path = run / 'config.json'
  try:
    run.mkdir(parents=True, exist_ok=True)
    if path.exists():
      check_same_run(read_json(path), config, run)
    write_text(path, json.dumps(config, indent=2) + '\n')
  except OSError as error:
    raise UserError(
      f'{run} cannot be written ({error.strerror}); give another --workdir.'
    ) from None


def write_text(path: Path, text: str) -> None:
  if jax.process_index() == 0:
    write_atomically(path, text)


def write_classes(run: Path, dataset: Dataset) -> None:
  classes = {'names': dataset.class_names, 'palette': dataset.palette}
  write_text(run / 'classes.json', json.dumps(classes) + '\n')


def write_pretrained(run: Path, origin: Mapping[str, Any]) -> None:
  write_text(run / 'pretrained.json', json.dumps(origin, indent=2) + '\n')


def read_pretrained(run: Path) -> dict[str, Any]:
  """Returns what `write_pretrained` wrote, or {} if the run started from scratch."""
  path = run / 'pretrained.json'
  return read_object(path, ORIGIN_FIELDS) if path.exists() else {}


def write_left_out(run: Path, left_out: Mapping[str, Mapping[str, str]]) -> None:
  write_text(run / 'left_out.json', json.dumps(left_out, indent=2) + '\n')


def read_left_out(run: Path) -> dict[str, dict[str, str]] | None:
  """Returns part -> name -> what is wrong with it; None where nobody looked."""
  path = run / 'left_out.json'
  return read_object(path, {'train': dict, 'unlabeled': dict}) if path.exists() else None


def write_split(run: Path, labeled: Sequence[str], unlabeled: Sequence[str]) -> None:
  """Writes names of images, one per line; `data.labeled` reads labeled.txt."""
  (run / 'splits').mkdir(exist_ok=True)
  for part, names in (('labeled', labeled), ('unlabeled', unlabeled)):
    write_text(run / 'splits' / f'{part}.txt', '\n'.join([*names, '']))


def read_split(run: Path, part: str) -> list[str]:
  """Returns the names of a run's 'labeled' or 'unlabeled' images."""
  path = run / 'splits' / f'{part}.txt'
  try:
    return path.read_text(encoding='utf-8').splitlines()
  except (OSError, ValueError):
    raise UserError(f'{path} cannot be read; is {run} the folder of a run?') from None


def evaluation_path(run: Path, step: int, protocol: str = '') -> Path:
  """The file of a step's evaluation; `protocol` names another one than the run's own."""
  return run / 'eval' / (f'{step}-{protocol}.json' if protocol else f'{step}.json')


def nonfinite_path(run: Path, step: int) -> Path:
  """The folder of a step that was not finite."""
  return run / 'nonfinite' / str(step)


def training_image(run: Path) -> Path:
  return run / 'training.png'


def confusion_path(run: Path, step: int, protocol: str = '') -> Path:
  """The file of the counts behind an evaluation, of its headline network."""
  path = evaluation_path(run, step, protocol)
  return path.with_name(f'{path.stem}-confusion.csv')


def write_evaluation(run: Path, result: Mapping[str, Any], protocol: str = '') -> None:
  """Writes an evaluation under its step; only the first of several processes does.

  Its confusion matrix becomes a table of its own: a row for each true class, a column for each
  predicted one.
  """
  if jax.process_index() == 0:
    path = evaluation_path(run, result['step'], protocol)
    path.parent.mkdir(exist_ok=True)
    names = list(result['iou'])
    with (
      replacing(confusion_path(run, result['step'], protocol)) as temporary,
      open(temporary, 'w', encoding='utf-8', newline='') as file,
    ):
      writer = csv.writer(file, lineterminator='\n')
      writer.writerow(['truth', *names])
      writer.writerows(
        [name, *counts] for name, counts in zip(names, result['confusion'], strict=True)
      )
    rest = {key: value for key, value in result.items() if key != 'confusion'}
    write_atomically(path, json.dumps(rest, indent=2) + '\n')
