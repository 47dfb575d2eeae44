"""The check at the start of every training: a sample of the masks, and only once.

Synopsis:

    for warning in check_at_start(split.labeled, dataset.val, dataset.class_names):
      print(f'warning: {warning}')

What was found in order is remembered in the user's cache folder, under a digest of
names, classes and the sources' versions: a second start opens no mask.
"""

from collections.abc import Sequence
import contextlib
import hashlib
import json
from pathlib import Path

import numpy as np

from classmix_jax.data.label_statistics import (
  binary_finding,
  class_counts,
  label_counts,
  label_warnings,
  spread,
  void_finding,
)
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.paths import cache_root

LABELED, VAL = 200, 100  # masks that are looked at, at most
CHECK_VERSION = 2  # count up whenever the check finds more than before


def check_at_start(labeled: Source, val: Source, class_names: Sequence[str]) -> list[str]:
  """Looks at the labels of a training; returns what is worth a warning.

  All sizes were compared when the data set was opened; this is about values.

  Args:
    labeled: the labelled examples.
    val: the validation examples.
    class_names: name of class 0, 1, ...

  Raises:
    UserError: masks that do not decode or hold values that are no class; masks of void
      alone; and, with two classes, masks of 0 and 255 only.

  Example: `check_at_start(split.labeled, dataset.val, ('road', 'car')) == []`.
  """
  place = outcome_path(labeled, val, class_names)
  known = place and read_outcome(place)
  if known is not None:
    return known
  print(
    f'checking the masks of {min(len(labeled), LABELED)} of {len(labeled):,} labelled and '
    f'{min(len(val), VAL)} of {len(val):,} validation images',
    flush=True,
  )
  counts = sampled_counts(labeled, LABELED, class_names)
  sampled_counts(val, VAL, class_names)
  _, images = class_counts(counts, len(class_names))
  warnings = label_warnings(images, len(counts), class_names, of=len(labeled))
  if place:
    # A folder that cannot be written costs the next start some seconds, no more.
    with contextlib.suppress(OSError):
      place.parent.mkdir(parents=True, exist_ok=True)
      write_atomically(place, json.dumps({'warnings': warnings}) + '\n')
  return warnings


def sampled_counts(source: Source, most: int, class_names: Sequence[str]) -> np.ndarray:
  """Returns label -> pixels, `[N, 256]`, of up to `most` examples spread over the names.

  Raises:
    UserError: as `check_at_start`. Before masks of 0 and 255, or of void, stop a training,
      all are read: the object may be rare.
  """
  for indices in (spread(len(source), most), np.arange(len(source))):
    counts = label_counts(source, indices, class_names)
    names = [source.names[index] for index in indices]
    sentence = binary_finding(names, counts, class_names) or void_finding(
      names, counts, class_names
    )
    if not sentence:
      return counts
  raise UserError(sentence)


def outcome_path(labeled: Source, val: Source, class_names: Sequence[str]) -> Path | None:
  """Returns where the outcome for this data is kept, None where its version is not known."""
  if labeled.version is None or val.version is None:
    return None
  identity = [CHECK_VERSION, LABELED, VAL, list(class_names)]
  identity += [[source.version(), source.names] for source in (labeled, val)]
  digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
  return cache_root() / 'checks' / f'{digest}.json'


def read_outcome(place: Path) -> list[str] | None:
  """Returns the warnings that were kept, None where there are none or they do not read."""
  try:
    return json.loads(place.read_text(encoding='utf-8'))['warnings']
  except (OSError, ValueError, KeyError):
    return None
