"""Picks validation images with their predictions, and counts how often classes occur.

Synopsis:

    views = gallery(evaluator, networks['teacher'])
    rows = class_frequencies({'labelled': split.labeled, 'validation': dataset.val}, class_names)
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from classmix_jax.data.label_statistics import class_counts, label_counts, spread
from classmix_jax.data.source import Source
from classmix_jax.evaluation.evaluator import Evaluator, Seen
from classmix_jax.types import VOID, PyTree

NUM_CANDIDATES = 48  # validation images that are predicted, spread over all
NUM_SPREAD, NUM_WORST = 8, 4  # candidates on the page: spread again, and the least accurate
MAX_MASKS = 200  # masks of each part that are counted

# part -> (fraction of the known pixels, fraction of the images) of every class
Frequencies = Mapping[str, tuple[Sequence[float], Sequence[float]]]


class GalleryView(NamedTuple):
  """A validation image of the page.

  Attributes:
    seen: image, truth, prediction and confidence.
    accuracy: fraction of the known pixels that are predicted correctly; NaN if none is known.
    worst: whether the image is on the page because its accuracy is among the lowest.
  """

  seen: Seen
  accuracy: float
  worst: bool


def pixel_accuracy(seen: Seen) -> float:
  """Returns the fraction of the known pixels that are correct, NaN if none is known."""
  known = seen.truth != VOID
  return float((seen.prediction == seen.truth)[known].mean()) if known.any() else float('nan')


def gallery(
  evaluator: Evaluator, variables: PyTree, names: Sequence[str] | None = None
) -> list[GalleryView]:
  """Predicts validation images; returns some spread over all, and the worst of many.

  Args:
    evaluator: of the run.
    variables: of the network.
    names: returns these images instead, as far as they exist; None picks them.
  """
  val = evaluator.dataset.val
  if names is None:
    return _pick(_predict(evaluator, variables, spread(len(val), NUM_CANDIDATES).tolist()))
  index = {name: position for position, name in enumerate(val.names)}
  return _predict(evaluator, variables, [index[name] for name in names if name in index])


def _predict(evaluator: Evaluator, variables: PyTree, indices: Sequence[int]) -> list[GalleryView]:
  return [
    GalleryView(seen, pixel_accuracy(seen), False) for seen in evaluator.look(variables, indices)
  ]


def _pick(candidates: Sequence[GalleryView]) -> list[GalleryView]:
  """Returns `NUM_SPREAD` of the candidates, then the `NUM_WORST` of the others."""
  chosen = spread(len(candidates), NUM_SPREAD).tolist()
  others = [view for index, view in enumerate(candidates) if index not in chosen]
  measured = [view for view in others if not np.isnan(view.accuracy)]
  worst = sorted(measured, key=lambda view: view.accuracy)[:NUM_WORST]
  return [candidates[index] for index in chosen] + [view._replace(worst=True) for view in worst]


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
