"""Builds the graph of an ONNX model: nodes, constants and their names.

Synopsis:

    graph = Graph()
    total = graph.add('Add', 'x', graph.add_constant(np.float32(1)))
    nodes, initializers = graph.find_used(['y'])
"""

from collections.abc import Iterable, Sequence
import hashlib
from typing import Any

import numpy as np
import onnx


class Graph:
  """Nodes and constants, of which equal ones exist once.

  Attributes:
    producers: name of a value -> the node that computes it.
    initializers: name of a constant -> its tensor.
    sizes: name of a size that differs from call to call -> a `sizes.Size`.
  """

  def __init__(self) -> None:
    self.producers: dict[str, onnx.NodeProto] = {}
    self.initializers: dict[str, onnx.TensorProto] = {}
    self.sizes: dict[str, Any] = {}
    self._names: dict[Any, Any] = {}

  def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
    """Adds a node with one output; returns the output's name."""
    return self.add_outputs(operator, inputs, 1, **attributes)[0]

  def add_outputs(
    self, operator: str, inputs: Sequence[str], count: int, **attributes: Any
  ) -> list[str]:
    """Adds a node with some outputs; returns their names."""
    key = (operator, *inputs, repr(sorted(attributes.items())))
    if key not in self._names:
      index = len(self._names)
      names = [f'{operator}_{index}' + (f'_{i}' if i else '') for i in range(count)]
      node = onnx.helper.make_node(operator, inputs, names, name=names[0], **attributes)
      self.producers.update(dict.fromkeys(names, node))
      self._names[key] = names
    return self._names[key]

  def add_like(self, node: onnx.NodeProto, inputs: Sequence[str]) -> str:
    """Adds a node with the operator and attributes of another one; returns its output's name."""
    attributes = {x.name: onnx.helper.get_attribute_value(x) for x in node.attribute}
    return self.add(node.op_type, *inputs, **attributes)

  def add_constant(self, values: Any) -> str:
    """Adds an array as an initializer; returns its name."""
    values = np.asarray(values, order='C')
    digest = hashlib.sha256(values.tobytes()).digest()
    key = (str(values.dtype), values.shape, digest)
    if key not in self._names:
      name = f'constant_{len(self._names)}'
      self.initializers[name] = onnx.numpy_helper.from_array(values, name)
      self._names[key] = name
    return self._names[key]

  def add_integers(self, values: Iterable[int]) -> str:
    """Adds a vector of int64, such as axes; returns its name."""
    return self.add_constant(np.asarray(list(values), np.int64))

  def find_producer(self, name: str, operator: str) -> onnx.NodeProto | None:
    """Returns the node that computes a value, or None if it is of another operator."""
    node = self.producers.get(name)
    return node if node is not None and node.op_type == operator else None

  def find_used(
    self, outputs: Sequence[str]
  ) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Returns the nodes and initializers that some values depend on, in order."""
    used, waiting = set(outputs), list(outputs)
    while waiting:
      node = self.producers.get(waiting.pop())
      for name in node.input if node is not None else ():
        if name not in used:
          used.add(name)
          waiting.append(name)
    nodes = {node.name: node for name, node in self.producers.items() if name in used}
    return list(nodes.values()), [x for name, x in self.initializers.items() if name in used]
