"""Checks of arguments: shapes and dtypes are static, so they hold under jit and vmap, too.

Synopsis:

    label = class_ids(label, num_classes, ignore)      # int32, -1 at void pixels
    height, width = label_size(label)                  # ValueError for a batch of labels
"""

from collections.abc import Collection
import operator
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Int32, Integer
import numpy as np

from classmix_jax.types import Array, Size

Ids: TypeAlias = ArrayLike | Collection[int] | None  # class ids: one, several or none
VMAP = (
  'a mask is drawn for one image; for a batch use jax.vmap(MASK, in_axes=(0, 0, None))(keys, '
  'label, num_classes) with keys = jax.random.split(key, len(label))'
)


def check_rank(name: str, x: Any, axes: str, hint: str = '') -> None:
  """Raises ValueError if an array does not have these axes, such as 'B H W 3'.

  Args:
    name: of the argument.
    x: an array.
    axes: a letter for an axis of any length, a number for one of this length.
    hint: the remedy.
  """
  expected = axes.split()
  shape = np.shape(x)
  lengths = zip(expected, shape, strict=False)
  if len(shape) != len(expected) or any(
    axis.isdigit() and int(axis) != length for axis, length in lengths
  ):
    raise ValueError(
      f'{name} has the shape {shape}, expected is [{", ".join(expected)}]{_say(hint)}'
    )


def check_same_shape(hint: str = '', **arrays: Any) -> None:
  """Raises ValueError if the shapes of these arrays differ; the keywords are their names."""
  shapes = {name: np.shape(x) for name, x in arrays.items()}
  if len(set(shapes.values())) > 1:
    text = ' and '.join(f'{name} {shape}' for name, shape in shapes.items())
    raise ValueError(f'the shapes of {text} differ, expected are equal shapes{_say(hint)}')


def check_same_tree(new: Any, average: Any) -> None:
  """Raises ValueError if two trees have other keys or shapes; names the first that differs."""
  flat = map(jax.tree_util.tree_leaves_with_path, (new, average))
  leaves = [{jax.tree_util.keystr(path): np.shape(x) for path, x in pairs} for pairs in flat]
  for path in leaves[0] | leaves[1]:
    first, second = (shapes.get(path, 'none') for shapes in leaves)
    if first != second:
      raise ValueError(
        f'the shape of {path} is {first} in new and {second} in average, expected are equal trees.'
      )


def check_dtype(name: str, x: Any, kind: Any, hint: str = '') -> None:
  """Raises ValueError if the dtype of an array is not of a kind such as `jnp.floating`."""
  dtype = x.dtype if isinstance(x, jax.Array) else np.asarray(x).dtype
  if not jnp.issubdtype(dtype, kind):
    words = {jnp.integer: 'integers', jnp.floating: 'floats', jnp.bool_: 'bool'}
    raise ValueError(f'{name} has the dtype {dtype}, expected are {words[kind]}{_say(hint)}')


def _say(hint: str) -> str:
  return f': {hint}.' if hint else '.'


def label_size(label: Any) -> Size:
  """Returns (H, W) of one label `[H, W]`; raises ValueError with a hint for a batch."""
  check_rank('label', label, 'H W', VMAP)
  height, width = np.shape(label)
  return height, width


def class_ids(
  label: Integer[Array, '*shape'], num_classes: int, ignore: Ids = (), name: str = 'label'
) -> Int32[Array, '*shape']:
  """Returns class ids as int32, with -1 at all void pixels.

  Void are negative ids, `num_classes` and larger ones, and those in `ignore`.

  Args:
    label: integers of any shape and dtype.
    num_classes: C.
    ignore: ids in 0..C-1 that are void; others are void in any case.
    name: of the argument in an error.

  Raises:
    ValueError: label has no integers, or `num_classes` is not a static positive integer.

  Example:
    >>> class_ids(jnp.array([0, 1, 2, 3, -1, 255]), 3, ignore=1).tolist()
    [0, -1, 2, -1, -1, -1]
  """
  check_dtype(name, label, jnp.integer, f'class ids, as of {name}.astype(int)')
  num_classes = class_count(num_classes)
  if not isinstance(label, jax.Array):  # 2**32 would be 0 in 32 bits
    values = np.asarray(label).astype(np.int64)
    label = np.where((values >= 0) & (values < num_classes), values, -1)
  ids = jnp.asarray(label).astype(jnp.int32)
  known = (ids >= 0) & (ids < num_classes)
  for void in ignored_ids(ignore, num_classes):
    known &= ids != void
  return jnp.where(known, ids, -1)


def class_count(num_classes: Any) -> int:
  """Returns the number of classes; raises ValueError if it is not static and positive."""
  if isinstance(num_classes, jax.core.Tracer):
    raise ValueError(
      'num_classes is traced, expected is a Python integer: give jit '
      "static_argnames='num_classes', and vmap None among its in_axes."
    )
  try:
    count = operator.index(num_classes)
  except TypeError:
    count = 0
  if count < 1:
    raise ValueError(f'num_classes is {num_classes!r}, expected is a positive integer.')
  return count


def ignored_ids(ignore: Ids, num_classes: int) -> list[Any]:
  """Returns the ids of `ignore` that may be class ids; they may be traced.

  Raises:
    ValueError: they are not integers.

  Example:
    >>> ignored_ids((255, 0, -1), 3), ignored_ids(None, 3)
    ([0], [])
  """
  if ignore is None:
    return []
  ids = np.ravel(ignore) if isinstance(ignore, np.ndarray) else ignore
  values: list[Any] = list(ids) if np.iterable(ids) else [ids]
  for value in values:
    check_rank('ignore', value, '', 'one id or several, such as ignore=(0, 255)')
    check_dtype('ignore', value, jnp.integer, 'one id or several, such as ignore=(0, 255)')
  return [
    value for value in values if isinstance(value, jax.core.Tracer) or 0 <= value < num_classes
  ]
