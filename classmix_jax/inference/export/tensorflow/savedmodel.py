"""Writes SavedModels: graphs of TensorFlow's operations, their weights in files beside them."""

from collections.abc import Sequence
import os
from typing import Any

import tensorflow as tf

from classmix_jax.inference.export.tensorflow.backend import compute, fix
from classmix_jax.inference.export.tensorflow.context import Weights
from classmix_jax.inference.export.trace import Program


class Model(tf.Module):
  """Programs as functions of TensorFlow, and the weights that they share."""

  def __init__(self, programs: Sequence[Program]):
    super().__init__(name='model')
    self.weights = Weights()
    self.functions = [build_function(program, self.weights) for program in programs]
    self.__call__ = self.functions[0]


def build_function(program: Program, weights: Weights) -> Any:
  """Returns a program as a `tf.function` of `images`, traced."""
  (images,) = program.jaxpr.in_avals
  spec = tf.TensorSpec(fix(images.shape), tf.uint8, name='images')

  def call(images: tf.Tensor) -> dict[str, tf.Tensor]:
    return compute(program, images, weights)

  function = tf.function(call, input_signature=[spec], autograph=False)
  function.get_concrete_function()
  return function


def write_savedmodel(program: Program, directory: str | os.PathLike) -> None:
  """Writes a program as a SavedModel with the signature `serving_default`.

  Args:
    program: of `trace(network, 'b, h, w')`, for images of any number and size.
    directory: of the SavedModel.

  Raises:
    NotImplementedError: TensorFlow has no operation for one of the program.
  """
  model = Model([program])
  (function,) = model.functions
  tf.saved_model.save(model, os.fspath(directory), signatures=function.get_concrete_function())
