"""Finds faults of a compiled training step; each of them has occurred in one.

Synopsis:

    for fault in faults(program, largest_kernel=7, donated=812):
      print(fault)
"""

from collections.abc import Iterator
import re

from compiled.hlo import Program

# Values that may be sorted or scattered: the scores of some images' classes, not their pixels.
FEW = 4096


def faults(program: Program, largest_kernel: int, donated: int) -> Iterator[str]:
  """Yields a sentence about each fault.

  Args:
    program: a training step compiled for a GPU or TPU.
    largest_kernel: side of the largest kernel among the network's parameters, in pixels.
    donated: number of arrays of the state; each must be updated in place.
  """
  if program.aliases < donated:
    yield f'{donated - program.aliases} of {donated} arrays of the state are not updated in place'
  for one in program.instructions:
    if one.op == 'select-and-scatter':
      yield f'{one.name}: select-and-scatter, the slow gradient of max-pooling ({one.path})'
    elif one.op in ('sort', 'scatter') and max(shape.size for shape in one.results) > FEW:
      yield f'{one.name}: {one.op} of {one.results[0].size:,} values ({one.path})'
    elif 'cudnn$conv' in one.target and window(one.attributes) > largest_kernel:
      yield (
        f'{one.name}: a convolution with a window of {window(one.attributes)} pixels, but no '
        f'kernel of the network is larger than {largest_kernel} ({one.path})'
      )


def window(attributes: str) -> int:
  """Returns the longer side of a convolution's window.

  Example:
    >>> window(', window={size=3x5 pad=1_1x2_2}, dim_labels=b01f_o01i->b01f')
    5
  """
  result = re.search(r'window=\{size=([\dx]+)', attributes)
  return max(map(int, result[1].split('x'))) if result else 1
