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

from classmix_jax.logbook import replacing, write_atomically
from classmix_jax.types import Dataset, UserError

# A second start may change these: they do not touch what was trained so far.
CHANGEABLE = (
    'steps', 'eval_every', 'checkpoint_every', 'log_every', 'steps_per_dispatch',
    'eval_batch_size', 'eval_network', 'data.root', 'data.cache_gb', 'data.copy_root',
    'data.reader', 'data.tfds_dir', 'model.remat',
)

DISK_ERRORS = (
    errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE)


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Flattens nested dicts to dotted names.

  Example:
    >>> flatten({'a': {'b': 1}, 'c': 2})
    {'a.b': 1, 'c': 2}
  """
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat.update(flatten(value, f'{prefix}{key}.'))
    else:
      flat[prefix + key] = value
  return flat


def read_json(path: Path) -> Any:
  """Reads a JSON file of a run; UserError where it is missing or broken."""
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError:
    raise UserError(
        f'{path} does not exist; --workdir must be the folder of a training run.') from None
  except (ValueError, OSError) as error:
    raise UserError(f'{path} cannot be read ({error}); is this the folder of a run?') from None


def check_same_run(old: Mapping[str, Any], new: Mapping[str, Any], run: Path) -> None:
  """Refuses to go on with a config that would not continue the same training.

  Raises:
    UserError: names the first fields that differ.
  """
  before, after = flatten(old), flatten(new)
  differing = [
      key for key in sorted(before.keys() | after.keys())
      if before.get(key) != after.get(key) and key not in CHANGEABLE
      and not key.startswith('paper.')]
  if differing:
    shown = '; '.join(f'config.{key} was {before.get(key)!r} and is now {after.get(key)!r}'
                      for key in differing[:3])
    raise UserError(
        f'{run} holds a run with another config: {shown}. Use another --workdir, or the config '
        'that started it.')


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
        f'{run} cannot be written ({error.strerror}); give another --workdir.') from None
  with open(run / 'lock', 'r+', encoding='utf-8') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      raise UserError(
          f'{run} is in use by {file.read().strip() or "another training"}; wait for its end, or '
          'give another --workdir.') from None
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
        'command goes on from the last checkpoint.') from error


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
        f'{run} cannot be written ({error.strerror}); give another --workdir.') from None


def write_text(path: Path, text: str) -> None:
  if jax.process_index() == 0:
    write_atomically(path, text)


def write_classes(run: Path, dataset: Dataset) -> None:
  classes = {'names': dataset.class_names, 'palette': dataset.palette}
  write_text(run / 'classes.json', json.dumps(classes) + '\n')


def write_pretrained(run: Path, origin: Mapping[str, Any]) -> None:
  write_text(run / 'pretrained.json', json.dumps(origin, indent=2) + '\n')


def read_pretrained(run: Path) -> dict[str, Any]:
  """Returns what `write_pretrained` wrote; nothing where the run is older, or from scratch."""
  path = run / 'pretrained.json'
  return read_json(path) if path.exists() else {}


def write_split(run: Path, labeled: Sequence[str], unlabeled: Sequence[str]) -> None:
  """Writes names of images, one per line; `data.labeled` reads labeled.txt."""
  (run / 'splits').mkdir(exist_ok=True)
  for part, names in (('labeled', labeled), ('unlabeled', unlabeled)):
    write_text(run / 'splits' / f'{part}.txt', '\n'.join([*names, '']))


def read_split(run: Path, part: str) -> list[str]:
  """Returns the names of a run's 'labeled' or 'unlabeled' images."""
  try:
    return (run / 'splits' / f'{part}.txt').read_text(encoding='utf-8').splitlines()
  except OSError as error:
    raise UserError(f'{error.filename} cannot be read; is {run} the folder of a run?') from None


def evaluation_path(run: Path, step: int, protocol: str = '') -> Path:
  """The file of a step's evaluation; `protocol` names another one than the run's own."""
  return run / 'eval' / (f'{step}-{protocol}.json' if protocol else f'{step}.json')


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
    with replacing(confusion_path(run, result['step'], protocol)) as temporary, \
        open(temporary, 'w', encoding='utf-8', newline='') as file:
      writer = csv.writer(file, lineterminator='\n')
      writer.writerow(['truth', *names])
      writer.writerows([name, *counts] for name, counts in
                       zip(names, result['confusion'], strict=True))
    rest = {key: value for key, value in result.items() if key != 'confusion'}
    write_atomically(path, json.dumps(rest, indent=2) + '\n')
