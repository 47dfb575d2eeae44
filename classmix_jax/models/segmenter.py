"""The segmenter: a backbone, a head, and logits at the size of the image.

Synopsis:

    model = build_segmenter(BACKBONES['tiny'](), HEADS['deeplab_v2'], num_classes=11)
    model = build_segmenter(BACKBONES['tiny'](pyramid=True), HEADS['unet'], num_classes=11)
    params, batch_stats = initialize(model, key, image)
    logits, batch_stats = forward(model, params, batch_stats, image, train=True)
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
from jax.core import min_dim
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.encoded import Image, get_pixels, map_pixels
from classmix_jax.core.microbatch import concatenate
from classmix_jax.core.resize import cut, get_size, resize_bilinear
from classmix_jax.models.layers.batch_norm import normalize_separately
from classmix_jax.models.pyramid import check_levels
from classmix_jax.models.stem import Stem
from classmix_jax.types import Array, ArraySpec, Features, PyTree, Size

Perturbation = Callable[[Features], Features]
IMAGE_SHAPE = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)  # no parameter depends on it


class Segmenter(nn.Module):
  """Maps images to per-pixel class logits.

  Attributes:
    backbone: see `classmix_jax/models/backbones/__init__.py` for the contract.
    head: maps `Features` to logits, smaller than the image or of its size.
    stem: a `Stem`, whose levels come before those of the backbone, or None.
    freeze_backbone: whether the backbone's parameters never change.
  """

  backbone: nn.Module
  head: nn.Module
  stem: nn.Module | None = None
  freeze_backbone: bool = False

  def is_frozen(self, path: Sequence[str]) -> bool:
    """Returns whether the parameter at a path, network name first, never changes."""
    return self.freeze_backbone and 'backbone' in path

  def __call__(
    self,
    image: Image,
    train: bool,
    perturb: Perturbation = lambda features: features,
    upsample: bool = True,
  ) -> Array:
    """Maps `[B, H, W, 3]` float32 RGB in 0..1 to `[B, H, W, C]` float32 logits.

    Args:
      image: the batch, possibly with features from before, which the backbone then takes.
      train: whether BN normalises by the statistics of the batch and updates the running ones.
      perturb: applied to the features between backbone and head; may change B.
      upsample: False returns the logits at the head's size, for `core/tiling.py`.
    """
    logits, _ = self.predict_with_features(image, train, perturb)
    return resize_bilinear(logits, get_size(image)) if upsample else logits

  def predict_with_features(
    self, image: Image, train: bool, perturb: Perturbation = lambda features: features
  ) -> tuple[Array, Features]:
    """Returns the logits at the head's size, `[B, h, w, C]`, and the features before the head.

    Arguments are those of `__call__`; the features are perturbed.
    """
    features = self.backbone(image, train)
    if self.stem is not None:
      features = prepend(self.stem(get_pixels(image), train), features)
    features = perturb(features)
    logits = self.head(features, train).astype(jnp.float32)
    return cut_rounding(logits, get_size(image)), features


def cut_rounding(logits: Array, size: Size) -> Array:
  """Removes the row and column that logits doubled from a level exceed an odd size by.

  Example:
    >>> cut_rounding(jnp.zeros((1, 34, 24, 2)), (33, 48)).shape
    (1, 33, 24, 2)
  """
  height, width = map(min_dim, get_size(logits), size)
  return cut(logits, (height, width))


def prepend(levels: tuple[Array, Array], features: Features) -> Features:
  """Adds the levels of a stem, of stride 2 and 4, in front of those of a backbone."""
  return Features((*levels, *features.levels), (2, 4, *features.strides))


def build_segmenter(
  backbone: nn.Module,
  head: Callable[..., nn.Module],
  num_classes: int,
  *,
  bn: str = '',
  stem: bool = False,
  freeze_backbone: bool = False,
) -> Segmenter:
  """Builds a segmenter with a head for the stride, BN mode and precision of the backbone.

  Args:
    backbone: an instance of an entry of `BACKBONES`, of `pyramid.build_backbone`.
    head: an entry of `HEADS`.
    num_classes: C.
    bn: of head and stem, '' for that of the backbone.
    stem: whether a `Stem` adds levels of stride 2 and 4.
    freeze_backbone: see `Segmenter`.

  Raises:
    ValueError: the head takes a pyramid, which the backbone does not return.
    UserError: a stem would add levels that a pyramid already has.
  """
  check_levels(backbone, head, stem)
  bn = bn or backbone.bn
  return Segmenter(
    backbone=backbone,
    stem=Stem(bn=bn, dtype=backbone.dtype) if stem else None,
    freeze_backbone=freeze_backbone,
    head=head(
      num_classes=num_classes,
      output_stride=backbone.output_stride,
      bn=bn,
      dtype=backbone.dtype,
    ),
  )


def to_unit_range(image: Image) -> Image:
  """Converts uint8 0..255, the type of images in a batch, to float32 0..1."""
  return map_pixels(lambda pixels: pixels.astype(jnp.float32) / 255.0, image)


def initialize(model: nn.Module, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree]:
  """Returns `(params, batch_stats)`; `image` is `[B, H, W, 3]` or has that shape."""
  variables = model.init(key, jnp.zeros(image.shape, jnp.float32), train=False)
  return variables['params'], variables.get('batch_stats', {})


def initialize_on_features(
  network: nn.Module,
  key: Array,
  model: Segmenter,
  params: PyTree,
  batch_stats: PyTree,
  image: ArraySpec,
) -> PyTree:
  """Returns the parameters of a network that takes the features of a segmenter.

  Args:
    network: called with `Features`.
    key: decides its initial weights.
    model, params, batch_stats: the segmenter, of which nothing is computed.
    image: `[B, H, W, 3]` or has that shape.
  """

  def extract(variables: PyTree, image: Array) -> Features:
    method = Segmenter.predict_with_features
    predicted: Any = model.apply(variables, image, train=False, method=method)
    return predicted[1]

  variables = {'params': params, 'batch_stats': batch_stats}
  spec = jax.eval_shape(extract, variables, jax.ShapeDtypeStruct(image.shape, jnp.float32))
  zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), spec)
  return network.init(key, zeros)['params']


def forward(
  model: nn.Module,
  params: PyTree,
  batch_stats: PyTree,
  image: Image,
  *,
  train: bool,
  **options: Any,
) -> tuple[Array, PyTree]:
  """Returns `(logits [B, H, W, C], batch_stats)`; only training updates the statistics.

  `options` are `perturb` and `upsample` of `Segmenter.__call__`, or `method` of `model.apply`.
  """
  variables = {'params': params, 'batch_stats': batch_stats}
  if not train:
    predicted: Any = model.apply(variables, image, train=False, **options)
    return predicted, batch_stats
  logits, updated = model.apply(variables, image, train=True, mutable=['batch_stats'], **options)
  # With frozen statistics (bn='running'), `updated` is empty.
  return logits, updated.get('batch_stats', batch_stats)


def forward_with_features(
  model: nn.Module,
  params: PyTree,
  batch_stats: PyTree,
  image: Image,
  *,
  train: bool,
  **options: Any,
) -> tuple[Array, Features, PyTree]:
  """Returns `forward` at the head's size with the features before the head.

  Returns:
    `(logits [B, h, w, C], features, batch_stats)`.
  """
  method = Segmenter.predict_with_features
  predicted: Any
  predicted, batch_stats = forward(
    model, params, batch_stats, image, train=train, method=method, **options
  )
  logits, features = predicted
  return logits, features, batch_stats


def forward_in_order(
  model: Segmenter,
  params: PyTree,
  batch_stats: PyTree,
  images: Sequence[Image],
  *,
  upsample: bool = True,
) -> tuple[list[Array], PyTree]:
  """Computes consecutive training passes of several batches in a single pass.

  The result equals one `forward` per batch: BN normalises each batch by its own statistics and
  updates the running ones in order. A single pass compiles and runs faster.

  Args:
    model, params, batch_stats: see `forward`.
    images: batches `[b, H, W, 3]` that differ only in b.
    upsample: see `Segmenter.__call__`.

  Returns:
    `([logits [b, H, W, C], ...], batch_stats)`.
  """
  sizes = [len(image) for image in images]
  with normalize_separately(sizes):
    logits, batch_stats = forward(
      model, params, batch_stats, concatenate(images), train=True, upsample=upsample
    )
  return jnp.split(logits, np.cumsum(sizes)[:-1]), batch_stats
