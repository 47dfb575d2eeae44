"""Starting a training from weights: what is taken, what is said, what is remembered.

Synopsis:

    tree, origin = take_over(tree, open_weights(Path('resnet101COCO-41f33a49.pth')))
    settings('caffe', origin)   # lines of the fingerprint
"""

from collections.abc import Mapping
from typing import Any

from classmix_jax.pretrained import matching
from classmix_jax.pretrained.load import Weights
from classmix_jax.types import PyTree

OWN_WAY = "the backbone's own"


def take_over(tree: PyTree, weights: Weights) -> tuple[PyTree, dict[str, Any]]:
  """Fits weights into `{'params': ..., 'batch_stats': ...}` and prints the account.

  Returns:
    The tree, and what the run remembers of the weights in pretrained.json.

  Raises:
    UserError: less than 90 % of the backbone fits.
  """
  tree, account = matching.fit(tree, weights)
  if weights.warning:
    print(f'warning: {weights.warning}')
  print(matching.report(account, weights.layout, f'pre-training: {weights.name}', most=6))
  matching.check_start(account, weights.layout, f'config.model.pretrained={weights.name}')
  lost = matching.backbone(account, weights.layout)
  if lost.missing or lost.wrong_shape:
    print('warning: a part of the backbone is not pretrained, see above.')
  return tree, {
    'name': weights.name,
    'sha256': weights.sha256,
    'trained_on': weights.trained_on,
    'preprocessing': weights.preprocessing,
    'matched': matching.matched_count(account),
  }


def settings(preprocessing: str, origin: Mapping[str, Any]) -> dict[str, str]:
  """What the fingerprint says of the weights and of how images are fed.

  Args:
    preprocessing: config.model.preprocessing.
    origin: see `take_over`.

  Example:
    >>> settings('', {})
    {'pre-training': 'none, from scratch', 'preprocessing': "the backbone's own"}
  """
  found = preprocessing or OWN_WAY
  if not origin:
    return {'pre-training': 'none, from scratch', 'preprocessing': found}
  expected = origin['preprocessing'] or OWN_WAY
  return {
    'pre-training': origin['trained_on'] or 'unknown data',
    'weights': f'{origin["name"]}, {origin["matched"]}',
    'preprocessing': found if found == expected else f'{found}, but the weights are {expected}',
  }
