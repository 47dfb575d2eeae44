"""Finds validation images that look almost the same as labelled ones: frames of a film.

Synopsis:

    thumbnail = make_thumbnail(image)                      # [1024] float32 of norm 1, or None
    describe_similar(labeled_names, labeled, val_names, val)
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from classmix_jax.utils.text import listed

SIZE = 32  # pixels of a side of a thumbnail
LEAST_CORRELATION = 0.98  # between neighbouring frames; of CamVid's sequences 0.89 at most
# Images of one kind in one pose, such as retinas, correlate anyway.
MOST_CORRELATION = 0.8  # median with all labelled images
LEAST_SHARE = 0.1  # of the validation images
MAX_NAMED = 2  # pairs in a sentence


def make_thumbnail(image: np.ndarray) -> np.ndarray | None:
  """Returns an image's brightness, `[1024]` float32 of mean 0 and norm 1; None if blank.

  Args:
    image: `[H, W, 3]` uint8.
  """
  small = Image.fromarray(image).convert('L').resize((SIZE, SIZE), Image.Resampling.BOX)
  values = np.asarray(small, np.float32).ravel()
  values -= values.mean()
  norm = float(np.linalg.norm(values))
  return values / norm if norm > SIZE else None  # a deviation of one grey value


def find_similar(labeled: np.ndarray, val: np.ndarray) -> list[tuple[int, int]]:
  """Returns (validation index, labelled index) of images that look almost the same.

  Args:
    labeled: `[N, 1024]` thumbnails.
    val: `[M, 1024]` thumbnails.

  Example: `find_similar(thumbnails, thumbnails[:1])` is `[(0, 0)]` if the others differ from it.
  """
  pairs = []
  for index, thumbnail in enumerate(val):
    correlations = labeled @ thumbnail
    nearest = int(correlations.argmax())
    if correlations[nearest] >= LEAST_CORRELATION and np.median(correlations) < MOST_CORRELATION:
      pairs.append((index, nearest))
  return pairs


def describe_similar(
  labeled_names: Sequence[str],
  labeled: Sequence[np.ndarray | None],
  val_names: Sequence[str],
  val: Sequence[np.ndarray | None],
) -> list[str]:
  """Returns a sentence if many validation images look almost the same as a labelled one.

  Args:
    labeled_names: of the labelled images.
    labeled: their thumbnails, None if one has none.
    val_names: of the validation images.
    val: their thumbnails.
  """
  rows = {index: x for index, x in enumerate(labeled) if x is not None}
  columns = {index: x for index, x in enumerate(val) if x is not None}
  if len(rows) < 3 or not columns:
    return []
  pairs = find_similar(np.stack(list(rows.values())), np.stack(list(columns.values())))
  if not pairs or len(pairs) < LEAST_SHARE * len(val):
    return []
  labeled_names = [labeled_names[row] for row in rows]
  val_names = [val_names[column] for column in columns]
  named = listed((f'{val_names[a]} like {labeled_names[b]}' for a, b in pairs), MAX_NAMED)
  verb = 'looks' if len(pairs) == 1 else 'look'
  return [
    f'{len(pairs)} of {len(val)} val images {verb} almost the same as a labelled image ({named}). '
    'If they are frames of one film or tiles of one place, the scores are higher than on new '
    'images: set aside whole films or places for validation.'
  ]
