"""Compares the arrays of a checkpoint with those of a network, by name, shape and type.

Synopsis:

    saved = read_shapes(run / 'checkpoints' / '500')
    describe_difference(saved, list_shapes(state))        # '' if all arrays are alike
    describe_misfit(run / 'checkpoints' / '500', state)   # the same as a sentence
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from classmix_jax.types import PyTree
from classmix_jax.utils.text import describe_error
from classmix_jax.workdir.checkpoint_integrity import find_corruption


class ArrayShape(NamedTuple):
  """Shape and type of an array."""

  shape: tuple[int, ...]
  dtype: str

  def __str__(self) -> str:
    """Returns for example '3x3x32x4 float32', or 'one int32'."""
    return f'{"x".join(map(str, self.shape)) or "one"} {self.dtype}'


Shapes = Mapping[str, ArrayShape]  # by name, e.g. 'params/segmenter/head/classifier/bias'


def join_path(path: tuple[Any, ...]) -> str:
  """Joins a JAX key path as orbax names arrays; fields, keys and indices alike."""
  parts = (
    getattr(key, 'name', getattr(key, 'key', getattr(key, 'idx', None))) for key in path
  )  # fmt: skip
  return '/'.join(map(str, parts))


def list_shapes(tree: PyTree) -> dict[str, ArrayShape]:
  """Returns the shapes of a tree of arrays, or of anything that has a shape and a type.

  Example:
    >>> import numpy as np
    >>> str(list_shapes({'head': {'bias': np.zeros((2, 3))}})['head/bias'])
    '2x3 float64'
  """
  return {
    join_path(path): ArrayShape(tuple(leaf.shape), str(leaf.dtype))
    for path, leaf in jax.tree.leaves_with_path(tree)
    if hasattr(leaf, 'shape')  # orbax has entries for empty parts of an optimizer state, too
  }


def read_shapes(directory: Path) -> dict[str, ArrayShape]:
  """Returns the shapes of a checkpoint's arrays; a corrupt one can raise anything."""
  return list_shapes(ocp.PyTreeCheckpointHandler().metadata(directory.absolute() / 'default').tree)


def find_difference(saved: Shapes, expected: Shapes) -> str:
  """Returns the name of the first array that differs, parameters first; '' if none does."""
  differing = [
    name for name in saved.keys() | expected.keys() if saved.get(name) != expected.get(name)
  ]
  return min(differing, key=lambda name: (not name.startswith('params/'), name), default='')


def describe_difference(saved: Shapes, expected: Shapes) -> str:
  """Describes the first array that differs; '' if the checkpoint fits.

  Args:
    saved: of the checkpoint.
    expected: of the network.

  Example:
    >>> saved = {'bias': ArrayShape((3,), 'float32')}
    >>> describe_difference(saved, {'bias': ArrayShape((4,), 'float32')})
    'bias is 3 float32 in the checkpoint and 4 float32 in the network'
    >>> describe_difference(saved, {})
    'bias is in the checkpoint only'
  """
  name = find_difference(saved, expected)
  if not name:
    return ''
  if name not in expected:
    return f'{name} is in the checkpoint only'
  if name not in saved:
    return f'{name} is in the network only'
  return f'{name} is {saved[name]} in the checkpoint and {expected[name]} in the network'


def describe_misfit(directory: Path, state: PyTree) -> str:
  """Describes the first array that differs from a checkpoint's; '' if all are alike.

  Args:
    directory: of the checkpoint.
    state: arrays, or their shapes.

  Raises:
    OSError: the checkpoint is corrupt.
  """
  try:
    difference = describe_difference(read_shapes(directory), list_shapes(state))
  except Exception as error:  # a corrupt file can raise anything in the readers of many formats
    raise OSError(find_corruption(directory) or describe_error(error)) from error
  if not difference:
    return ''
  if corruption := find_corruption(directory):
    raise OSError(corruption)
  return (
    f'{directory} does not fit the network of this config: {difference}; use the config that '
    'wrote it, or another --workdir.'
  )
