"""Checks a sample of the masks at the start of every training run, once for the same data.

Synopsis:

    check = check_at_start(split.labeled, dataset.val, dataset.class_names)
    print(format_class_list(dataset.class_names, dataset.palette, check.pixels))

The result for valid data is stored in the user's cache directory, under a digest of names, classes
and the sources' versions, so that a second start opens no mask.
"""

from collections.abc import Sequence
import contextlib
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.files.turning import fits_either_way, turned_warning
from classmix_jax.data.label_statistics import (
  class_counts,
  label_counts,
  label_warnings,
  one_class_warning,
  part_findings,
  spread,
)
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.paths import cache_root

MAX_LABELED, MAX_VAL = 200, 100  # masks that are read
CHECK_VERSION = 4  # increment when the check finds more: stored results are then ignored


class LabelCheck(NamedTuple):
  """Result of a check.

  Attributes:
    warnings: sentences.
    pixels: pixels of class 0, 1, ..., and of void, in the labelled masks that were read.
    masks: number of these masks.
  """

  warnings: list[str]
  pixels: list[int]
  masks: int


def check_at_start(labeled: Source, val: Source, class_names: Sequence[str]) -> LabelCheck:
  """Checks the values of labels, warns of classes without pixels, and counts pixels.

  Sizes were compared when the data set was opened.

  Args:
    labeled: the labelled examples.
    val: the validation examples.
    class_names: name of class 0, 1, ...

  Raises:
    UserError: masks are unreadable, have values that are not classes, are all void, or have the
      values 0 and 255 only.

  Example: `check_at_start(split.labeled, dataset.val, ('road', 'car')).warnings == []`.
  """
  path = result_path(labeled, val, class_names)
  stored = None if path is None else read_result(path)
  if stored is not None:
    return stored
  print(
    f'checking the masks of {min(len(labeled), MAX_LABELED)} of {len(labeled):,} labelled and '
    f'{min(len(val), MAX_VAL)} of {len(val):,} validation images',
    flush=True,
  )
  counts = count_sample('labelled', labeled, MAX_LABELED, class_names)
  val_counts = count_sample('val', val, MAX_VAL, class_names)
  pixels, images = class_counts(counts, len(class_names))
  warnings = [
    *(
      one_class_warning(counts, class_names, 'labelled', of=len(labeled))
      or label_warnings(images.tolist(), len(counts), class_names, of=len(labeled))
    ),
    *one_class_warning(val_counts, class_names, 'val', of=len(val)),
    *warn_of_turned(labeled, MAX_LABELED, 'labelled'),
    *warn_of_turned(val, MAX_VAL, 'val'),
  ]
  check = LabelCheck(warnings, [*pixels.tolist(), int(counts[:, VOID].sum())], len(counts))
  if path:
    with contextlib.suppress(OSError):  # a read-only directory: the next start checks again
      path.parent.mkdir(parents=True, exist_ok=True)
      write_atomically(path, json.dumps(check._asdict()) + '\n')
  return check


def count_sample(title: str, source: Source, most: int, class_names: Sequence[str]) -> np.ndarray:
  """Counts the values in up to `most` labels, spread over the source: `[N, 256]`.

  Reads all labels before it raises an error for masks of 0 and 255, or of void: the object may be
  rare.

  Raises:
    UserError: as `check_at_start`.
  """
  for indices in (spread(len(source), most), np.arange(len(source))):
    counts = label_counts(source, indices.tolist(), class_names)
    names = [source.names[index] for index in indices]
    findings = part_findings(title, names, counts, class_names)
    if not findings:
      return counts
  raise UserError(findings[0].sentence)


def warn_of_turned(source: Source, most: int, title: str) -> list[str]:
  """Returns a sentence if EXIF turns some of up to `most` images whose masks fit either way."""
  files = source.files
  if files is None or files.mask is None:
    return []
  indices = spread(len(source), most)
  turned = sum(
    fits_either_way(read_header(files.image(index)), read_header(files.mask(index)))
    for index in indices
  )
  return turned_warning(turned, len(indices), title, files.decoding)


def result_path(labeled: Source, val: Source, class_names: Sequence[str]) -> Path | None:
  """Returns the path of the stored result, None if the version of the data is not known."""
  if labeled.version is None or val.version is None:
    return None
  versions = [[labeled.version(), labeled.names], [val.version(), val.names]]
  identity = [CHECK_VERSION, MAX_LABELED, MAX_VAL, list(class_names), *versions]
  digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
  return cache_root() / 'checks' / f'{digest}.json'


def read_result(path: Path) -> LabelCheck | None:
  """Reads a stored result, None if there is none or it is damaged."""
  try:
    return LabelCheck(**json.loads(path.read_text(encoding='utf-8')))
  except (OSError, ValueError, TypeError):
    return None
