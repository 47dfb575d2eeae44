"""Checks that a start trains the classes and the images of its run; writes nothing.

Synopsis:

    check_classes(run, dataset.class_names, 'DIR/classes.txt')
    check_images(run, record_images(root, labeled, unlabeled, val, read_record(run)))
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from classmix_jax.data.source import Dataset
from classmix_jax.errors import UserError
from classmix_jax.utils.text import are, listed
from classmix_jax.workdir import run_files
from classmix_jax.workdir.image_changes import count_present, describe_changes, find_moved
from classmix_jax.workdir.image_record import ROLES, ImageRecord, differ, read_record
from classmix_jax.workdir.resume import describe_ways_on

CLASSES_SHOWN = 12
WITH_ARTICLE = {'labeled': 'a labelled', 'unlabeled': 'an unlabelled', 'val': 'a validation'}


# ----------------------------------------------------------------------- classes


def describe_classes(names: Sequence[str], before: Sequence[str]) -> str:
  """Describes how a list of classes differs from an earlier one; '' if they are equal.

  Example:
    >>> describe_classes(['ground', 'box', 'cat'], ['ground', 'box'])
    '3 classes (cat is new)'
    >>> describe_classes(['box', 'ground'], ['ground', 'box'])
    '2 classes in another order (box, ground)'
    >>> describe_classes(['ground', 'crate'], ['ground', 'box'])
    '2 classes (crate instead of box)'
  """
  if list(names) == list(before):
    return ''
  count = f'{len(names)} {"class" if len(names) == 1 else "classes"}'
  added = [name for name in names if name not in before]
  missing = [name for name in before if name not in names]
  if not added and not missing:
    return f'{count} in another order ({listed(names, CLASSES_SHOWN)})'
  if len(names) == len(before) and len(added) == len(missing):
    return f'{count} ({listed(added, 6)} instead of {listed(missing, 6)})'
  parts = [
    f'{listed(changed, 6)} {are(changed)} {adjective}'
    for changed, adjective in ((added, 'new'), (missing, 'missing'))
    if changed
  ]
  return f'{count} ({", ".join(parts)})'


def check_classes(run: Path, names: Sequence[str], origin: str) -> None:
  """Checks that a run was trained with these classes, or has not started.

  Args:
    run: the run directory.
    names: name of class 0, 1, ...
    origin: the file or data set that has them, for the message.

  Raises:
    UserError: the classes differ in number, name or order.
  """
  if not (run / 'classes.json').exists():
    return
  before, _ = run_files.read_classes(run)
  if difference := describe_classes(names, before):
    raise UserError(
      f'{origin} has {difference}, {run} was trained with {len(before)} '
      f'({listed(before, CLASSES_SHOWN)}): '
      + describe_ways_on(run, gain=' and keeps the head for the classes that stay')
    )


def describe_palette(run: Path, dataset: Dataset) -> str:
  """Returns a line on classes whose colour in figures changed, '' if none did."""
  if not (run / 'classes.json').exists():
    return ''
  names, palette = run_files.read_classes(run)
  changed = [
    name
    for name, before, after in zip(names, palette, dataset.palette, strict=True)
    if before != tuple(after)
  ]
  return f'figures show {listed(changed, 6)} in other colours from now on' if changed else ''


# ------------------------------------------------------------------------ images


def check_images(
  run: Path, record: ImageRecord, remedies: Mapping[str, str] | None = None
) -> list[str]:
  """Checks that a run was trained on these images, in the same roles.

  Args:
    run: the run directory.
    record: the images of this start.
    remedies: role, 'labeled' or 'val' -> the flag that keeps its images.

  Returns:
    Lines that describe what changed since the last start.

  Raises:
    UserError: this is another data set, or an image has left its role for another.
  """
  before = read_record(run)
  if before is None:
    return []
  check_same_data(run, before, record)
  if differ(before.values, record.values):
    raise UserError(
      f'the class file gives the values of masks other classes than at the last start of {run}: '
      + describe_ways_on(run, other='restore the class file')
    )
  check_roles(run, before, record, remedies or {})
  lines = []
  if before.root != record.root:
    lines.append(f'data: {before.root} is now {record.root}')
  changes = describe_changes(before, record)
  if changes:
    lines.append(f'since the last start {"; ".join(changes)}')
  if any(f' {ROLES["val"]} ' in change for change in changes):
    lines.append('warning: scores from here on are of other validation images than those before')
  return lines


def check_same_data(run: Path, before: ImageRecord, record: ImageRecord) -> None:
  """Raises UserError if less than half of the images that were labelled are there."""
  present, total = count_present(before, record), len(before.labeled)
  if 2 * present < total:
    raise UserError(
      f'{record.root or "the data set"} has {present} of the {total} labelled images that {run} '
      f'was trained on ({listed(before.labeled, 2)} of {before.root or "the data set"}): '
      + describe_ways_on(run, other='set --config.data.root to those')
    )


def check_roles(
  run: Path, before: ImageRecord, record: ImageRecord, remedies: Mapping[str, str]
) -> None:
  """Raises UserError if an image has another role than at the last start."""
  moved = list(find_moved(before, record))
  if not moved:
    return
  name, was, now = moved[0]
  more = f', and {len(moved) - 1} more have changed roles' if len(moved) > 1 else ''
  # Weights that have learned from an image would be scored on it.
  learned = any(new == 'val' for _, _, new in moved)
  validated = learned or any(old == 'val' for _, old, _ in moved)
  # An unlabelled image with a new mask is labelled once it is not for validation.
  annotated = any(old == 'unlabeled' for _, old, _ in moved)
  roles = (['val'] if validated else []) + (['labeled'] if annotated or not validated else [])
  flags = [remedies[role] for role in roles if role in remedies]
  ways = [
    *(['put it back'] if validated or not flags else []),
    *([f'set {" and ".join(flags)} to keep the split'] if flags else []),
  ]
  remedy = ' or '.join(ways)
  raise UserError(
    f'{name} was {WITH_ARTICLE[was]} image at the last start of {run} and is now '
    f'{WITH_ARTICLE[now]} one{more}: ' + describe_ways_on(run, other=remedy, weights=not learned)
  )
