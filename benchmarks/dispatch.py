"""Times the host's part of a step: handing the arrays of a train state to the device.

    python benchmarks/dispatch.py [--backbone=tiny,resnet50,resnet101] [--head=deeplab_v2]
        [--method=classmix] [--output=FILE.json]

Calls a `pmap` that takes and returns as many arrays as the state has, each of at most 64 elements,
so that the device has next to nothing to do: once with the state as it is, and once as training
passes it (`core/packing.py`). Prints ms per call, the least of seven rounds of 20 calls.
"""

import argparse
from collections.abc import Callable
import os
from pathlib import Path
import sys
import time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ['JAX_PLATFORMS'] = 'cpu'

from compiled.step import Setting, state_shapes  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import json_file  # noqa: E402
from provenance import provenance  # noqa: E402

from classmix_jax.core.devices import replicated  # noqa: E402
from classmix_jax.core.packing import pack  # noqa: E402
from classmix_jax.types import AXIS, PyTree  # noqa: E402

ROUNDS, CALLS, LARGEST = 7, 20, 64


def small_arrays(shapes: PyTree) -> PyTree:
  """Returns an array of at most `LARGEST` elements for each shape, on one device."""
  arrays = jax.tree.map(lambda x: jnp.zeros(min(x.size, LARGEST), x.dtype), shapes)
  return jax.device_put(arrays, replicated(jax.devices()[:1]))


def make_step() -> Callable[[PyTree, jax.Array], PyTree]:
  """Returns a step that adds 1 to every array, with the arguments of `make_train_step`."""

  def add_one(state: PyTree, batch: jax.Array) -> PyTree:
    return jax.tree.map(lambda x: x + batch.astype(x.dtype), state)

  return jax.pmap(
    add_one,
    axis_name=AXIS,
    devices=jax.devices()[:1],
    in_axes=(None, 0),
    out_axes=None,
    donate_argnums=0,
  )


def time_calls(shapes: PyTree) -> float:
  """Returns ms per call for a state of these shapes."""
  step, state, batch = make_step(), small_arrays(shapes), jnp.ones(1)
  state = jax.block_until_ready(step(state, batch))
  rounds = []
  for _ in range(ROUNDS):
    begin = time.perf_counter()
    for _ in range(CALLS):
      state = step(state, batch)
    jax.block_until_ready(state)
    rounds.append(1000 * (time.perf_counter() - begin) / CALLS)
  return min(rounds)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--backbone', default='tiny,resnet50,resnet101')
  parser.add_argument('--head', default='deeplab_v2')
  parser.add_argument('--method', default='classmix')
  parser.add_argument('--output', default='')
  options = parser.parse_args()
  rows = []
  for backbone in options.backbone.split(','):
    state = state_shapes(Setting(backbone, options.head, options.method, (64, 64), 2))
    for name, shapes in (('as it is', state), ('packed', jax.eval_shape(pack, state))):
      row = {'backbone': backbone, 'state': name, 'arrays': len(jax.tree.leaves(shapes))}
      rows.append({**row, 'ms': time_calls(shapes)})
      print(f'{backbone:12} {name:9} {row["arrays"]:5} arrays {rows[-1]["ms"]:6.2f} ms', flush=True)
  json_file.write(options.output, {**provenance('jax'), 'rows': rows})


if __name__ == '__main__':
  main()
