"""Reads the permutation in another project's pickled split, without unpickling it.

Synopsis:

    order = read_permutation(Path('split_0.pkl'))       # [N] int64, of 0..N-1
    names = labeled_names(dataset.train.names, order, count=372)

Unpickling runs whatever the file says. Here its opcodes are only listed
(`pickletools.genops` executes none), and the numbers are taken from their
arguments; what is not a permutation in the end is refused.
"""

from collections.abc import Sequence
from pathlib import Path
import pickletools

import numpy as np

from classmix_jax.types import UserError

INTEGERS = ('i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8')  # dtypes of NumPy, as pickled


def read_permutation(path: Path) -> np.ndarray:
  """Returns the `[N]` int64 permutation of 0..N-1 that a pickle holds as list or NumPy array.

  Raises:
    UserError: the file cannot be read, is no pickle, or holds something else.

  Example: `read_permutation(Path('split_0.pkl'))[:372]` are the labelled images of the
    original's Cityscapes split, as positions.
  """
  try:
    operations = list(pickletools.genops(path.read_bytes()))
  except OSError as error:
    raise UserError(f'--input={path} cannot be read ({error.strerror}).') from None
  except Exception as error:  # whatever a file that is no pickle makes the parser stumble over
    raise UserError(f'--input={path} is no pickle ({error}).') from None
  arguments = [(operation.name, argument) for operation, argument, _ in operations]
  numbers = _array(arguments)
  if numbers is None:
    numbers = np.array([a for name, a in arguments if name.startswith(('BININT', 'INT', 'LONG'))])
  if not len(numbers) or not np.array_equal(np.sort(numbers), np.arange(len(numbers))):
    raise UserError(
        f'--input={path} holds {len(numbers)} integers that are no permutation of 0, 1, 2, ...: '
        'expected is a pickled list or NumPy array of the positions of all training images.')
  return numbers.astype(np.int64)


def _array(arguments: Sequence[tuple[str, object]]) -> np.ndarray | None:
  """Returns the integers of a pickled NumPy array, None where there is none."""
  texts = [argument for _, argument in arguments if isinstance(argument, str)]
  kinds = [text for text in texts if text in INTEGERS]
  if not kinds:
    return None
  order = '>' if '>' in texts else '<'
  # The data are bytes; protocol 2 spells them as text of the same code points.
  payloads = [bytes(a) for _, a in arguments if isinstance(a, bytes | bytearray)]
  payloads += [text.encode('latin1') for text in texts if max(text, default='') < '\u0100']
  data = max(payloads, key=len)
  dtype = np.dtype(order + kinds[-1])
  return np.frombuffer(data[:len(data) // dtype.itemsize * dtype.itemsize], dtype)


def labeled_names(names: Sequence[str], order: np.ndarray, count: int) -> list[str]:
  """Returns the names at the first `count` positions of `order` among the sorted names.

  Raises:
    UserError: the permutation is of another length, or has fewer than `count` entries.

  Example: `labeled_names(['b', 'a', 'c'], np.array([2, 0, 1]), 2) == ['a', 'c']`.
  """
  if len(order) != len(names):
    raise UserError(
        f'the split permutes {len(order)} images, but the data set has {len(names)}: it belongs to '
        'another data set, or files are missing under config.data.root.')
  if not 1 <= count <= len(names):
    raise UserError(f'--labeled={count} must be 1 to {len(names)}.')
  ordered = sorted(names)
  return sorted(ordered[i] for i in order[:count])
