"""Writes tiny ONNX files with weights, as protocol buffers by hand.

Synopsis:

    path.write_bytes(onnx_model({'norm.bias': np.ones(2)}, [('/fc/MatMul', 'MatMul', ['x'])]))
"""

import numpy as np

ONNX_TYPES = {'float32': 1, 'float16': 10, 'float64': 11, 'int64': 7}


def varint(number):
  data = bytearray()
  while number > 127:
    data.append(number & 127 | 128)
    number >>= 7
  return bytes([*data, number])


def field(number, value):
  """A field: a number, or bytes with their length before them."""
  if isinstance(value, int):
    return varint(number << 3) + varint(value)
  value = value.encode() if isinstance(value, str) else value
  return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, x, *, raw=True):
  """A TensorProto; axes in one field if the data are raw, as protobuf 3 packs them."""
  dims = b''.join(map(varint, x.shape))
  axes = field(1, dims) if raw else b''.join(field(1, length) for length in x.shape)
  return (
    axes + field(2, ONNX_TYPES[x.dtype.name]) + field(8, name) + field(9 if raw else 4, x.tobytes())
  )


def node(name, kind, inputs):
  return b''.join(field(1, x) for x in inputs) + field(3, name) + field(4, kind)


def onnx_model(tensors, nodes=(), *, raw=True):
  """A ModelProto with initializers and nodes (name, type, inputs)."""
  graph = b''.join(field(1, node(*entry)) for entry in nodes)
  for name, x in tensors.items():
    graph += field(5, tensor(name, np.asarray(x), raw=raw))
  return field(1, 8) + field(2, 'test') + field(7, graph)
