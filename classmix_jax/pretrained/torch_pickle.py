"""Unpickles the tensors in files of torch.save without executing code; see torch_file.py.

Of the functions and classes that a pickle names only those of `ALLOWED` are replaced by functions
of this file; any other ends the reading.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
import pickle
from typing import Any, ClassVar, NamedTuple

import ml_dtypes
import numpy as np

STORAGE_DTYPES: Mapping[str, np.dtype] = {
  f'torch.{name}Storage': np.dtype(dtype)
  for name, dtype in (
    ('Float', '<f4'),
    ('Double', '<f8'),
    ('Half', '<f2'),
    ('BFloat16', ml_dtypes.bfloat16),
    ('Long', '<i8'),
    ('Int', '<i4'),
    ('Short', '<i2'),
    ('Char', 'i1'),
    ('Byte', 'u1'),
    ('Bool', '?'),
    ('ComplexFloat', '<c8'),
    ('ComplexDouble', '<c16'),
  )
}
DTYPE_NAMES = ('float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'uint8', 'bool')


class ForbiddenCallError(Exception):
  """The pickle names a function or class that is not in `ALLOWED`."""


class Storage(NamedTuple):
  """Elements that tensors share.

  Attributes:
    elements: [numel]; bfloat16 is widened to float32.
    dtype: in the file.
  """

  elements: np.ndarray
  dtype: np.dtype


def rebuild_tensor(
  storage: Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_: Any
) -> np.ndarray:
  """Returns a view of a storage; offset and strides count elements.

  Raises:
    ValueError, TypeError: the tensor exceeds its storage.
  """
  elements = storage.elements
  size = elements.itemsize
  return np.ndarray(
    tuple(shape), elements.dtype, elements, offset * size, tuple(size * step for step in strides)
  )


def rebuild_parameter(tensor: np.ndarray, *_: Any) -> np.ndarray:
  """Returns the tensor of a parameter."""
  return tensor


def rebuild_subclass(function: Any, _type: Any, arguments: Sequence[Any], *_: Any) -> np.ndarray:
  """Returns the tensor in an object of a class derived from Tensor."""
  return function(*arguments)


def rebuild_device(*arguments: Any) -> str:
  """Returns the name of a device, such as 'cuda:0'."""
  return ':'.join(map(str, arguments))


def rebuild_dtype(code: str, *_: Any) -> np.dtype:
  """Returns a dtype of numbers.

  Raises:
    ValueError: the code is that of another dtype.
  """
  dtype = np.dtype(code)
  if dtype.kind not in 'biuf':
    raise ValueError(f'a NumPy value of dtype {code}')
  return dtype


def rebuild_scalar(dtype: np.dtype, content: bytes) -> Any:
  """Returns a NumPy number, which checkpoints hold beside tensors, e.g. a mIoU."""
  return np.frombuffer(content, dtype, count=1)[0]


def encode(text: str, _encoding: str = 'latin1') -> bytes:
  """Returns the bytes that a pickle of protocol 2 stores as text."""
  return text.encode('latin1')


ALLOWED: Mapping[str, Any] = {
  'collections.OrderedDict': OrderedDict,
  'builtins.set': set,
  '__builtin__.set': set,
  '_codecs.encode': encode,
  'torch._utils._rebuild_tensor': rebuild_tensor,
  'torch._utils._rebuild_tensor_v2': rebuild_tensor,
  'torch._utils._rebuild_parameter': rebuild_parameter,
  'torch._utils._rebuild_parameter_with_state': rebuild_parameter,
  'torch._tensor._rebuild_from_type_v2': rebuild_subclass,
  'torch.Tensor': 'torch.Tensor',
  'torch.nn.parameter.Parameter': 'torch.nn.parameter.Parameter',
  'torch.Size': tuple,
  'torch.device': rebuild_device,
  'numpy.dtype': rebuild_dtype,
  # The names in NumPy 1 and 2.
  'numpy.core.multiarray.scalar': rebuild_scalar,
  'numpy._core.multiarray.scalar': rebuild_scalar,
  **STORAGE_DTYPES,
  **{f'torch.{name}': f'torch.{name}' for name in DTYPE_NAMES},
}


class TensorUnpickler(pickle._Unpickler):  # in Python, so that opcodes can be restricted
  """Unpickles nested dicts and lists of tensors, numbers and strings.

  Attributes:
    storages: by their keys, not yet filled.
    free_bytes: how many more bytes storages may have.
  """

  stack: list[Any]
  dispatch: ClassVar[dict[int, Any]] = dict(pickle._Unpickler.dispatch)

  def __init__(self, file: Any, max_bytes: int):
    super().__init__(file, encoding='utf-8')
    self.storages: dict[str, Storage] = {}
    self.free_bytes = max_bytes

  def find_class(self, module: str, name: str) -> Any:
    """Returns the entry of `ALLOWED`; raises ForbiddenCallError if it has none."""
    full_name = f'{module}.{name}'
    if full_name not in ALLOWED:
      raise ForbiddenCallError(full_name)
    return ALLOWED[full_name]

  def persistent_load(self, pid: Any) -> Storage:
    """Returns the storage of ('storage', dtype, key, device, numel, ...)."""
    kind, dtype, key, _, numel, *view = pid
    if kind != 'storage' or any(view) or not isinstance(dtype, np.dtype):
      raise ValueError(f'a reference to {kind!r}')
    if key not in self.storages:
      self.free_bytes -= numel * dtype.itemsize
      if numel < 0 or self.free_bytes < 0:
        raise ValueError('its tensors are larger than the file')
      widened = np.dtype(np.float32) if dtype == ml_dtypes.bfloat16 else dtype
      self.storages[key] = Storage(np.zeros(numel, widened), dtype)
    return self.storages[key]

  def load_build(self) -> None:
    """Ignores attributes, such as versions of modules, so that no object is changed."""
    state = self.stack.pop()
    if isinstance(self.stack[-1], np.dtype) and state[1] == '>':
      raise ValueError('numbers of a big-endian machine')

  dispatch[pickle.BUILD[0]] = load_build
