"""Twenty steps of every method are the same on 1, 2, 4 and 8 devices, where each has one image."""

import jax
import numpy as np
import pytest
import small

from classmix_jax.methods import METHODS
from classmix_jax.train import make_train_step

STEPS = 20


def losses(name, devices):
  """Returns the losses of every step, `[steps, losses]`."""
  step = make_train_step(small.method(name), small.optimizer(), 0, jax.devices()[:devices])
  state, rows = small.place(small.start(name), jax.devices()[:devices]), []
  for seed in range(STEPS):
    state, metrics = step(state, small.shard(small.batch(seed), devices))
    rows.append([float(metrics[key]) for key in sorted(metrics) if key.startswith('loss/')])
  return np.array(rows)


@pytest.mark.slow
@pytest.mark.parametrize('name', METHODS)
def test_losses_of_twenty_steps(name):
  alone = losses(name, 1)
  assert np.ptp(alone, axis=0).max() > 0.05  # something happens
  for devices in (2, 4, 8):
    np.testing.assert_allclose(losses(name, devices), alone, atol=1e-4, err_msg=f'{devices}')
