"""Counts classes in labels and describes wrong labels, which would train without an error.

Synopsis:

    counts = label_counts(dataset.train, labeled, dataset.class_names)
    pixels, images = class_counts(counts, len(dataset.class_names))
    warnings = label_warnings(images, len(labeled), dataset.class_names)
"""

from collections.abc import Iterable, Sequence
import contextlib

import numpy as np

from classmix_jax.data.files.decoding import Raw
from classmix_jax.data.files.findings import Finding, raise_findings
from classmix_jax.data.files.mask_io import count_raw_values
from classmix_jax.data.files.mask_messages import UnknownValues
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.text import listed
from classmix_jax.utils.threads import in_parallel


def spread(length: int, most: int) -> np.ndarray:
  """Returns up to `most` evenly spaced positions of 0..length-1, including both ends.

  Example: `spread(9, 3).tolist() == [0, 4, 8]`.
  """
  return np.unique(np.linspace(0, max(length - 1, 0), min(length, most)).round().astype(int))


def label_counts(source: Source, indices: Sequence[int], class_names: Sequence[str]) -> np.ndarray:
  """Counts the pixels of every value in each label: `[N, 256]` int64.

  Raises:
    UserError: masks are unreadable or have values that are not classes.

  Example: `label_counts(dataset.train, range(30), ('road', 'car'))[:, 255]` counts void.
  """

  def read(index: int) -> np.ndarray | UserError:
    try:
      return count_values(source, index, class_names)
    except UserError as error:
      return error

  rows = list(in_parallel(read, indices))
  findings = [
    Finding.of(source.names[index], row)
    for index, row in zip(indices, rows, strict=True)
    if isinstance(row, UserError)
  ]
  if any(isinstance(row, UnknownValues) for row in rows):
    add_present(findings, read_present(source, indices))
  raise_findings(findings, len(indices), 'masks')
  return np.array(rows, np.int64).reshape(-1, 256)


def read_present(source: Source, indices: Sequence[int]) -> set[int]:
  """Returns the ids in the files of masks, as far as they are readable."""
  files = source.files
  if files is None or files.mask is None:
    return set()
  present: set[int] = set()
  for index in indices:
    with contextlib.suppress(UserError):
      present |= select_ids(count_raw_values(files.mask(index), files.decoding))
  return present


def select_ids(values: Iterable[Raw]) -> set[int]:
  """Returns the ids among raw values of masks, which may be colours or transparency."""
  return {raw for raw in values if isinstance(raw, int)}


def add_present(findings: Iterable[Finding], present: Iterable[int]) -> None:
  """Adds ids of other masks to the errors of unknown ids, whose remedy names all."""
  for finding in findings:
    if isinstance(finding.error, UnknownValues):
      finding.error.add_present(present)


def count_values(source: Source, index: int, class_names: Sequence[str]) -> np.ndarray:
  """Counts the pixels of every value in a label, `[256]`; raises UserError as `label_counts`."""
  return count_label(source.load_label(index), source.names[index], class_names)


def count_label(label: np.ndarray, name: str, class_names: Sequence[str]) -> np.ndarray:
  """Counts the pixels of every value in a label.

  Args:
    label: `[H, W]` uint8.
    name: of the example, for messages.
    class_names: name of class 0, 1, ...

  Returns:
    `[256]` int64.

  Raises:
    UserError: the label has values that are not classes.
  """
  counts = np.bincount(label.ravel(), minlength=256)
  present = np.flatnonzero(counts)
  unknown = present[(present >= len(class_names)) & (present != VOID)].tolist()
  if unknown:
    raise UserError(
      f"the mask of '{name}' holds the values {', '.join(map(str, unknown))}; "
      f'expected are 0 to {len(class_names) - 1} and 255 (void). Set --config.data.label_map='
      f"'{unknown[0]}:CLASS' (CLASS is an id or void).",
      'masks with unknown values',
    )
  return counts


