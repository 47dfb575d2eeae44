"""Train states whose small arrays lie one after another in a few vectors.

Synopsis:

    packed = pack(state)
    packed, metrics = train_step(packed, batch)    # as fast as a state of a few arrays
    state = unpack(packed)

Of the 1375 arrays of a ResNet-101 with its teacher, 1088 have fewer than 2^16 elements, most of
them one per channel of a BN layer. On its own, each costs the host time in every step, and a device
a kernel that does next to nothing. XLA fuses most views of a vector into what reads them.
"""

from collections.abc import Iterable, Mapping
import functools
import math
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from classmix_jax.types import Array, PyTree, TrainState

SMALL = 2**16  # elements; larger arrays keep buffers of their own


class Layout(NamedTuple):
  """Where the arrays of a train state are, in the order of its leaves.

  Attributes:
    structure: of the state.
    shapes: of all arrays.
    dtypes: their names.
  """

  structure: Any
  shapes: tuple[tuple[int, ...], ...]
  dtypes: tuple[str, ...]


class PackedState(flax.struct.PyTreeNode):
  """The arrays of a `TrainState`: small ones in one vector per dtype, large ones as they are."""

  step: Any  # as in the state
  vectors: Mapping[str, Any]  # dtype -> elements of all small arrays
  large: tuple[Any, ...]
  layout: Layout = flax.struct.field(pytree_node=False)


def is_small(shape: tuple[int, ...]) -> bool:
  return math.prod(shape) < SMALL


@jax.jit
def join(arrays: Iterable[Array]) -> dict[str, Array]:
  """Concatenates the elements of arrays, one vector per dtype."""
  parts: dict[str, list[Array]] = {}
  for x in arrays:
    parts.setdefault(x.dtype.name, []).append(jnp.ravel(x))
  return {dtype: jnp.concatenate(flat) for dtype, flat in parts.items()}


@functools.partial(jax.jit, static_argnames='layout')
def split(vectors: Mapping[str, Array], layout: Layout) -> list[Array]:
  """Returns the small arrays of a layout, the inverse of `join`."""
  arrays, start = [], dict.fromkeys(vectors, 0)
  for shape, dtype in zip(layout.shapes, layout.dtypes, strict=True):
    if is_small(shape):
      stop = start[dtype] + math.prod(shape)
      arrays.append(vectors[dtype][start[dtype] : stop].reshape(shape))
      start[dtype] = stop
  return arrays


def pack(state: TrainState) -> PackedState:
  """Packs a state.

  Example:
    >>> state = TrainState(jnp.array(3), {'a': jnp.ones(2), 'b': jnp.zeros((1, 2))}, {}, (), {})
    >>> pack(state).vectors['float32'].tolist()
    [1.0, 1.0, 0.0, 0.0]
  """
  leaves, structure = jax.tree.flatten(state.replace(step=()))
  layout = Layout(structure, tuple(x.shape for x in leaves), tuple(x.dtype.name for x in leaves))
  large = tuple(x for x in leaves if not is_small(x.shape))
  return PackedState(state.step, join([x for x in leaves if is_small(x.shape)]), large, layout)


def pack_like(state: TrainState, old: TrainState | PackedState) -> TrainState | PackedState:
  """Returns the state packed if `old` is."""
  # With the same layout object, a call of the step compares no shapes.
  return pack(state).replace(layout=old.layout) if isinstance(old, PackedState) else state


def unpack(state: TrainState | PackedState) -> TrainState:
  """Returns the state that `pack` packed; one that is not packed is returned as it is."""
  if not isinstance(state, PackedState):
    return state
  layout = state.layout
  small, large = iter(split(state.vectors, layout)), iter(state.large)
  leaves: list[PyTree] = [next(small if is_small(shape) else large) for shape in layout.shapes]
  return jax.tree.unflatten(layout.structure, leaves).replace(step=state.step)
