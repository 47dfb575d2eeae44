"""What differs between families of weights files: names, axes, preprocessing.

Synopsis:

    layout = LAYOUTS['torchvision']
    layout.name(('backbone', 'layer1_0', 'conv1', 'kernel'))   # 'layer1.0.conv1.weight'
    layout.from_file(np.zeros((64, 3, 7, 7))).shape            # (7, 7, 3, 64)
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Path = tuple[str, ...]  # of an array, from 'backbone' or 'head' to the leaf
Shape = tuple[int, ...]

# torch: [out, in, h, w] and [out, in]; flax: [h, w, in, out] and [in, out]. A depthwise
# kernel is [C, 1, h, w] there and [h, w, 1, C] here: the same order of axes.
FROM_TORCH = {4: (2, 3, 1, 0), 2: (1, 0)}
TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0)}
LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def transpose(x: np.ndarray, axes: dict[int, tuple[int, ...]]) -> np.ndarray:
  return np.ascontiguousarray(x.transpose(axes[x.ndim])) if x.ndim in axes else x


def join_torch_name(path: Path, to_module_name: Callable[[str], str]) -> str:
  """Joins the names of modules there, and of the leaf; the backbone itself has none.

  Example:
    >>> join_torch_name(('backbone', 'bn1', 'scale'), str.upper)
    'BN1.weight'
  """
  modules = path[1:-1] if path[0] == 'backbone' else path[:-1]
  return '.'.join([*map(to_module_name, modules), LEAVES[path[-1]]])


class Layout(NamedTuple):
  """How a family of files stores a network.

  Attributes:
    name: path of an array of this project -> name of its tensor in the file.
    mark: how the name of a tensor begins that only such files have.
    head: how names of tensors begin that do not belong to the backbone.
    preprocessing: what its weights expect, a name of PREPROCESSING.
    torch: whether kernels have torch's order of axes.
  """

  name: Callable[[Path], str]
  mark: str = ''
  head: tuple[str, ...] = ()
  preprocessing: str = ''
  torch: bool = True

  def is_head(self, name: str) -> bool:
    # 'head.' is what `to_torch_name` makes of a head that the family does not have.
    return name.startswith((*self.head, 'head.', 'head/'))

  def shape(self, shape: Shape) -> Shape:
    """The shape in the file of an array that has this shape here."""
    axes = TO_TORCH.get(len(shape)) if self.torch else None
    return tuple(shape[axis] for axis in axes) if axes else tuple(shape)

  def from_file(self, x: np.ndarray) -> np.ndarray:
    """Returns the float32 array of this project for a tensor of the file."""
    x = np.asarray(x, np.float32)
    return transpose(x, FROM_TORCH) if self.torch else x

  def to_file(self, x: np.ndarray) -> np.ndarray:
    """The inverse of `from_file`."""
    return transpose(x, TO_TORCH) if self.torch else x


# Runs and converted weights of this project.
NATIVE = Layout('/'.join, torch=False)
