"""Functions of this package that TensorFlow has as one operation."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from classmix_jax.inference.export.tensorflow.context import Context


def resize_bilinear(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Resizes `[b, h, w, c]` with aligned corners."""
  size = context.lengths(equation.outvars[0].aval.shape[1:3])
  return tf.raw_ops.ResizeBilinear(images=context.tensor(x), size=size, align_corners=True)


def resize_centers(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Resizes `[b, h, w, c]` with aligned centers of the border pixels' areas."""
  size = context.lengths(equation.outvars[0].aval.shape[1:3])
  return tf.raw_ops.ResizeBilinear(images=context.tensor(x), size=size, half_pixel_centers=True)


def exact_gelu(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns the exact GELU in a form that TFLite recognises; it has no erf."""
  return tf.nn.gelu(context.tensor(x), approximate=False)


def top_probability(context: Context, equation: Any, x: Any) -> tf.Tensor:
  """Returns the largest probability of logits `[..., C]`.

  As a softmax, because TFLite's quantised division fails if a rounded divisor is 0.
  """
  return tf.reduce_max(tf.nn.softmax(context.tensor(x)), -1)


FUNCTIONS: Mapping[str, Callable[..., tf.Tensor]] = {
  'exact_gelu': exact_gelu,
  'resize_bilinear': resize_bilinear,
  'resize_centers': resize_centers,
  'top_probability': top_probability,
}
