"""The lowering of every primitive and function that exported networks have."""

from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any

from classmix_jax.inference.export.onnx.axes import AXES, expand
from classmix_jax.inference.export.onnx.convolution import CONVOLUTIONS
from classmix_jax.inference.export.onnx.elementwise import ELEMENTWISE
from classmix_jax.inference.export.onnx.functions import FUNCTIONS
from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.products import PRODUCTS
from classmix_jax.inference.export.onnx.reductions import REDUCTIONS
from classmix_jax.inference.export.onnx.value import Value

Lowerings = Mapping[str, Callable[..., Any]]

# Convolutions come last: a sum with a constant may be the bias of one.
OPERATIONS: Lowerings = {**ELEMENTWISE, **AXES, **REDUCTIONS, **PRODUCTS, **CONVOLUTIONS}


class Backend:
  """Operations of ONNX for `trace.lower`, which add nodes to a graph; see `trace.Backend`."""

  operations: Lowerings
  functions: Lowerings

  def __init__(self, graph: Graph):
    self.graph = graph
    self.operations = _bind(graph, OPERATIONS)
    self.functions = _bind(graph, FUNCTIONS)

  def expand(self, value: Any, shape: Sequence[Any]) -> Value:
    """Broadcasts a value to a shape, some of whose axes may have the length 1."""
    return expand(self.graph, value, shape)


def _bind(graph: Graph, lowerings: Lowerings) -> Lowerings:
  return {name: functools.partial(lowering, graph) for name, lowering in lowerings.items()}
