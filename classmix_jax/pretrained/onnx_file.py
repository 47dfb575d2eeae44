"""Reads the weights of ONNX files that torch exported, without a package for ONNX.

Synopsis:

    tensors = read_onnx(Path('vit_s_focus.onnx'))   # names and axes as in torch's state dict

An ONNX file is a protocol buffer. Numbers of fields are those of the schema onnx.proto3, see
https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
"""

from collections.abc import Iterator
import math
from pathlib import Path

import numpy as np

from classmix_jax.errors import UserError

Field = tuple[int, int | memoryview]  # number and value: a varint, or the bytes of anything else

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
GRAPH = 7  # of ModelProto
NODE, INITIALIZER = 1, 5  # of GraphProto
NODE_INPUT, NODE_NAME, NODE_TYPE = 1, 3, 4  # of NodeProto
DIMS, DATA_TYPE, FLOAT_DATA, TENSOR_NAME, RAW_DATA, DATA_LOCATION = 1, 2, 4, 8, 9, 14  # TensorProto
FLOAT_DTYPES = {1: '<f4', 10: '<f2', 11: '<f8'}  # by DATA_TYPE; integers are no weights
UNNAMED = 'onnx::'  # start of the name of a tensor that torch changed on export


def read_varint(data: memoryview, position: int) -> tuple[int, int]:
  """Returns a number of seven bits per byte, the lowest first, and the position after it."""
  number = shift = 0
  while True:
    byte = data[position]
    number |= (byte & 127) << shift
    position, shift = position + 1, shift + 7
    if byte < 128:
      return number, position
    if shift > 63:
      raise ValueError('a number has more than 64 bits')


def read_fields(message: memoryview) -> Iterator[Field]:
  """Yields the fields of a message.

  Raises:
    IndexError, ValueError: the message is corrupt.

  Example:
    >>> [(number, bytes(x)) for number, x in read_fields(memoryview(bytes([34, 1, 65])))]
    [(4, b'A')]
  """
  position = 0
  while position < len(message):
    key, position = read_varint(message, position)
    number, wire_type = key >> 3, key & 7
    if wire_type == VARINT:
      value, position = read_varint(message, position)
      yield number, value
      continue
    if wire_type == BYTES:
      length, position = read_varint(message, position)
    elif wire_type in (FIXED32, FIXED64):
      length = 4 if wire_type == FIXED32 else 8
    else:
      raise ValueError(f'a field has the wire type {wire_type}')
    if position + length > len(message):
      raise ValueError('it is truncated')
    yield number, message[position : position + length]
    position += length


def to_bytes(value: int | memoryview) -> memoryview:
  """Returns the bytes of a field; raises ValueError if it is a number."""
  if isinstance(value, int):
    raise ValueError('a field is a number instead of bytes')
  return value


def to_text(value: int | memoryview) -> str:
  """Decodes a string; UnicodeDecodeError is a ValueError."""
  return bytes(to_bytes(value)).decode()


def read_dims(value: int | memoryview) -> Iterator[int]:
  """Yields the lengths of axes in one field, which may hold all of them."""
  if isinstance(value, int):
    yield value
    return
  position = 0
  while position < len(value):
    length, position = read_varint(value, position)
    yield length


def read_tensor(message: memoryview) -> tuple[str, np.ndarray | None]:
  """Returns the name of a TensorProto and its array, None if it does not hold floats."""
  name, dtype, shape, parts = '', '', [], []
  for number, value in read_fields(message):
    if number == TENSOR_NAME:
      name = to_text(value)
    elif number == DATA_TYPE:
      dtype = FLOAT_DTYPES.get(value, '') if isinstance(value, int) else ''
    elif number == DIMS:
      shape.extend(read_dims(value))
    elif number in (RAW_DATA, FLOAT_DATA):
      parts.append(to_bytes(value))
    elif number == DATA_LOCATION and value:
      raise ValueError('its tensors are in another file')
  if not dtype:
    return name, None
  data = parts[0] if len(parts) == 1 else b''.join(parts)
  if len(data) != math.prod(shape) * np.dtype(dtype).itemsize:
    raise ValueError(f'{name} has {len(data)} bytes, which do not fit the shape {shape}')
  return name, np.frombuffer(data, dtype).reshape(shape)


def read_node(message: memoryview) -> tuple[str, str, list[str]]:
  """Returns name, type and inputs of a NodeProto."""
  name = kind = ''
  inputs = []
  for number, value in read_fields(message):
    if number == NODE_INPUT:
      inputs.append(to_text(value))
    elif number == NODE_NAME:
      name = to_text(value)
    elif number == NODE_TYPE:
      kind = to_text(value)
  return name, kind, inputs


def to_module_name(node: str) -> str:
  """Returns the torch name of the module that a node is part of.

  Example:
    >>> to_module_name('/encoder/layer.0/mlp/fc1/MatMul')
    'encoder.layer.0.mlp.fc1'
  """
  return '.'.join(node.strip('/').split('/')[:-1])


def restore_names(
  tensors: dict[str, np.ndarray], nodes: list[tuple[str, str, list[str]]]
) -> dict[str, np.ndarray]:
  """Names the tensors that torch changed on export after the nodes that use them.

  The transposed weight of a linear layer gets back its name and axes `[out, in]`. Other tensors,
  for example a slice of a parameter, are named after the module and the type of the node.
  """
  names = {
    name: (to_module_name(node), kind)
    for node, kind, inputs in nodes
    for name in inputs
    if name.startswith(UNNAMED) and name in tensors
  }
  result = {}
  for name, x in tensors.items():
    module, kind = names.get(name, ('', ''))
    if kind == 'MatMul' and x.ndim == 2:
      result[f'{module}.weight'] = x.T
    else:
      result[f'{module}.{kind}' if kind else name] = x
  return result


def read_onnx(path: Path) -> dict[str, np.ndarray]:
  """Reads the floating-point tensors of a model that torch exported.

  Args:
    path: the file; tensors in other files beside it are not read.

  Raises:
    UserError: the file is unreadable or is not such a model.
  """
  try:
    model = memoryview(path.read_bytes())
    graphs = [to_bytes(value) for number, value in read_fields(model) if number == GRAPH]
    if len(graphs) != 1:
      raise ValueError(f'it has {len(graphs)} graphs instead of one')
    content = list(read_fields(graphs[0]))
    tensors = dict(read_tensor(to_bytes(x)) for number, x in content if number == INITIALIZER)
    nodes = [read_node(to_bytes(x)) for number, x in content if number == NODE]
  except (IndexError, ValueError, OverflowError) as error:
    raise UserError(f'{path} cannot be read as ONNX ({error}).') from None
  except OSError as error:
    raise UserError(f'{path} cannot be read ({error.strerror}).') from None
  return restore_names({name: x for name, x in tensors.items() if x is not None}, nodes)
