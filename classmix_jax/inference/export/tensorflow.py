"""Writes SavedModels and TFLite files; imported on use, because TensorFlow is slow to load."""

from collections.abc import Callable
from pathlib import Path
import tempfile

from jax.experimental import jax2tf
import numpy as np
import tensorflow as tf

from classmix_jax.utils.atomic_write import replacing


def save(network: Callable, batch: int | None, size: tuple[int, int], folder: Path) -> None:
  """Writes a SavedModel for `batch` images, None for any number."""
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
  """Writes `network`, `[B, H, W, 3]` uint8 to named arrays; returns what was written, loaded."""
  save(network, None, size, folder)
  return lambda images: tf.saved_model.load(str(folder)).f(tf.constant(images))


def write_tflite(network: Callable, size: tuple[int, int], path: Path) -> Callable:
  """Writes `network` for one image, of TFLite's own operations alone; returns it, loaded.

  Of a batch of any size the converter knows no argmax, and slices that it cannot write.
  """
  with tempfile.TemporaryDirectory() as folder:
    save(network, 1, size, Path(folder))
    model = tf.lite.TFLiteConverter.from_saved_model(folder).convert()
  with replacing(path) as temporary:
    temporary.write_bytes(model)
  call = tf.lite.Interpreter(str(path)).get_signature_runner()

  def each(images: np.ndarray) -> dict[str, np.ndarray]:
    found = [call(images=image[None]) for image in np.asarray(images)]
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}

  return each
