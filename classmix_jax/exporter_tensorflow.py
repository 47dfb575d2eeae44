"""TensorFlow's half of `exporter.py`, imported only where a SavedModel is wanted."""

from collections.abc import Callable
from pathlib import Path

from jax.experimental import jax2tf
import tensorflow as tf


def write_savedmodel(network: Callable, size: tuple[int, int], folder: Path) -> Callable:
  """Writes `network`, `[B, H, W, 3]` uint8 to named arrays; returns what was written, loaded."""
  function = tf.function(
      jax2tf.convert(network, polymorphic_shapes=[f'(b, {size[0]}, {size[1]}, 3)']),
      input_signature=[tf.TensorSpec((None, *size, 3), tf.uint8, name='images')], autograph=False)
  module = tf.Module()
  module.f = function
  module.__call__ = function
  tf.saved_model.save(
      module, str(folder), signatures=function.get_concrete_function())
  return lambda images: tf.saved_model.load(str(folder)).f(tf.constant(images))
