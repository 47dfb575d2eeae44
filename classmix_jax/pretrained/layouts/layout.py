"""Describes a family of weights files: tensor names, axis order, preprocessing.

Synopsis:

    layout = LAYOUTS['torchvision']
    layout.tensor_name(('backbone', 'layer1_0', 'conv1', 'kernel'))   # 'layer1.0.conv1.weight'
    layout.from_file(np.zeros((64, 3, 7, 7))).shape                   # (7, 7, 3, 64)
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

ArrayPath = tuple[str, ...]  # of an array, from 'backbone' or 'head' to the leaf
Shape = tuple[int, ...]

# Axis permutations by number of axes. torch: [out, in, h, w] and [out, in]; flax: [h, w, in, out]
# and [in, out]. A depthwise kernel is [C, 1, h, w] in torch and [h, w, 1, C] in flax, which is the
# same permutation.
FROM_TORCH = {4: (2, 3, 1, 0), 2: (1, 0)}
TO_TORCH = {4: (3, 2, 0, 1), 2: (1, 0)}
# Leaf names, flax -> torch.
LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


def transpose(x: np.ndarray, axes: Mapping[int, tuple[int, ...]]) -> np.ndarray:
  """Permutes the axes of an array; returns it unchanged if `axes` lacks its number of axes."""
  return np.ascontiguousarray(x.transpose(axes[x.ndim])) if x.ndim in axes else x


def join_torch_name(path: ArrayPath, to_module_name: Callable[[str], str]) -> str:
  """Joins the torch names of an array's modules and leaf; 'backbone' is left out.

  Example:
    >>> join_torch_name(('backbone', 'bn1', 'scale'), str.upper)
    'BN1.weight'
  """
  modules = path[1:-1] if path[0] == 'backbone' else path[:-1]
  return '.'.join([*map(to_module_name, modules), LEAVES[path[-1]]])


class Layout(NamedTuple):
  """How a family of files stores a network.

  Attributes:
    tensor_name: path of an array in this project -> name of its tensor in the file.
    prefix: start of a tensor name that occurs in these files only.
    head_prefixes: starts of the names of tensors outside the backbone.
    preprocessing: a name of PREPROCESSING, as the weights were trained; '' if it varies.
    torch_axes: whether kernels have torch's axis order.
    origins: `config['dataset']` in a training checkpoint -> (trained_on, preprocessing).
  """

  tensor_name: Callable[[ArrayPath], str]
  prefix: str = ''
  head_prefixes: tuple[str, ...] = ()
  preprocessing: str = ''
  torch_axes: bool = True
  origins: Mapping[str, tuple[str, str]] = {}

  def is_head(self, name: str) -> bool:
    """Returns whether a tensor of this name is outside the backbone."""
    # `join_torch_name` writes 'head.' for a head that the family does not have.
    return name.startswith((*self.head_prefixes, 'head.', 'head/'))

  def to_file_shape(self, shape: Shape) -> Shape:
    """Returns the shape in the file of an array with `shape` in this project."""
    axes = TO_TORCH.get(len(shape)) if self.torch_axes else None
    return tuple(shape[axis] for axis in axes) if axes else tuple(shape)

  def from_file(self, x: np.ndarray) -> np.ndarray:
    """Converts a tensor of the file to a float32 array with this project's axis order."""
    x = np.asarray(x, np.float32)
    return transpose(x, FROM_TORCH) if self.torch_axes else x

  def to_file(self, x: np.ndarray) -> np.ndarray:
    """Converts an array to the file's axis order; the inverse of `from_file`."""
    return transpose(x, TO_TORCH) if self.torch_axes else x


# Runs and converted directories of this project.
NATIVE = Layout('/'.join, torch_axes=False)
