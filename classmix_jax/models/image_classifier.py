"""Multi-label image classifier, and its fusion with a segmentation (s4GAN with MLMT).

Synopsis:

    classifier = ImageClassifier(BACKBONES['tiny'](), num_classes=11)
    presence = classifier.apply(variables, image, train=False)       # [B, C]
    logits = predict_logits(model, network, image)                 # [B, H, W, C]
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from classmix_jax.models.segmenter import Segmenter, forward
from classmix_jax.types import Array, PyTree

PRESENCE_THRESHOLD = 0.2  # minimum probability of a present class (arXiv 1908.05724)


class ImageClassifier(nn.Module):
  """Multi-label classifier: a backbone, global average pooling and a dense layer.

  Attributes:
    backbone: see `classmix_jax/models/backbones/__init__.py`.
    num_classes: C.
  """

  backbone: nn.Module
  num_classes: int

  @nn.compact
  def __call__(self, image: Array, train: bool) -> Array:
    """Maps `[B, H, W, 3]` float32 RGB in 0..1 to `[B, C]` float32 logits of presence."""
    features = jnp.mean(self.backbone(image, train).levels[-1].astype(jnp.float32), axis=(1, 2))
    return nn.Dense(self.num_classes, name='logits')(features)


def mask_absent_classes(logits: Array, presence: Array) -> Array:
  """Sets the logits of absent classes to 0, as the original fuses its branches.

  An absent class is still predicted where the logits of all other classes are negative.

  Args:
    logits: `[B, H, W, C]`.
    presence: `[B, C]` logits of presence.

  Example:
    >>> mask_absent_classes(jnp.full((1, 1, 1, 2), 3.0), jnp.array([[1.0, -9.0]])).tolist()
    [[[[3.0, 0.0]]]]
  """
  present = jax.nn.sigmoid(presence) >= PRESENCE_THRESHOLD
  return logits * present[:, None, None, :]


def predict_logits(model: Segmenter, network: Mapping[str, PyTree], image: Array) -> Array:
  """Computes the logits `[B, H, W, C]` of a network from `Method.networks`.

  Args:
    model: the segmenter.
    network: has 'params' and 'batch_stats', and optionally 'classifier': the variables of an
      `ImageClassifier` with the segmenter's backbone, which masks absent classes.
    image: `[B, H, W, 3]` float32 RGB in 0..1.
  """
  logits, _ = forward(model, network['params'], network['batch_stats'], image, train=False)
  if 'classifier' not in network:
    return logits
  classifier = ImageClassifier(model.backbone, logits.shape[-1])
  presence: Any = classifier.apply(network['classifier'], image, train=False)
  return mask_absent_classes(logits, presence)
