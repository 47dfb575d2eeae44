"""Non-finite steps are skipped on the device, detected in time, saved and reported."""

import dataclasses
import json
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import small
import toy

from classmix_jax.errors import UserError
from classmix_jax.training import nonfinite
from classmix_jax.training.metric_logger import MetricLogger
from classmix_jax.training.nonfinite import NonFiniteWatch
from classmix_jax.training.step import make_train_step
from classmix_jax.training.streams import batch_names, open_streams
from classmix_jax.workdir.run_files import read_json

POISON = 13  # a labelled image that is all this value


@dataclasses.dataclass(frozen=True)
class Poisoned:
  """A method whose gradient, or loss, is not finite where an image is all `POISON`."""

  method: Any
  spoils: str = 'gradient'

  def __getattr__(self, name):
    return getattr(self.method, name)

  def loss(self, params, model_state, targets):
    loss, (model_state, metrics) = self.method.loss(params, model_state, targets)
    poisoned = jnp.any(jnp.all(targets.labeled.image == POISON, axis=(1, 2, 3)))
    if self.spoils == 'gradient':
      bias = params['segmenter']['head']['conv']['bias']
      root = jnp.sqrt(jnp.where(poisoned, 0.0, 1.0) * (1 + jnp.sum(bias**2)))
      loss += root - jax.lax.stop_gradient(root)  # 0; the gradient of sqrt(0 x) is NaN
    else:
      metrics = {**metrics, 'loss/sup': jnp.where(poisoned, jnp.inf, metrics['loss/sup'])}
    return loss, (model_state, metrics)


def poisoned(batch):
  """Spoils the last image: of several devices one alone sees it."""
  image = batch.labeled.image.copy()
  image[-1] = POISON
  return batch._replace(labeled=batch.labeled._replace(image=image))


BATCHES = [small.batch(0), poisoned(small.batch(1)), small.batch(2)]


def run(on_nan, devices=1, batches=BATCHES, spoils='gradient'):
  """Returns the metrics and states after every step, of every device."""
  local = jax.devices()[:devices]
  with pytest.MonkeyPatch.context() as patch:
    pmap = jax.pmap
    patch.setattr(jax, 'pmap', lambda f, **options: pmap(f, **(options | dict(out_axes=0))))
    step = make_train_step(
      Poisoned(small.method('mean_teacher'), spoils),
      small.optimizer(),
      0,
      local,
      on_nonfinite=on_nan,
    )
  state, seen = small.start('mean_teacher'), []
  for batch in batches:
    result = jax.device_get(step(small.place(state, local), small.shard(batch, devices)))
    for replica in range(1, devices):
      jax.tree.map(lambda x, r=replica: np.testing.assert_array_equal(x[r], x[0]), result)
    state, metrics = jax.tree.map(lambda x: x[0], result)
    seen.append((state, metrics))
  return seen


def assert_same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize('devices', [1, 2])
def test_skip_leaves_all_but_the_step_as_it_was(devices):
  (first, a), (second, b), (third, c) = run('skip', devices)
  assert [bool(row['finite']) for row in (a, b, c)] == [True, False, True]
  assert np.isfinite(b['loss/sup'])  # it was the gradient
  assert_same(second, first.replace(step=second.step))
  assert [int(state.step) for state in (first, second, third)] == [1, 2, 3]
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(third))
  moved = [
    np.abs(x - y).max()
    for x, y in zip(jax.tree.leaves(third.params), jax.tree.leaves(second.params), strict=True)
  ]
  assert max(moved) > 1e-3


def test_stop_keeps_the_state_before_the_first_bad_step():
  (first, _), (second, _), (third, row) = run('stop', spoils='loss')
  assert int(first.step) == 1 and row['finite']
  assert int(second.step) == int(third.step) == -2  # before step 1, counted from 0
  assert_same(third, first.replace(step=third.step))


# ------------------------------------------------------------------------ noticing


def looked(tmp_path, on_nan, flags, skipped=0):
  watch = NonFiniteWatch(tmp_path, on_nan, skipped=skipped)
  for step, finite in enumerate(flags, start=1):
    loss = 1.0 if finite else np.nan
    watch.collect(
      step,
      {
        'loss/sup': jnp.array(loss),
        'loss/unsup': jnp.array(2.0),
        'finite': jnp.float32(finite),
        'pseudo_shares': jnp.ones(2),
      },
    )
  batch = small.shard(small.batch(4), 1)
  state = small.start('supervised').replace(step=jnp.array(-2))
  watch.check(state, lambda step: batch, lambda step: {'labeled': [f'of {step}', 'b']})
  return watch


def test_nothing_is_kept_of_finite_steps(tmp_path):
  assert looked(tmp_path, 'stop', [True, True]).waiting == []
  assert list(tmp_path.iterdir()) == []


