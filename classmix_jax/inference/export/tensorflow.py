"""Writes SavedModels and TFLite files; imported lazily, because TensorFlow loads slowly."""

from collections.abc import Callable, Sequence
from pathlib import Path
import tempfile

import jax
from jax import export as jax_export
from jax.extend.mlir.dialects import stablehlo
import jax.numpy as jnp
import numpy as np
import tensorflow as tf
from tensorflow.compiler.tf2xla.python import xla

from classmix_jax.utils.atomic_write import replacing

# jax.export writes the StableHLO of its own release: 1.18 in jax 0.11.2, while TensorFlow 2.21
# reads up to 1.13. jax2tf has no option for an older version. 1.8 (2024) is older than
# TensorFlow 2.20.
STABLEHLO = '1.8.0'


def as_tensorflow(
  network: Callable, batch: int | None, size: tuple[int, int], platforms: Sequence[str]
) -> Callable:
  """Returns a network as one TensorFlow operation, for `batch` images, or any number if None."""
  images = jax.ShapeDtypeStruct((batch or jax_export.symbolic_shape('b')[0], *size, 3), jnp.uint8)
  program = jax_export.export(jax.jit(network), platforms=platforms)(images)
  module = stablehlo.serialize_portable_artifact_str(
    stablehlo.deserialize_portable_artifact_str(program.mlir_module_serialized), STABLEHLO
  )

  def call(images: tf.Tensor) -> dict[str, tf.Tensor]:
    outputs = xla.call_module(
      [images],
      module=module,
      version=program.calling_convention_version,
      platforms=[platform.upper() for platform in program.platforms],
      Tout=[value.dtype for value in program.out_avals],
      Sout=[
        [n if isinstance(n, int) else None for n in value.shape] for value in program.out_avals
      ],
    )
    return jax.tree.unflatten(program.out_tree, outputs)

  return call


def save(
  network: Callable,
  batch: int | None,
  size: tuple[int, int],
  directory: Path,
  platforms: Sequence[str],
) -> None:
  """Writes a SavedModel for `batch` images, or for any number if it is None."""
  function = tf.function(
    as_tensorflow(network, batch, size, platforms),
    input_signature=[tf.TensorSpec((batch, *size, 3), tf.uint8, name='images')],
    autograph=False,
  )
  module = tf.Module()
  module.f = function
  module.__call__ = function
  tf.saved_model.save(module, str(directory), signatures=function.get_concrete_function())


def write_savedmodel(
  network: Callable, size: tuple[int, int], directory: Path, platforms: Sequence[str]
) -> Callable:
  """Writes a network from `[B, H, W, 3]` uint8 to named arrays; returns the model, loaded."""
  save(network, None, size, directory, platforms)
  return lambda images: tf.saved_model.load(str(directory)).f(tf.constant(images))


def write_tflite(network: Callable, size: tuple[int, int], path: Path) -> Callable:
  """Writes a network for one image, with TFLite's own operations only; returns it, loaded.

  For a batch of any size the converter lacks argmax and some slices.
  """
  with tempfile.TemporaryDirectory() as directory:
    save(network, 1, size, Path(directory), ('cpu',))
    model = tf.lite.TFLiteConverter.from_saved_model(directory).convert()
  with replacing(path) as temporary:
    temporary.write_bytes(model)
  call = tf.lite.Interpreter(str(path)).get_signature_runner()

  def each(images: np.ndarray) -> dict[str, np.ndarray]:
    outputs = [call(images=image[None]) for image in np.asarray(images)]
    return {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}

  return each
