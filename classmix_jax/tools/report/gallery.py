"""What networks see in validation images, and how often classes occur.

Synopsis:

    views = gallery(evaluator, networks['teacher'])
    rows = frequencies({'labelled': split.labeled, 'validation': dataset.val}, class_names)
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from classmix_jax.data.label_statistics import class_counts, label_counts, spread
from classmix_jax.data.source import Source
from classmix_jax.evaluation.evaluator import Evaluator, Seen
from classmix_jax.types import VOID, PyTree

LOOKED_AT = 48  # validation images, spread over all
SHOWN, WORST = 8, 4  # of these: spread again, and those with the fewest correct pixels
MASKS = 200  # that are counted, at most


class View(NamedTuple):
  """A validation image of the page.

  Attributes:
    seen: image, truth, prediction and confidence.
    accuracy: share of the known pixels that are right; NaN without any.
    worst: whether it is shown because few are.
  """

  seen: Seen
  accuracy: float
  worst: bool


def accuracy(seen: Seen) -> float:
  known = seen.truth != VOID
  return float((seen.prediction == seen.truth)[known].mean()) if known.any() else float('nan')


def gallery(
  evaluator: Evaluator, variables: PyTree, names: Sequence[str] | None = None
) -> list[View]:
  """Returns validation images of a network: some spread over all, and the worst of many.

  Args:
    evaluator: of the run.
    variables: of the network.
    names: shows these instead, as far as they exist: another run's gallery.
  """
  val = evaluator.dataset.val
  if names is not None:
    index = {name: position for position, name in enumerate(val.names)}
    wanted = [index[name] for name in names if name in index]
    return [View(seen, accuracy(seen), False) for seen in evaluator.look(variables, wanted)]
  candidates = spread(len(val), LOOKED_AT)
  found = [View(seen, accuracy(seen), False) for seen in evaluator.look(variables, candidates)]
  chosen = {int(position) for position in spread(len(found), SHOWN)}
  rest = [
    position
    for position in range(len(found))
    if position not in chosen and not np.isnan(found[position].accuracy)
  ]
  worst = sorted(rest, key=lambda position: found[position].accuracy)[:WORST]
  return [found[position] for position in sorted(chosen)] + [
    found[position]._replace(worst=True) for position in worst
  ]


def frequencies(
  sources: Mapping[str, Source], class_names: Sequence[str]
) -> dict[str, tuple[list[float], list[float]]]:
  """Returns part -> (share of the known pixels, share of the images) of every class.

  At most `MASKS` masks of each part are read, spread over it.
  """
  found = {}
  for part, source in sources.items():
    counts = label_counts(source, spread(len(source), MASKS), class_names)
    pixels, images = class_counts(counts, len(class_names))
    found[part] = ((pixels / max(pixels.sum(), 1)).tolist(), (images / len(counts)).tolist())
  return found