def class_counts(counts: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns `(pixels, images)` of each class, both `[C]` int64, from counts `[N, 256]`."""
  classes = counts[:, :num_classes]
  return classes.sum(0), (classes > 0).sum(0)


def part_findings(
  title: str, names: Sequence[str], counts: np.ndarray, class_names: Sequence[str]
) -> list[Finding]:
  """Returns the findings on all masks of a part together, see `binary_finding` and `void_finding`.

  Of three or more classes all but one may be absent from a validation set.

  Args:
    title: 'labelled' or 'val'.
    names: of the examples.
    counts: `[N, 256]`, from `label_counts`.
    class_names: name of class 0, 1, ...
  """
  sentences = {'void masks': void_finding(names, counts, class_names)}
  if title == 'labelled' or len(class_names) == 2:
    sentences['masks of 0 and 255'] = binary_finding(names, counts, class_names)
  return [Finding(title, sentence, kind) for kind, sentence in sentences.items() if sentence]


def binary_finding(names: Sequence[str], counts: np.ndarray, class_names: Sequence[str]) -> str:
  """Describes masks that have the values 0 and 255 but none of the other classes; '' for others.

  255 is void, so that the object would never be trained. Probably it is class 1, but the user must
  decide. Of two classes the first may be absent, too.

  Args:
    names: of the examples.
    counts: `[N, 256]`, from `label_counts`.
    class_names: name of class 0, 1, ...
  """
  num_classes = len(class_names)
  if num_classes < 2 or counts[:, 1:num_classes].any() or not counts[:, VOID].any():
    return ''
  if num_classes > 2 and not counts[:, 0].any():
    return ''
  first = int(np.argmax(counts[:, VOID] > 0))
  values = ', '.join(map(str, np.flatnonzero(counts[first])))
  others = '1' if num_classes == 2 else f'1 to {num_classes - 1}'
  listing = listed([f'{label} {name}' for label, name in enumerate(class_names)], 8)
  return (
    f"the mask of '{names[first]}' holds the {'values' if ',' in values else 'value'} {values} "
    f'and none of {len(names)} masks holds {others}; config has {num_classes} classes ({listing}). '
    f"255 means 'ignore' here. Set --config.data.label_map='255:1' if it "
    f"marks '{class_names[1]}'; if it does mean ignore, add images whose masks show "
    f"'{class_names[1]}'{' or others' if num_classes > 2 else ''}."
  )


def void_finding(names: Sequence[str], counts: np.ndarray, class_names: Sequence[str]) -> str:
  """Describes masks without a pixel of any class, which would train nothing; '' for others.

  Args:
    names: of the examples.
    counts: `[N, 256]`, from `label_counts`.
    class_names: name of class 0, 1, ...
  """
  if not len(counts) or counts[:, : len(class_names)].any():
    return ''
  return (
    f"all {len(names)} masks hold nothing but void ({VOID}), the first is that of '{names[0]}': "
    'nothing can be learned from them. Export them with class ids, or set '
    '--config.data.label_map or --config.data.colors so that they mean classes.'
  )


def label_warnings(
  images: Sequence[int], num_images: int, class_names: Sequence[str], of: int = 0
) -> list[str]:
  """Returns a sentence for every class that occurs in none of the labelled images.

  Args:
    images: `[C]` number of images with each class, from `class_counts`.
    num_images: number of images that were read.
    class_names: name of class 0, 1, ...
    of: number of labelled images, if only some were read.

  Example: `label_warnings([30, 0], 30, ('road', 'train'))` is
    `["class 1 'train' occurs in 0 of 30 labelled images: its IoU cannot rise above 0."]`.
  """
  absent = [
    f"class {label} '{name}'"
    for label, (name, count) in enumerate(zip(class_names, images, strict=True))
    if count == 0
  ]
  if of > num_images:
    return [
      f'{name} occurs in 0 of the {num_images} labelled images that were read (of {of:,}): '
      'if it is in no other, its IoU cannot rise above 0. launch/check_data.py reads them all.'
      for name in absent
    ]
  return [
    f'{name} occurs in 0 of {num_images} labelled images: its IoU cannot rise above 0.'
    for name in absent
  ]


def one_class_warning(
  counts: np.ndarray, class_names: Sequence[str], title: str, of: int = 0
) -> list[str]:
  """Returns a sentence if all masks hold one class only, which is then learned everywhere.

  Args:
    counts: `[N, 256]`, from `label_counts`.
    class_names: name of class 0, 1, ...
    title: 'labelled' or 'val'.
    of: number of masks, if only some were read.

  Example:
    >>> one_class_warning(np.eye(256, dtype=int)[:1], ('road', 'car'), 'val')[0][:57]
    "100 % of the pixels in all 1 val masks are class 0 'road'"
  """
  pixels, _ = class_counts(counts, len(class_names))
  (labels,) = np.nonzero(pixels)
  if len(labels) != 1:
    return []
  name = f"class {labels[0]} '{class_names[labels[0]]}'"
  void = ' that are not void' if counts[:, VOID].any() else ''
  read = f' that were read (of {of:,})' if of > len(counts) else ''
  return [
    f'100 % of the pixels{void} in all {len(counts)} {title} masks{read} are {name}: a network '
    'that sees nothing gets a perfect score on such masks. Look at contact_sheet.png of '
    'launch/check_data.py, and at the options for the values of masks.'
  ]
