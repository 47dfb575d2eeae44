"""Writes a traced network as an ONNX model.

Synopsis:

    write_onnx(trace(network, 'b, h, w'), Path('model.onnx'))
    onnxruntime.InferenceSession('model.onnx').run(['label', 'logits'], {'images': images})
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx

from classmix_jax import __version__
from classmix_jax.errors import UserError
from classmix_jax.inference.export.onnx.backend import Backend
from classmix_jax.inference.export.onnx.elementwise import onnx_type
from classmix_jax.inference.export.onnx.graph import Graph
from classmix_jax.inference.export.onnx.sizes import read_sizes
from classmix_jax.inference.export.onnx.value import Value, sort_axes
from classmix_jax.inference.export.trace import Program, lower
from classmix_jax.utils.atomic_write import replacing

# Opset 17 and IR 8 are of 2022 (ONNX 1.12): onnxruntime from 1.12, TensorRT from 8.6 and OpenVINO
# from 2023.0 read them. Later opsets have nothing that these networks need.
OPSET, IR_VERSION = 17, 8

LARGEST = 2**31 - 1  # bytes of a protocol buffer
INPUT = 'images'
SIZES = ('batch', 'height', 'width')  # names of the sizes of the input that may differ


def write_onnx(
  program: Program,
  path: Path,
  *,
  description: str = '',
  metadata: Mapping[str, str] = MappingProxyType({}),
) -> None:
  """Writes a traced network as an ONNX model, and checks it.

  Args:
    program: of a function of `images` `[b, h, w, 3]` uint8; names of sizes become 'batch',
      'height' and 'width'.
    path: of the file.
    description: stored as the model's doc string.
    metadata: further properties of the model.

  Raises:
    UserError: the model is larger than 2 GB.
    NotImplementedError: the network has an operation that has no lowering.
  """
  model = build_model(program, description)
  onnx.helper.set_model_props(model, dict(metadata))
  size = model.ByteSize()
  if size > LARGEST:
    raise UserError(
      f'the ONNX model has {size / 1e9:.1f} GB, and one file holds at most 2.1 GB; export this '
      'network as stablehlo or savedmodel.'
    )
  content = model.SerializeToString()
  onnx.checker.check_model(content, full_check=True)
  with replacing(path) as temporary:
    temporary.write_bytes(content)


def build_model(program: Program, description: str = '') -> onnx.ModelProto:
  """Returns the ONNX model of a traced network."""
  graph, images = Graph(), program.jaxpr.in_avals[0]
  read_sizes(graph, INPUT, images.shape)
  value = Value(INPUT, images.shape, np.dtype(images.dtype), tuple(range(len(images.shape))))
  outputs = lower(program, [value], Backend(graph))
  stored = {name: sort_axes(graph, output) for name, output in outputs.items()}
  for name, output in stored.items():
    graph.producers[name] = onnx.helper.make_node('Identity', [output.name], [name], name=name)
  nodes, initializers = graph.find_used(list(stored))
  names = {
    str(length): name
    for length, name in zip(images.shape, SIZES, strict=False)
    if not isinstance(length, int)
  }
  return onnx.helper.make_model(
    onnx.helper.make_graph(
      nodes,
      'classmix_jax',
      [describe_array(INPUT, images, names)],
      [
        describe_array(name, aval, names)
        for name, aval in zip(program.names, program.jaxpr.out_avals, strict=True)
      ],
      initializers,
    ),
    opset_imports=[onnx.helper.make_opsetid('', OPSET)],
    ir_version=IR_VERSION,
    producer_name='classmix_jax',
    producer_version=__version__,
    doc_string=description,
  )


def describe_array(name: str, aval: Any, names: Mapping[str, str]) -> onnx.ValueInfoProto:
  """Returns the type of an input or output; sizes without a name may differ."""
  shape = [x if isinstance(x, int) else names.get(str(x)) for x in aval.shape]
  return onnx.helper.make_tensor_value_info(name, onnx_type(aval.dtype), shape)