def test_stop_saves_batch_and_state_and_prints_the_path(tmp_path):
  with pytest.raises(UserError) as caught:
    looked(tmp_path, 'stop', [True, False, True, False])
  directory = tmp_path / 'nonfinite' / '2'
  toy.assert_says(
    str(caught.value), 'step 2: loss/sup is nan;', 'of 2, b', directory, '--config.on_nan=skip'
  )
  with np.load(directory / 'batch-0.npz') as arrays:
    batch = small.shard(small.batch(4), 1)
    np.testing.assert_array_equal(arrays['labeled_image'], batch.labeled.image)
    np.testing.assert_array_equal(arrays['unlabeled_valid'], batch.unlabeled.valid)
  assert read_json(directory / 'names.json') == {'labeled': ['of 2', 'b']}
  start = small.start('supervised').replace(step=np.array(1, np.int32))
  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
    args = ocp.args.StandardRestore(start)
    assert_same(checkpointer.restore(directory / 'state', args=args), start)


def test_skip_warns_and_continues(tmp_path, capsys):
  watch = looked(tmp_path, 'skip', [True, False, False])
  assert watch.skipped == 2
  output = capsys.readouterr().out
  toy.assert_says(output, 'warning: step 2: loss/sup is nan; 2 of the last 3 steps were skipped')
  assert sorted(path.name for path in (tmp_path / 'nonfinite' / '2').iterdir()) == [
    'batch-0.npz',
    'names.json',
  ]


def test_endless_skipping_is_stopped(tmp_path):
  assert looked(tmp_path, 'skip', [False, True, False], nonfinite.MAX_SKIPPED).skipped == 1
  with pytest.raises(UserError, match='the last 101 steps were all skipped.*learning_rate'):
    looked(tmp_path, 'skip', [False, False], nonfinite.MAX_SKIPPED - 1)


def test_skipped_steps_are_counted_and_not_averaged(tmp_path):
  logger = MetricLogger(tmp_path, steps=10, images_per_step=1, writing=False)
  for loss, finite in ((1.0, True), (np.nan, False), (3.0, True)):
    logger.collect({'loss/sup': jnp.array(loss), 'finite': jnp.float32(finite)})
  row = logger.averages()
  assert row['loss/sup'] == 2.0 and row['skipped_steps'] == 1 and 'finite' not in row
  logger.collect({'loss/sup': jnp.array(np.nan), 'finite': jnp.float32(0)})
  assert logger.averages().keys() == {'skipped_steps', 'steps_per_second', 'images_per_second'}


def test_names_are_those_of_the_batch(tmp_path):
  """The images that the pipeline reads at a step carry the names that are reported."""
  from classmix_jax.config.setup import make_setup

  root = toy.write_folder(tmp_path / 'data')
  config = toy.config(root, **{'data.crop': (toy.HEIGHT, toy.WIDTH)})
  setup = make_setup(config)
  split = setup.split
  stream = open_streams(setup.batches, split, jax.local_devices()[:2])
  for step in (1, 4):
    batch, names = next(stream(step - 1, step)), batch_names(setup.batches, split, step)
    for part, source in (('labeled', split.labeled), ('unlabeled', split.unlabeled)):
      image = np.asarray(getattr(batch, part).image).reshape(-1, toy.HEIGHT, toy.WIDTH, 3)
      for result, name in zip(image, names[part], strict=True):
        expected = source.read_image(source.names.index(name))
        assert (result == expected).all() or (result == expected[:, ::-1]).all()


@pytest.mark.slow
def test_a_training_that_explodes(tmp_path, capsys):
  """It stops within a logging interval; with skip it stops, too, as nothing can be learned."""
  root = toy.write_folder(tmp_path / 'data')
  fields = {
    'optim.learning_rate': 1e30,
    'steps': 12,
    'log_every': 5,
    'checkpoint_every': 100,
    'eval_every': 0,
  }
  with pytest.raises(UserError) as caught:
    toy.train(toy.config(root, **fields), tmp_path / 'run')
  step = int(re.search(r'step (\d+):', str(caught.value))[1])
  directory = tmp_path / 'run' / 'nonfinite' / str(step)
  assert 1 < step <= 5 and str(directory) in str(caught.value)
  names = json.loads((directory / 'names.json').read_text())
  assert len(names['labeled']) == len(names['unlabeled']) == 2 and (directory / 'state').is_dir()
  monkey = pytest.MonkeyPatch()
  monkey.setattr(nonfinite, 'MAX_SKIPPED', 5)
  with pytest.raises(UserError, match='steps were all skipped'):
    toy.train(toy.config(root, on_nan='skip', **fields), tmp_path / 'run')
  monkey.undo()
  assert 'were skipped' in capsys.readouterr().out
