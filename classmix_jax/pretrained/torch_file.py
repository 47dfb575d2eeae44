"""Reads files of torch.save without torch and without executing code.

Synopsis:

    content = read_torch(Path('resnet50-0676ba61.pth'))     # nested dicts of NumPy arrays

Such a file has a pickle, whose tensors refer to storages, and the bytes of the storages: a ZIP
archive since torch 1.6, one stream before.
"""

import os
from pathlib import Path
import pickle
from typing import Any, BinaryIO
import zipfile

import numpy as np

from classmix_jax.data.files.archives import check_growth
from classmix_jax.errors import UserError
from classmix_jax.pretrained.torch_pickle import ForbiddenCallError, Storage, TensorUnpickler
from classmix_jax.utils.text import describe_error

MAX_GROWTH = 2  # unpacked size / file size; torch stores arrays uncompressed
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C  # the first pickle of a stream
PICKLE_FILE = '/data.pkl'  # in an archive, below a directory with any name
LENGTH = np.dtype('<i8')  # of a storage in a stream, in elements, before its bytes


def fill(storage: Storage, file: Any) -> None:
  """Reads the elements of a storage from a binary file.

  Raises:
    EOFError: the file ends before.
  """
  size = storage.elements.size * storage.dtype.itemsize
  content = file.read(size)
  if len(content) != size:
    raise EOFError('it is cut off')
  storage.elements[:] = np.frombuffer(content, storage.dtype)


def read_archive(opened: zipfile.ZipFile) -> Any:
  """Returns the content of a file of torch 1.6 or newer."""
  name = next(name for name in opened.namelist() if name.endswith(PICKLE_FILE))
  directory = name.removesuffix(PICKLE_FILE)
  if f'{directory}/byteorder' in opened.namelist():
    check_byte_order(opened.read(f'{directory}/byteorder') == b'little')
  size = sum(member.file_size for member in opened.infolist())
  with opened.open(name) as file:
    unpickler = TensorUnpickler(file, max_bytes=size)
    content = unpickler.load()
  for key, storage in unpickler.storages.items():
    with opened.open(f'{directory}/data/{key}') as file:
      fill(storage, file)
  return content


def read_stream(file: BinaryIO) -> Any:
  """Returns the content of a file of torch before 1.6."""
  size = os.fstat(file.fileno()).st_size
  if TensorUnpickler(file, max_bytes=0).load() != MAGIC_NUMBER:
    raise pickle.UnpicklingError('the file has no magic number')
  TensorUnpickler(file, max_bytes=0).load()  # version of the protocol
  check_byte_order(TensorUnpickler(file, max_bytes=0).load()['little_endian'])
  unpickler = TensorUnpickler(file, max_bytes=size)
  content = unpickler.load()
  for key in TensorUnpickler(file, max_bytes=0).load():
    storage = unpickler.storages[key]
    if np.frombuffer(file.read(LENGTH.itemsize), LENGTH)[0] != storage.elements.size:
      raise ValueError(f'storage {key} has another size')
    fill(storage, file)
  return content


def check_byte_order(little_endian: bool) -> None:
  """Raises ValueError if the file is of a big-endian machine."""
  if not little_endian:
    raise ValueError('numbers of a big-endian machine')


def read_torch(path: Path) -> Any:
  """Reads a file of torch.save as nested dicts with NumPy arrays.

  Raises:
    UserError: the file is unreadable or holds objects other than dense tensors and plain values.
  """
  try:
    if zipfile.is_zipfile(path):
      with zipfile.ZipFile(path) as opened:
        check_growth(path, opened, MAX_GROWTH)
        return read_archive(opened)
    with open(path, 'rb') as file:
      return read_stream(file)
  except UserError:
    raise
  except (ForbiddenCallError, pickle.UnpicklingError, StopIteration) as error:
    forbidden = isinstance(error, ForbiddenCallError)
    problem = f'calls {error}' if forbidden else 'is not a file of torch'
    raise UserError(
      f'{path} {problem}; only tensors and plain values are read, and nothing was executed. Save '
      'its state dict alone.'
    ) from None
  except Exception as error:  # a corrupt pickle can raise anything
    raise UserError(
      f'{path} cannot be read as a file of torch ({describe_error(error)}).'
    ) from None
