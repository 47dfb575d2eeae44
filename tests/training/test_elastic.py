"""A run that resumes on another number of devices reads and learns the same."""

import zlib

import jax
import numpy as np
import pytest
import toy

from classmix_jax.config import setup
from classmix_jax.training import stages
from classmix_jax.training.preemption import Stop
from classmix_jax.utils.interrupt import Stopped
from classmix_jax.workdir import checkpoint_lookup

STEPS = 8
PARTS = ((8, 2), (4, 4), (1, 6), (8, STEPS))  # devices, and after which step they are taken away


class StopAfter(Stop):
  def __init__(self, step):
    super().__init__()
    self.last, self.reached = step, 0

  def __call__(self):
    return self.reached == self.last < STEPS


def train_on(devices, until, data, run, monkeypatch):
  """Trains to a step; returns a checksum of every example of every step, in global order."""
  seen, loop, stop = [], stages.train, StopAfter(until)

  def noting(state, train_step, batches, **options):
    def noted():
      for batch in batches:
        for x in jax.tree.leaves(batch):
          # [D, A, b, ...]: with A = 1 the examples stand in the order of the global batch.
          assert x.shape[:3] == (devices, 1, 8 // devices)
          examples = np.asarray(x).reshape(8, *x.shape[3:])
          seen.extend(zlib.crc32(np.ascontiguousarray(example)) for example in examples)
        yield batch

    return loop(state, train_step, noted(), **options)

  with monkeypatch.context() as patch:
    patch.setattr(setup, 'choose_devices', lambda config: jax.devices()[:devices])
    patch.setattr(stages, 'train', noting)
    config = toy.config(
      data,
      steps=STEPS,
      batch_size=8,
      unlabeled_batch_size=8,
      eval_every=0,
      checkpoint_every=100,
      **{'data.scale': (0.8, 1.25)},
    )
    try:
      toy.train(config, run, on_step=lambda step: setattr(stop, 'reached', step), stop=stop)
    except Stopped as stopped:
      assert stopped.step == until
  return seen


@pytest.mark.slow
def test_8_4_1_8_devices(tmp_path, monkeypatch):
  data = toy.write_folder(tmp_path / 'data', labeled=12, unlabeled=20)
  run, undisturbed = tmp_path / 'run', tmp_path / 'undisturbed'
  expected = train_on(8, STEPS, data, undisturbed, monkeypatch)
  seen = [train_on(devices, until, data, run, monkeypatch) for devices, until in PARTS]
  assert sum(seen, []) == expected and len(set(expected)) > 100
  states = [
    jax.device_get(checkpoint_lookup.load(path, 'latest')[1]) for path in (run, undisturbed)
  ]
  assert [int(state['step']) for state in states] == [STEPS, STEPS]
  apart = jax.tree.leaves(
    jax.tree.map(lambda x, y: np.abs(x - y).max(), *(state['params'] for state in states))
  )
  print(f'parameters differ by up to {max(apart):.1e}')
  assert max(apart) <= 1e-6
