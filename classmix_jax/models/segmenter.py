"""A segmentation network: backbone, head, and logits at the image's own size.

Synopsis:

    model = build_segmenter(BACKBONES['tiny'](), HEADS['deeplab_v2'], num_classes=11)
    params, batch_stats = initialize(model, key, image)
    logits, batch_stats = forward(model, params, batch_stats, image, train=True)
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.resize import resize_bilinear
from classmix_jax.models.layers.batch_norm import normalize_separately
from classmix_jax.types import Array, Features, PyTree

Perturbation = Callable[[Features], Features]


class Segmenter(nn.Module):
  """Maps images to per-pixel class logits.

  Attributes:
    backbone: see `classmix_jax/models/backbones/__init__.py` for the contract.
    head: maps `Features` to logits, smaller than the image.
  """

  backbone: nn.Module
  head: nn.Module

  def __call__(
    self,
    image: Array,
    train: bool,
    perturb: Perturbation = lambda features: features,
    upsample: bool = True,
  ) -> Array:
    """Maps `[B, H, W, 3]` float32 RGB in 0..1 to `[B, H, W, C]` float32 logits.

    `perturb` stands between backbone and head; it may change B. Without `upsample` the logits
    are as small as the head's, for `core/tiling.py`.
    """
    features = perturb(self.backbone(image, train))
    logits = self.head(features, train).astype(jnp.float32)
    return resize_bilinear(logits, image.shape[1:3]) if upsample else logits


def build_segmenter(
  backbone: nn.Module, head: Callable[..., nn.Module], num_classes: int
) -> Segmenter:
  """Joins a backbone and an entry of `HEADS`, made for its stride, BN mode and precision."""
  return Segmenter(
    backbone=backbone,
    head=head(
      num_classes=num_classes,
      output_stride=backbone.output_stride,
      bn=backbone.bn,
      dtype=backbone.dtype,
    ),
  )


def to_unit_range(image: Array) -> Array:
  """Converts uint8 0..255, as it travels to the device, to float32 0..1."""
  return image.astype(jnp.float32) / 255.0


def initialize(model: Segmenter, key: Array, image: Array) -> tuple[PyTree, PyTree]:
  """Returns `(params, batch_stats)` for images of the shape `[B, H, W, 3]`."""
  variables = model.init(key, jnp.zeros(image.shape, jnp.float32), train=False)
  return variables['params'], variables['batch_stats']


def forward(
  model: Segmenter,
  params: PyTree,
  batch_stats: PyTree,
  image: Array,
  *,
  train: bool,
  **options: Perturbation | bool,
) -> tuple[Array, PyTree]:
  """Returns `(logits [B, H, W, C], batch_stats)`; the statistics move only in training.

  `options` are those of `Segmenter.__call__`.
  """
  variables = {'params': params, 'batch_stats': batch_stats}
  if not train:
    return model.apply(variables, image, train=False, **options), batch_stats
  logits, updated = model.apply(variables, image, train=True, mutable=['batch_stats'], **options)
  # With frozen statistics (bn='running') there is nothing mutable to return.
  return logits, updated.get('batch_stats', batch_stats)


def forward_in_order(
  model: Segmenter,
  params: PyTree,
  batch_stats: PyTree,
  images: Sequence[Array],
  *,
  upsample: bool = True,
) -> tuple[list[Array], PyTree]:
  """Trains on several batches one after the other, computed as one.

  The numbers are those of a `forward` for each: BN normalises every batch by its own statistics,
  and the running ones follow first to last. One pass compiles and runs faster.

  Args:
    model, params, batch_stats: as for `forward`.
    images: batches `[b, H, W, 3]`, which differ in b only.
    upsample: of `Segmenter.__call__`.

  Returns:
    `(logits of each, batch_stats)`.
  """
  sizes = [len(image) for image in images]
  with normalize_separately(sizes):
    logits, batch_stats = forward(
      model, params, batch_stats, jnp.concatenate(images), train=True, upsample=upsample
    )
  return jnp.split(logits, np.cumsum(sizes)[:-1]), batch_stats
