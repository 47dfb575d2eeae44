"""Describes a family of weights files: tensor names, axis order, preprocessing.

Synopsis:

    layout = LAYOUTS['torchvision']
    path = 'backbone', 'layer1_0', 'conv1', 'kernel'
    layout.tensor_name(path)                                          # 'layer1.0.conv1.weight'
    layout.from_file(path, np.zeros((64, 3, 7, 7))).shape             # (7, 7, 3, 64)
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

ArrayPath = tuple[str, ...]  # of an array, from 'backbone' or 'head' to the leaf
Shape = tuple[int, ...]
Tensors = Mapping[str, np.ndarray]  # by name

# Axis permutations of kernels by number of axes. torch: [out, in, h, w] and [out, in]; flax:
# [h, w, in, out] and [in, out]. A depthwise kernel is [C, 1, h, w] in torch and [h, w, 1, C] in
# flax, which is the same permutation.
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


def choose_axes(
  path: ArrayPath, count: int, permutations: Mapping[int, tuple[int, ...]]
) -> tuple[int, ...]:
  """Returns the order of the `count` axes of an array; only kernels are permuted.

  Example:
    >>> choose_axes(('head', 'fc', 'kernel'), 2, TO_TORCH), choose_axes(('token',), 2, TO_TORCH)
    ((1, 0), (0, 1))
  """
  unchanged = tuple(range(count))
  return permutations.get(count, unchanged) if path[-1] == 'kernel' else unchanged


def join_torch_name(path: ArrayPath, to_module_name: Callable[[str], str]) -> str:
  """Joins the torch names of an array's modules and leaf; 'backbone' is left out.

  Example:
    >>> join_torch_name(('backbone', 'bn1', 'scale'), str.upper)
    'BN1.weight'
  """
  modules = path[1:-1] if path[0] == 'backbone' else path[:-1]
  return '.'.join([*map(to_module_name, modules), LEAVES.get(path[-1], path[-1])])


def keep_names(tensors: Tensors, path: Path) -> Tensors:
  """Returns the tensors of a file unchanged."""
  del path
  return tensors


class Layout(NamedTuple):
  """How a family of files stores a network.

  Attributes:
    tensor_name: path of an array in this project -> name of its tensor in the file.
    prefix: start, or starts, of a tensor name that occurs in these files only.
    head_prefixes: starts of the names of tensors outside the backbone.
    preprocessing: a name of PREPROCESSING, as the weights were trained; '' if it varies.
    torch_axes: whether kernels have torch's axis order.
    origins: `config['dataset']` in a training checkpoint -> (trained_on, preprocessing).
    normalize: converts the tensors of a file, whose path is for messages, to the names of this
      layout; raises UserError if they are of another network.
    min_matched: fraction of the backbone's tensors that must match.
  """

  tensor_name: Callable[[ArrayPath], str]
  prefix: str | tuple[str, ...] = ''
  head_prefixes: tuple[str, ...] = ()
  preprocessing: str = ''
  torch_axes: bool = True
  origins: Mapping[str, tuple[str, str]] = {}
  normalize: Callable[[Tensors, Path], Tensors] = keep_names
  min_matched: float = 0.9

  def is_head(self, name: str) -> bool:
    """Returns whether a tensor of this name is outside the backbone."""
    # `join_torch_name` writes 'head.' and 'stem.' for a network that the family does not have.
    return name.startswith((*self.head_prefixes, 'head.', 'head/', 'stem.', 'stem/'))

  def to_file_shape(self, path: ArrayPath, shape: Shape) -> Shape:
    """Returns the shape in the file of the array `path` with `shape` in this project."""
    axes = choose_axes(path, len(shape), TO_TORCH if self.torch_axes else {})
    return tuple(shape[axis] for axis in axes)

  def from_file(self, path: ArrayPath, x: np.ndarray) -> np.ndarray:
    """Converts a tensor of the file to the float32 array `path` in this project's axis order."""
    axes = choose_axes(path, x.ndim, FROM_TORCH if self.torch_axes else {})
    return np.asarray(x.transpose(axes), np.float32, order='C')

  def to_file(self, path: ArrayPath, x: np.ndarray) -> np.ndarray:
    """Converts the array `path` to the file's axis order; the inverse of `from_file`."""
    axes = choose_axes(path, x.ndim, TO_TORCH if self.torch_axes else {})
    return np.asarray(x.transpose(axes), order='C')


# Runs and converted directories of this project.
NATIVE = Layout('/'.join, torch_axes=False)
