"""Normalises images in one operation, whatever the number of sums and products.

Synopsis:

    normalize(context, x, 1 / 255.0, 0.0)       # x / 255
    normalize(context, y, 1.0, -mean)           # x / 255 - mean, as one convolution of x

TFLite's calibration for int8 reads the range of the input of an elementwise operation after the
operation has written its result to the same memory (TensorFlow 2.21): for (x / 255) * 255 it would
store x / 255 in steps of 1. A convolution has memory of its own, and its range is exact.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from classmix_jax.inference.export.tensorflow.context import Context

CHANNELS = 3


def normalize(context: Context, x: tf.Tensor, factor: Any, offset: Any) -> tf.Tensor:
  """Returns factor * x + offset, each a number or one for each channel, of `[b, h, w, 3]`."""
  source, factors, offsets = context.normalized.get(x.ref(), (x, 1.0, 0.0))
  factors, offsets = factors * factor, offsets * factor + offset
  kernel = np.broadcast_to(np.ravel(factors), CHANNELS).reshape(1, 1, CHANNELS, 1)
  bias = np.broadcast_to(np.ravel(offsets), CHANNELS)
  product = tf.nn.depthwise_conv2d(
    source, tf.constant(kernel, tf.float32), strides=(1, 1, 1, 1), padding='VALID'
  )
  y = tf.nn.bias_add(product, tf.constant(bias, tf.float32))
  context.normalized[y.ref()] = (source, factors, offsets)
  return y


def of_images(
  coefficients: Callable[[np.ndarray], tuple[Any, Any]], operation: Callable[..., tf.Tensor]
) -> Callable[..., tf.Tensor]:
  """Returns an operation that normalises images of a fixed size by constants.

  Args:
    coefficients: maps the constant to factor and offset.
    operation: for other inputs than such images and a constant.
  """

  def compute(context: Context, equation: Any, x: Any, y: Any) -> tf.Tensor:
    is_fixed = isinstance(x, tf.Tensor) and x.shape.is_fully_defined() and x.shape.rank == 4
    if is_fixed and x.dtype == tf.float32 and x.shape[-1] == CHANNELS and is_channelwise(y):
      return normalize(context, x, *coefficients(np.asarray(y, np.float64)))
    return operation(context, equation, x, y)

  return compute


def is_channelwise(value: Any) -> bool:
  """Returns whether a value is a constant number, or three for the last axis."""
  if not isinstance(value, np.ndarray):
    return False
  return value.size == 1 or (value.size == CHANNELS and value.shape[-1] == CHANNELS)
