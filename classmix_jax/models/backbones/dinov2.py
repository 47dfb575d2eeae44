"""DINOv2's vision transformers (arXiv 2304.07193), with features of four blocks.

image, resized to multiples of 14
  -> 14x14 patches, class token, position embedding, register tokens
  -> blocks: x += ls1 attention(norm1 x); x += ls2 mlp(norm2 x)
  -> four levels [B, H / 14, W / 14, D]: the final norm of the patches after four of the blocks
"""

from typing import Any

import flax.linen as nn
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.encoded import EncodedImage, Image
from classmix_jax.core.resize import get_size, nearest_multiples, resize_bilinear
from classmix_jax.models.backbones.preprocessing import PREPROCESSING, Preprocessing, preprocess
from classmix_jax.models.layers.attention import attend
from classmix_jax.models.layers.conv_bn import check_output_stride
from classmix_jax.models.layers.folded_dense import Affine, FoldedDense, Standardize
from classmix_jax.models.layers.gelu import gelu
from classmix_jax.models.layers.position_embedding import (
  ANTIALIASED,
  OFFSET,
  interpolate_positions,
)
from classmix_jax.types import Array, Features, Size

PATCH = 14  # pixels
HEAD_WIDTH = 64
GRID = 37  # cells of the position embedding down and right: images of 518x518 in the training
NUM_REGISTERS = 4
EPSILON = 1e-6  # of the layer norms
KERNEL_INIT = nn.initializers.truncated_normal(0.02)


def choose_size(size: Size, scale: float = 1.0) -> Size:
  """Returns the multiples of 14 that are nearest to a size in pixels, times `scale`.

  Example:
    >>> choose_size((360, 480)), choose_size((5, 500), scale=2.0)
    ((364, 476), (14, 994))
  """
  return nearest_multiples(size, PATCH, scale)


class LayerScale(nn.Module):
  """Returns a factor for each of `width` channels."""

  @nn.compact
  def __call__(self, width: int) -> Array:
    return self.param('gamma', nn.initializers.ones, (width,))


def dense(features: int, dtype: Any, **options: Any) -> FoldedDense:
  """Builds a dense layer with DINOv2's initial weights."""
  return FoldedDense(features, dtype, KERNEL_INIT, **options)


