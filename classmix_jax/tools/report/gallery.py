"""Picks validation images with their predictions, and counts how often classes occur.

Synopsis:

    views = gallery(evaluator, networks['teacher'])
    rows = class_frequencies({'labelled': split.labeled, 'validation': dataset.val}, class_names)
"""

from collections.abc import Mapping, Sequence
import math
from typing import NamedTuple

from classmix_jax.data.label_statistics import class_counts, label_counts, spread
from classmix_jax.data.source import Source
from classmix_jax.evaluation.evaluator import Evaluator, Seen
from classmix_jax.types import VOID, PyTree

NUM_SPREAD, NUM_WORST = 8, 4  # images on the page: spread over all, and with the most wrong pixels
MAX_PIXELS = 2**25  # of the images that are ranked; more images are ranked by a sample
MIN_RANKED = 48  # images, however large they are
MAX_MASKS = 200  # masks of each part that are counted

# part -> (fraction of the known pixels, fraction of the images) of every class
Frequencies = Mapping[str, tuple[Sequence[float], Sequence[float]]]


class GalleryView(NamedTuple):
  """A validation image of the page.

  Attributes:
    seen: image, truth, prediction and confidence.
    wrong: fraction of the known pixels that are predicted wrongly; NaN if none is known.
    rank: 1 for the image with the largest `wrong`, 0 if the image is not among the worst.
  """

  seen: Seen
  wrong: float
  rank: int = 0


class Gallery(NamedTuple):
  """Validation images of the page.

  Attributes:
    views: images spread over the validation set, then the worst, the worst of all first.
    ranked: number of images that were predicted to find the worst.
    total: number of validation images.
  """

  views: Sequence[GalleryView]
  ranked: int
  total: int


NO_GALLERY = Gallery((), 0, 0)


def wrong_fraction(seen: Seen) -> float:
  """Returns the fraction of the known pixels that are wrong, NaN if none is known."""
  known = seen.truth != VOID
  return float((seen.prediction != seen.truth)[known].mean()) if known.any() else math.nan


def gallery(evaluator: Evaluator, variables: PyTree, names: Sequence[str] | None = None) -> Gallery:
  """Predicts validation images; returns the worst of them and some of the others.

  Args:
    evaluator: of the run.
    variables: of the network.
    names: returns these images instead, as far as they exist; None picks them.
  """
  val = evaluator.dataset.val
  if names is not None:
    index = {name: position for position, name in enumerate(val.names)}
    chosen = [index[name] for name in names if name in index]
    return Gallery(_predict(evaluator, variables, chosen), 0, len(val))
  ranked = spread(len(val), ranked_count(evaluator.sizes)).tolist()
  wrong = [wrong_fraction(seen) for seen in evaluator.look(variables, ranked)]
  others, worst = pick(wrong)
  views = _predict(evaluator, variables, [ranked[position] for position in [*others, *worst]])
  ranks = [0] * len(others) + list(range(1, len(worst) + 1))
  ranked_views = [view._replace(rank=rank) for view, rank in zip(views, ranks, strict=True)]
  return Gallery(ranked_views, len(ranked), len(val))


def ranked_count(sizes: Sequence[tuple[int, int]]) -> int:
  """Returns how many images are ranked: up to `MAX_PIXELS`, at least `MIN_RANKED`.

  Example: of 500 images of 512x1024 pixels 64 are ranked, of 2,000 images of 120x120 pixels all.
  """
  pixels = sum(height * width for height, width in sizes)
  return max(MIN_RANKED, len(sizes) * MAX_PIXELS // max(pixels, 1))


def pick(wrong: Sequence[float]) -> tuple[list[int], list[int]]:
  """Returns positions that are spread over all but the worst images, and those of the worst.

  Up to a third of the images, and `NUM_WORST`, are the worst; an image without a wrong pixel, or
  without a known one, never is.

  Args:
    wrong: fraction of wrong pixels of each image, NaN if it has no known pixels.

  Example:
    >>> pick([0.1, 0.5, float('nan'), 0.0, 0.2, 0.3])
    ([0, 2, 3, 4], [1, 5])
  """
  candidates = [position for position, value in enumerate(wrong) if value > 0]
  worst = sorted(candidates, key=lambda position: -wrong[position])
  worst = worst[: min(NUM_WORST, len(wrong) // 3)]
  others = [position for position in range(len(wrong)) if position not in worst]
  return [others[index] for index in spread(len(others), NUM_SPREAD)], worst


def _predict(evaluator: Evaluator, variables: PyTree, indices: Sequence[int]) -> list[GalleryView]:
  return [GalleryView(seen, wrong_fraction(seen)) for seen in evaluator.look(variables, indices)]


def class_frequencies(sources: Mapping[str, Source], class_names: Sequence[str]) -> Frequencies:
  """Counts how often classes occur in each part, from up to `MAX_MASKS` of its masks.

  Returns:
    part -> (fraction of the known pixels, fraction of the images) of every class.
  """
  frequencies = {}
  for part, source in sources.items():
    counts = label_counts(source, spread(len(source), MAX_MASKS).tolist(), class_names)
    pixels, images = class_counts(counts, len(class_names))
    fractions = pixels / max(pixels.sum(), 1)
    frequencies[part] = (fractions.tolist(), (images / len(counts)).tolist())
  return frequencies
