"""Recipes of networks for people's own images: head, weights and optimizer of each backbone.

They fill the fields that a config leaves open, see `complete.py`. docs/results.md has the
measurements that they were chosen by.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

DEFAULT, PRETRAINED = 'tiny', 'efficientnet_lite0'

FROM_SCRATCH: Mapping[str, Any] = MappingProxyType(
  {
    'model.head': 'unet_small',
    'model.pretrained': '',
    'batch_size': 8,
    'unlabeled_batch_size': 4,
    'labels_first': 0.5,
    'optim.rule': 'adamw',
    'optim.learning_rate': 1e-3,
    'optim.head_multiplier': 1.0,
    'optim.weight_decay': 0.01,
    'labeled_loss.balance': 0.5,
  }
)
NETWORKS: Mapping[str, Mapping[str, Any]] = {
  DEFAULT: FROM_SCRATCH,
  PRETRAINED: {
    **FROM_SCRATCH,
    'model.pretrained': 'efficientnet_lite0',
    'optim.learning_rate': 5e-4,
  },
}


def find_recipe(backbone: str) -> Mapping[str, Any]:
  """Returns field -> value for a backbone; without a recipe of its own, that of `tiny`."""
  return NETWORKS.get(backbone, FROM_SCRATCH)
