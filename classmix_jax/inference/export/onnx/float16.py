"""Converts a written ONNX model to float16, except for what would lose or overflow.

Synopsis:

    write_float16(Path('model.onnx'), Path('model-float16.onnx'))

Convolutions and matrix products compute in float16, and so do operations such as ReLU on results of
these only. All else keeps float32: the input, sizes, resizing, sums (layer norm, means, softmax),
and the outputs. The converter is that of onnxruntime; onnxconverter-common, from which it descends,
would be one package more.
"""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import TensorProto
from onnxruntime.quantization.onnx_model import ONNXModel
from onnxruntime.transformers.float16 import convert_float_to_float16

from classmix_jax.inference.export.onnx.int8 import PRODUCTS, find_weighted
from classmix_jax.utils.atomic_write import replacing

# Computed in float16 if all inputs are; the range of these results is that of their inputs.
_FOLLOWING = (
  'Add Sub Mul Relu Clip Max Min MaxPool Concat Transpose Reshape Squeeze Unsqueeze Slice Split '
  'Gather Expand Pad Identity Erf Sigmoid Tanh Neg Abs'
)
FOLLOWING = frozenset(_FOLLOWING.split())
# Of them, those whose further inputs are sizes, axes or indices.
SHAPED = ('Reshape', 'Squeeze', 'Unsqueeze', 'Slice', 'Split', 'Gather', 'Expand', 'Pad')


def write_float16(source: Path, target: Path) -> None:
  """Writes an ONNX model in float16; inputs and outputs keep their types.

  Args:
    source: the model in float32.
    target: the file.
  """
  model = onnx.load(source)
  kept = find_float32(model.graph)
  separate_constants(model.graph, kept)
  converted = convert_float_to_float16(
    model, keep_io_types=True, op_block_list=[], node_block_list=kept
  )
  remove_casts(converted.graph)
  ONNXModel(converted).topological_sort()  # the converter appends its casts
  onnx.checker.check_model(converted, full_check=True)
  with replacing(target) as temporary:
    temporary.write_bytes(converted.SerializeToString())


def find_float32(graph: onnx.GraphProto) -> list[str]:
  """Returns the names of the nodes that keep float32."""
  constants = {tensor.name for tensor in graph.initializer}
  weighted = set(find_weighted(graph))
  after_weights: set[str] = set()  # values that depend on a product with weights
  half: set[str] = set()  # values in float16
  kept = []
  for node in graph.node:
    inputs = [name for name in node.input if name and name not in constants]
    if node.name in weighted or not after_weights.isdisjoint(inputs):
      after_weights.update(node.output)
    # A product before all weights resizes the image.
    is_product = node.op_type in PRODUCTS and not after_weights.isdisjoint(node.output)
    data = inputs[:1] if node.op_type in SHAPED else inputs
    if is_product or (node.op_type in FOLLOWING and inputs and half.issuperset(data)):
      half.update(node.output)
    else:
      kept.append(node.name)
  return kept


def separate_constants(graph: onnx.GraphProto, kept: Sequence[str]) -> None:
  """Gives nodes that keep float32 copies of constants that others use, too."""
  names = set(kept)
  floats = {x.name: x for x in graph.initializer if x.data_type == TensorProto.FLOAT}
  shared = {x for node in graph.node if node.name not in names for x in node.input if x in floats}
  copies: dict[str, str] = {}
  for node in graph.node:
    for index, name in enumerate(node.input):
      if node.name in names and name in shared:
        node.input[index] = copies.setdefault(name, f'{name}_float32')
  for name, copy in copies.items():
    tensor = graph.initializer.add()
    tensor.CopyFrom(floats[name])
    tensor.name = copy


def remove_casts(graph: onnx.GraphProto) -> None:
  """Removes casts to float16 and back, which the converter writes between nodes in float32."""
  rounded = {x.output[0]: x.input[0] for x in graph.node if is_cast(x, TensorProto.FLOAT16)}
  exact = {
    x.output[0]: rounded[x.input[0]]
    for x in graph.node
    if is_cast(x, TensorProto.FLOAT) and x.input[0] in rounded
  }
  outputs = {output.name for output in graph.output}
  for node in graph.node:
    if node.output[0] in exact.keys() & outputs:
      node.CopyFrom(onnx.helper.make_node('Identity', [exact[node.output[0]]], node.output[:]))
    for index, name in enumerate(node.input):
      node.input[index] = exact.get(name, name)
  used = outputs | {name for node in graph.node for name in node.input}
  nodes = [node for node in graph.node if node.op_type != 'Cast' or node.output[0] in used]
  del graph.node[:], graph.value_info[:]
  graph.node.extend(nodes)


def is_cast(node: onnx.NodeProto, to: int) -> bool:
  """Returns whether a node casts to a type."""
  return node.op_type == 'Cast' and node.attribute[0].i == to
