"""Opens the images that a run is evaluated on: its own, or those of another set.

Synopsis:

    data = open_data(values, Path('RUN'), DataFlags(root='TEST'))
    data.dataset.val, data.name        # images with the classes of the run; 'test-5f2c91'
"""

import contextlib
import os
from pathlib import Path
from typing import Any, NamedTuple

from classmix_jax.config.trained import override
from classmix_jax.data.class_files.text import MISSING
from classmix_jax.data.match_classes import ClassMatch, match_classes, translate_classes
from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.inference.data_flags import (
  RUNS_OWN,
  DataFlags,
  check_flags,
  choose_root,
  folder_fields,
  name_flags,
  own_flags,
)
from classmix_jax.inference.data_parts import Opened, Values, open_part
from classmix_jax.inference.data_words import (
  describe_options,
  describe_set,
  name_data,
  warn_of_training_images,
)
from classmix_jax.workdir import run_files
from classmix_jax.workdir.image_changes import count_training_images
from classmix_jax.workdir.image_record import differ, digest_values, read_record, same_images

CLASSES = 'classes.json'  # of a run, a class file, too
PREPARED = ('scenes', 'tfds')  # their loaders would prepare a data set in a directory without one


class EvaluatedData(NamedTuple):
  """The images of an evaluation.

  Attributes:
    dataset: its `val` is evaluated, with the classes of the run.
    match: which of its classes are those of the run.
    name: of the files with results, '' for the run's own images for validation.
    record: of the set, for JSON; empty for the run's own images.
    lines: sentences about the images.
  """

  dataset: Dataset
  match: ClassMatch
  name: str
  record: dict[str, Any]
  lines: tuple[str, ...]


def open_own(values: Values, run: Path, flags: DataFlags) -> Opened | None:
  """Opens the images for validation of a run, which may have moved; None if others are named."""
  if flags.images or flags.masks or flags.options or flags.part not in ('', 'val'):
    return None
  if not flags.root:
    return open_part(values, 'val')
  try:
    opened = open_own_kind(values, flags)
  except UserError:  # has a message of its own if it is no other set, either
    return None
  names, _ = run_files.read_classes(run)
  if opened is None or opened.dataset.class_names != names:
    return None
  return opened if has_own_images(run, opened.dataset.val) else None


def open_own_kind(values: Values, flags: DataFlags) -> Opened | None:
  """Opens --root as the kind of data set that the run has, None if it cannot be one.

  Raises:
    UserError: it is not one, or has mistakes.
  """
  root = choose_root(flags)
  if values['data']['name'] in PREPARED and not is_prepared(Path(root)):
    return None
  return open_part(override(values, {'data.root': root}), flags.part)


def is_prepared(root: Path) -> bool:
  """Returns whether a directory has data sets of TensorFlow Datasets."""
  patterns = ('*/*/dataset_info.json', '*/*/*/dataset_info.json')
  return any(next(root.glob(pattern), None) for pattern in patterns)


def has_own_images(run: Path, val: Source) -> bool:
  """Returns whether images are those that the run evaluates, as far as it has recorded them."""
  record = read_record(run)
  return record is None or same_images(record.val, val)


def open_other(values: Values, run: Path, flags: DataFlags) -> Opened:
  """Opens a part of another data set, or another part of the run's own.

  Raises:
    UserError: the data is missing or wrong, or there is no such part.
  """
  data = values['data']
  if not flags.names_set():
    return open_part(override(values, {'data.on_error': 'skip'}), flags.part)
  if data['name'] != 'folder' and not (flags.images or flags.masks or flags.options):
    with contextlib.suppress(UserError):  # a directory of images and masks
      opened = open_own_kind(values, flags)
      if opened:
        return opened
  fields = folder_fields(data, flags, run_files.read_classes(run)[0])
  opened = open_with_classes({**values, 'data': fields}, values, run, flags)
  record = read_record(run)
  if flags.part or record is None or data['name'] != 'folder':
    return opened
  if not count_training_images(record, opened.dataset.val):
    return opened
  # Images were added to those of the training: its part for validation is evaluated.
  fields |= {name: data[name] for name in ('val', 'val_share', 'labeled')}
  return open_with_classes({**values, 'data': fields}, values, run, flags)


def open_with_classes(fields: Values, values: Values, run: Path, flags: DataFlags) -> Opened:
  """Opens a set of images and masks, with the classes of the run if it has no class file.

  Args:
    fields: config of the set, see `folder_fields`.
    values: config of the run.
    run: directory of the run.
    flags: of the set.

  Raises:
    UserError: the data is missing, or the masks of the run had other values than class ids.
  """
  try:
    return open_part(fields, flags.part)
  except UserError as error:
    if error.kind != MISSING or 'classes' in flags.options:
      raise
  data = values['data']
  path = Path(data['root'], os.path.expanduser(data.get('classes', '') or '.')).absolute()
  path = path if data['name'] == 'folder' and path.is_file() else run.absolute() / CLASSES
  opened = open_part(override(fields, {'data.classes': str(path)}), flags.part)
  record = read_record(run)
  if data['name'] != 'folder' or record is None or flags.options:
    return opened
  if differ(record.values, digest_values(opened.dataset.val)):
    raise UserError(
      f'{fields["data"]["root"]} has no class file, and the masks of {run} have other values '
      f'than class ids: copy the class file of {record.root} there, or set --label_map, --colors '
      f'or --classes=FILE, which is {run / CLASSES} if these masks have class ids.'
    )
  return opened


def open_data(values: Values, run: Path, flags: DataFlags = RUNS_OWN) -> EvaluatedData:
  """Opens the images that a run is evaluated on.

  Args:
    values: the config of the run, see `read_config`; some fields may be overridden.
    run: directory of the run.
    flags: which images; by default the run's own for validation.

  Raises:
    UserError: flags do not fit together, the data is missing or wrong, or has no class of the run.
  """
  check_flags(flags)
  with own_flags(run):
    own = open_own(values, run, flags)
    opened = own or open_other(values, run, flags)
    names, palette = run_files.read_classes(run)
    match = match_classes(opened.dataset.class_names, names, str(run))
    check_order(values, flags, match)
  dataset = opened.dataset
  lines = [*(name_flags(note, run) for note in dataset.notes), opened.sentence]
  lines += match.describe()
  if own is None:
    lines += describe_options(values, flags) + warn_of_training_images(run, dataset.val)
  elif not flags.root and not (match.is_identity() and has_own_images(run, dataset.val)):
    lines.append('warning: the validation images or their classes have changed since the training')
  return EvaluatedData(
    translate_classes(dataset, match, palette),
    match,
    name_data(values, flags, opened) if own is None else '',
    describe_set(values, flags, opened, match) if own is None else {},
    tuple(lines),
  )


def check_order(values: Values, flags: DataFlags, match: ClassMatch) -> None:
  """Raises UserError if a threshold of the run would exchange two classes of a set."""
  threshold = values['data'].get('mask_threshold', 0)
  if not threshold or not flags.names_set() or match.is_identity():
    return
  if values['data']['name'] == 'folder' and 'mask_threshold' not in flags.options:
    raise UserError(
      f'the run reads bright values as class 1 (mask_threshold={threshold}), but the set has its '
      f'classes in another order than {", ".join(match.names)}: set --mask_threshold={threshold} '
      'if its second class is bright, or --mask_threshold=0 for ids.'
    )