class Attention(nn.Module):
  """Self-attention with heads of 64 channels."""

  dtype: Any

  @nn.compact
  def __call__(self, x: Array, before: Affine, factor: Array) -> Array:
    batch, count, width = x.shape
    qkv = dense(3 * width, self.dtype, name='qkv')(x, before)
    # The channels are all queries, then all keys, then all values, each head after head.
    parts = qkv.reshape(batch, count, 3, width // HEAD_WIDTH, HEAD_WIDTH)
    query, key, value = (lax.index_in_dim(parts, index, 2, keepdims=False) for index in range(3))
    x = attend(query, key, value).reshape(batch, count, width)
    return dense(width, self.dtype, name='proj')(x, factor=factor)


class MLP(nn.Module):
  """Two dense layers, four times as wide in between, with the exact GELU."""

  dtype: Any

  @nn.compact
  def __call__(self, x: Array, before: Affine, factor: Array) -> Array:
    width = x.shape[-1]
    x = dense(4 * width, self.dtype, activation=gelu, name='fc1')(x, before)
    return dense(width, self.dtype, name='fc2')(x, factor=factor)


class Block(nn.Module):
  """A transformer block with normalisation before, and layer scale after each part."""

  dtype: Any

  @nn.compact
  def __call__(self, x: Array) -> Array:
    width = x.shape[-1]
    normed, affine = Standardize(EPSILON, name='norm1')(x)
    x = x + Attention(self.dtype, name='attn')(normed, affine, LayerScale(name='ls1')(width))
    normed, affine = Standardize(EPSILON, name='norm2')(x)
    return x + MLP(self.dtype, name='mlp')(normed, affine, LayerScale(name='ls2')(width))


class DinoV2(nn.Module):
  """A vision transformer of DINOv2.

  Attributes:
    width: D, channels of a token.
    depth: number of blocks.
    taps: blocks, counted from 0, whose output is a level of the features.
    registers: whether there are register tokens; they also change how positions are interpolated.
    scale: factor by which images are enlarged before the network.
    output_stride: must be 14.
    bn: has no effect, there is no BN.
    dtype: of the computation; parameters are float32.
    preprocessing: of the image, see `preprocessing.py`.
    remat: whether the backward pass recomputes all of a block.
    pyramid: has no effect, all levels have the stride of the patches.

  Raises:
    UserError: the output stride is not 14.
  """

  width: int
  depth: int
  taps: tuple[int, ...]
  registers: bool = False
  scale: float = 1.0
  output_stride: int = PATCH
  bn: str = 'batch'
  dtype: Any = jnp.float32
  preprocessing: Preprocessing = PREPROCESSING['imagenet']
  remat: bool = False
  pyramid: bool = False

  def __post_init__(self):
    check_output_stride(self.output_stride, (PATCH,), 'DINOv2')
    super().__post_init__()

  def feature_grid(self, size: Size) -> Size:
    """Returns (h, w) of the features of images of a size."""
    height, width = choose_size(size, self.scale)
    return height // PATCH, width // PATCH

  @nn.compact
  def __call__(self, image: Image, train: bool) -> Features:
    """Maps `[B, H, W, 3]` in 0..1 to one level per tap, `[B, h, w, D]`.

    Images are resized to `choose_size((H, W), scale)`; h and w are 14 times smaller. If they come
    with features, these are the levels.
    """
    del train
    if isinstance(image, EncodedImage):
      parts = jnp.split(image.features.astype(self.dtype), len(self.taps), axis=-1)
      return Features(tuple(parts), (PATCH,) * len(parts))
    image = preprocess(image, self.preprocessing)
    size = choose_size(get_size(image), self.scale)
    image = resize_bilinear(image, size)
    grid = size[0] // PATCH, size[1] // PATCH
    x, taps = self.embed(image, grid), []
    block = nn.remat(Block) if self.remat else Block
    for index in range(self.depth):
      x = block(self.dtype, name=f'block{index}')(x)
      if index in self.taps:
        taps.append(lax.slice_in_dim(x, x.shape[1] - grid[0] * grid[1], None, axis=1))
    # The variance is not the difference of two large numbers.
    norm = nn.LayerNorm(EPSILON, dtype=self.dtype, use_fast_variance=False, name='norm')
    levels = tuple(norm(x).reshape(x.shape[0], *grid, self.width) for x in taps)
    return Features(levels, (PATCH,) * len(levels))

  def embed(self, image: Array, grid: Size) -> Array:
    """Returns the tokens `[B, N, D]` of the first block: class, registers, patches."""
    patches = nn.Conv(
      self.width, (PATCH, PATCH), strides=PATCH, padding='VALID', dtype=self.dtype,
      kernel_init=KERNEL_INIT, name='patch_embed',
    )(image)  # fmt: skip
    small = nn.initializers.normal(1e-6)
    class_token = self.param('cls_token', small, (1, 1, self.width))
    positions = self.param('pos_embed', KERNEL_INIT, (1, 1 + GRID**2, self.width))
    # Masks patches in the training of DINOv2 only.
    self.param('unused_mask_token', nn.initializers.zeros, (1, self.width))

    way = ANTIALIASED if self.registers else OFFSET
    square = positions[0, 1:].reshape(GRID, GRID, self.width)
    patches = patches + interpolate_positions(square, grid, way)[None].astype(patches.dtype)
    first = [class_token + positions[:, :1]]
    if self.registers:
      first.append(self.param('register_tokens', small, (1, NUM_REGISTERS, self.width)))
    batch = image.shape[0]  # `len` fails on a symbolic size in an export
    tokens = [jnp.broadcast_to(x, (batch, *x.shape[1:])).astype(patches.dtype) for x in first]
    return jnp.concatenate([*tokens, patches.reshape(batch, -1, self.width)], axis=1)
