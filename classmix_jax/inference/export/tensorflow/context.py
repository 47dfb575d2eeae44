"""Holds what operations share: sizes that depend on the images, and the weights."""

from collections.abc import Mapping, Sequence
import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from classmix_jax.inference.export.dimensions import evaluate

FUNCTIONS: Mapping[str, Any] = {
  'floordiv': tf.math.floordiv,
  'mod': tf.math.floormod,
  'max': tf.maximum,
  'min': tf.minimum,
}

# Larger constants are variables: a graph is limited to 2 GB, and variables are stored beside it.
# The functions of several image sizes share them.
MIN_VARIABLE = 1024


class Weights(tf.Module):
  """The large constants of one or several functions, equal ones once."""

  def __init__(self):
    super().__init__(name='weights')
    self.variables_by_content: dict[str, tf.Variable] = {}

  def get(self, value: np.ndarray) -> tf.Variable:
    """Returns the variable with this value."""
    value = np.ascontiguousarray(value)
    content = hashlib.sha256(value.tobytes()).hexdigest()
    key = f'{value.dtype}_{"x".join(map(str, value.shape))}_{content}'
    if key not in self.variables_by_content:
      with tf.init_scope():  # outside of the function that is traced
        name = f'weight_{len(self.variables_by_content)}'
        self.variables_by_content[key] = tf.Variable(value, trainable=False, name=name)
    return self.variables_by_content[key]


class Context:
  """Symbolic sizes of one function, and its weights."""

  def __init__(self, images: tf.Tensor, shape: Sequence[Any], weights: Weights):
    """Takes the images, their shape with names for sizes that may differ, and the weights."""
    self.weights = weights
    lengths = tf.shape(images)
    self.names = {
      str(length): lengths[axis] for axis, length in enumerate(shape) if not isinstance(length, int)
    }
    self.evaluated: dict[str, Any] = {}
    self.normalized: dict[Any, tuple[tf.Tensor, Any, Any]] = {}  # see images.py

  def length(self, dimension: Any) -> Any:
    """Returns a length as an integer, or as a scalar int32 tensor."""
    if isinstance(dimension, int):
      return dimension
    key = str(dimension)
    if key not in self.evaluated:
      self.evaluated[key] = evaluate(dimension, self.names, FUNCTIONS)
    return self.evaluated[key]

  def lengths(self, shape: Sequence[Any]) -> Any:
    """Returns a shape as a list of integers, or as an int32 tensor."""
    values = [self.length(dimension) for dimension in shape]
    return values if all(isinstance(value, int) for value in values) else tf.stack(values)

  def tensor(self, value: Any) -> Any:
    """Returns an operand of TensorFlow's operations: large constants as variables."""
    if isinstance(value, np.ndarray):
      return self.weights.get(value) if value.size >= MIN_VARIABLE else tf.constant(value)
    return value
