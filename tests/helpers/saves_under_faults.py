"""Run by test_faults.py with faults.so preloaded: every operation of a save goes wrong once.

    LD_PRELOAD=faults.so python saves_under_faults.py FOLDER

Saves a toy state of steps 1 and 2 in peace. Then, for each operation that a save of step 3 does on
the disk (it removes step 1, too), and for each way in which it can go wrong, a process of its own
saves step 3 beside a copy of the others, and another one restores. Prints one JSON line for each:
the operation, the way, how the save ended, and what was found afterwards.
"""

import ctypes
import json
import os
from pathlib import Path
import shutil
import sys
import warnings

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.types import TrainState
from classmix_jax.workdir import checkpoint

WAYS = {'fail': 1, 'kill': 2, 'cut': 3}
FAULTS = ctypes.CDLL(None)
FAULTS.faults_log.restype = ctypes.c_char_p


def state_of(step: int) -> TrainState:
  def array(*shape):
    return np.random.default_rng(step).normal(size=shape).astype(np.float32)

  return TrainState(
    step=np.int32(step),
    params={'a': array(3000), 'b': array(3, 4)},
    model_state={'mean': array(5)},
    opt_state=(),
    method_state={'teacher': array(7, 7)},
  )


def save(directory: Path, step: int) -> int:
  """Returns the exit status: 0 if saved, 2 if an error was reported."""
  try:
    with checkpoint.open_manager(directory / 'checkpoints') as manager:
      try:
        checkpoint.save(manager, step, jax.device_put(state_of(step), jax.devices()[0]), step / 10)
      finally:
        checkpoint.finish(manager)
  except UserError:
    return 2
  return 0


def restore(directory: Path) -> int:
  """Returns 10 + the step that was found, all of its bytes as they were saved; else 3."""
  try:
    with checkpoint.open_manager(directory / 'checkpoints') as manager:
      target = jax.device_put(state_of(9), jax.devices()[0])
      result = jax.device_get(checkpoint.restore_newest(manager, target))
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 3
  step = int(result.step)
  jax.tree.map(np.testing.assert_array_equal, result, state_of(step))
  left = [path.name for path in directory.glob('checkpoints/*') if not path.name.isdecimal()]
  return 3 if left else 10 + step


def in_a_process(function, *arguments) -> int:
  """Runs a function in a child of this process, which has imported all and computed nothing."""
  child = os.fork()
  if child == 0:
    status = 99
    try:
      status = function(*arguments)
    finally:
      sys.stderr.flush()
      os._exit(status)
  return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def save_under(directory: Path, nth: int, way: int) -> int:
  FAULTS.faults_arm(str(directory).encode(), nth, way)
  status = save(directory, 3)
  if not way:
    (directory.parent / 'kinds').write_bytes(FAULTS.faults_log())
  return status


def main(root: Path) -> None:
  assert [in_a_process(save, root / 'base', step) for step in (1, 2)] == [0, 0]
  shutil.copytree(root / 'base', root / 'peace')
  assert in_a_process(save_under, root / 'peace', 0, 0) == 0
  kinds = (root / 'kinds').read_text()
  for nth, kind in enumerate(kinds, 1):
    for name, way in WAYS.items():
      if name == 'cut' and kind != 'w':
        continue
      directory = root / f'{nth}-{name}'
      shutil.copytree(root / 'base', directory)
      ended = in_a_process(save_under, directory, nth, way)
      result = in_a_process(restore, directory)
      print(
        json.dumps({'nth': nth, 'kind': kind, 'way': name, 'ended': ended, 'found': result}),
        flush=True,
      )
      shutil.rmtree(directory)


if __name__ == '__main__':
  warnings.simplefilter('ignore')
  main(Path(sys.argv[1]))
