"""Writes SavedModels and TFLite files; imported when used, because TensorFlow is slow to load."""

from collections.abc import Callable
from pathlib import Path
import tempfile

from jax.experimental import jax2tf
import numpy as np
import tensorflow as tf

from classmix_jax.utils.atomic_write import replacing


def save(network: Callable, batch: int | None, size: tuple[int, int], folder: Path) -> None:
  """Writes a SavedModel for `batch` images, or for any number if it is None."""
  function = tf.function(
    jax2tf.convert(network, polymorphic_shapes=[f'({batch or "b"}, {size[0]}, {size[1]}, 3)']),
    input_signature=[tf.TensorSpec((batch, *size, 3), tf.uint8, name='images')],
    autograph=False,
  )
  module = tf.Module()
  module.f = function
  module.__call__ = function
  tf.saved_model.save(module, str(folder), signatures=function.get_concrete_function())


def write_savedmodel(network: Callable, size: tuple[int, int], folder: Path) -> Callable:
  """Writes a network from `[B, H, W, 3]` uint8 to named arrays; returns the model, loaded."""
  save(network, None, size, folder)
  return lambda images: tf.saved_model.load(str(folder)).f(tf.constant(images))


def write_tflite(network: Callable, size: tuple[int, int], path: Path) -> Callable:
  """Writes a network for one image, with TFLite's own operations only; returns it, loaded.

  For a batch of any size the converter lacks argmax and some slices.
  """
  with tempfile.TemporaryDirectory() as folder:
    save(network, 1, size, Path(folder))
    model = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
  with replacing(path) as temporary:
    temporary.write_bytes(model)
  call = tf.lite.Interpreter(str(path)).get_signature_runner()

  def each(images: np.ndarray) -> dict[str, np.ndarray]:
    outputs = [call(images=image[None]) for image in np.asarray(images)]
    return {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}

  return each
