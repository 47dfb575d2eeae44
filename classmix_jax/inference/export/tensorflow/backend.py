"""TensorFlow's operations as the backend of `trace.lower`."""

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any

import tensorflow as tf

from classmix_jax.inference.export.tensorflow import arrays, convolutions, elementwise, functions
from classmix_jax.inference.export.tensorflow.context import Context, Weights
from classmix_jax.inference.export.trace import Program, lower

OPERATIONS: Mapping[str, Callable[..., Any]] = {
  **elementwise.OPERATIONS,
  **arrays.OPERATIONS,
  **convolutions.OPERATIONS,
}


class TensorFlow:
  """The backend of one function; see `trace.Backend`."""

  def __init__(self, context: Context):
    self.context = context
    self.operations: Mapping[str, Callable[..., Any]] = _bind(OPERATIONS, context)
    self.functions: Mapping[str, Callable[..., Any]] = _bind(functions.FUNCTIONS, context)

  def expand(self, value: Any, shape: Sequence[Any]) -> tf.Tensor:
    """Broadcasts a value to a shape."""
    return tf.broadcast_to(self.context.tensor(value), self.context.lengths(shape))


def _bind(table: Mapping[str, Callable], context: Context) -> dict[str, Callable]:
  return {name: functools.partial(operation, context) for name, operation in table.items()}


def compute(program: Program, images: tf.Tensor, weights: Weights) -> dict[str, tf.Tensor]:
  """Returns the outputs of a program, computed by TensorFlow.

  Args:
    program: of `trace`.
    images: `[b, h, w, 3]` uint8.
    weights: where its large constants are stored.

  Raises:
    NotImplementedError: TensorFlow has no operation for one of the program.
  """
  (shape,) = program.jaxpr.in_avals
  context = Context(images, shape.shape, weights)
  outputs = lower(program, [images], TensorFlow(context))
  named = {name: tf.identity(context.tensor(value), name) for name, value in outputs.items()}
  for name, variable in zip(program.names, program.jaxpr.jaxpr.outvars, strict=True):
    named[name].set_shape(fix(variable.aval.shape))
  return named


def fix(shape: Sequence[Any]) -> list[int | None]:
  """Returns a shape with None for sizes that may differ from call to call."""
  return [length if isinstance(length, int) else None for length in shape]
