"""Initializes a training from weights, and describes them for the log and the run directory.

Synopsis:

    weights = open_weights(Path('resnet101COCO-41f33a49.pth'))
    tree, origin = initialize_from_weights(tree, weights)
    describe_weights('caffe', origin)   # lines of the fingerprint
"""

from collections.abc import Mapping, Sequence
from typing import Any

from classmix_jax.models.segmenter import Segmenter
from classmix_jax.pretrained import matching
from classmix_jax.pretrained.class_head import match_head
from classmix_jax.pretrained.load import Weights
from classmix_jax.types import PyTree

BACKBONE_DEFAULT = "the backbone's own"


def check_weights(tree: PyTree, weights: Weights) -> None:
  """Raises UserError if not enough of the backbone matches, see `matching.check_backbone`.

  Args:
    tree: `{'params': ..., 'batch_stats': ...}` of arrays or shapes.
    weights: of a file, a directory or a run.
  """
  result = matching.match_shapes(tree, weights)
  matching.check_backbone(result, weights.layout, f'config.model.pretrained={weights.name}')


def initialize_from_weights(
  tree: PyTree, weights: Weights, model: Segmenter | None = None, class_names: Sequence[str] = ()
) -> tuple[PyTree, dict[str, Any]]:
  """Copies matching weights into `{'params': ..., 'batch_stats': ...}` and prints a report.

  Args:
    tree: of the network, with its initial weights.
    weights: of a file, a directory or a run. The head of a run with other classes is matched by
      their names, see `class_head.py`.
    model: the network; None if its classes have no names.
    class_names: name of class 0, 1, ...

  Returns:
    The tree, and the content of the run's pretrained.json.

  Raises:
    UserError: not enough of the backbone matches, see `matching.check_backbone`.
  """
  line = ''
  if model is not None:
    weights, line = match_head(tree, weights, model, class_names)
  tree, result = matching.copy_matching(tree, weights)
  if weights.warning:
    print(f'warning: {weights.warning}')
  title, backbone = (
    f'pre-training: {weights.name}',
    matching.select_backbone(result, weights.layout),
  )
  if backbone.missing or backbone.wrong_shape:
    print(matching.format_report(result, weights.layout, title, most=6))
  else:  # names of other tensors do not help
    head = [text.strip() for text in matching.describe_head(result, weights.layout)]
    print('; '.join([f'{title}: {matching.format_matched_count(result)}', *head]))
  if line:
    print(line)
  matching.check_backbone(result, weights.layout, f'config.model.pretrained={weights.name}')
  if backbone.missing or backbone.wrong_shape:
    print('warning: a part of the backbone is not pretrained, see above.')
  return tree, {
    'name': weights.name,
    'sha256': weights.sha256,
    'trained_on': weights.trained_on,
    'preprocessing': weights.preprocessing,
    'matched': ', '.join(filter(None, [matching.format_matched_count(result), line])),
  }


def describe_weights(preprocessing: str, origin: Mapping[str, Any]) -> dict[str, str]:
  """Returns the fingerprint's lines on the initial weights and the preprocessing.

  Args:
    preprocessing: config.model.preprocessing.
    origin: see `initialize_from_weights`; empty without weights.

  Example:
    >>> describe_weights('', {})
    {'pre-training': 'none, from scratch', 'preprocessing': "the backbone's own"}
  """
  actual = preprocessing or BACKBONE_DEFAULT
  if not origin:
    return {'pre-training': 'none, from scratch', 'preprocessing': actual}
  expected = origin['preprocessing'] or BACKBONE_DEFAULT
  return {
    'pre-training': origin['trained_on'] or 'unknown data',
    'weights': f'{origin["name"]}, {origin["matched"]}',
    'preprocessing': actual if actual == expected else f'{actual}, but the weights are {expected}',
  }
