"""The table before a training lists where a run departs from the paper's row."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from classmix_jax.config.data import Split
from classmix_jax.config.setup import make_batch_setup, make_evaluation_setup, make_schedule
from classmix_jax.data.source import Source
from classmix_jax.training.paper_settings import fingerprint, run_settings
from configs import cityscapes, pascal_voc

SAME = 'as in the paper'


def lines(module, **fields):
  """Returns the lines of the fingerprint by the name of their setting."""
  config = module.get_config('method=classmix')
  config.update_from_flattened_dict(fields)
  source = Source(('a', 'b'), lambda index: None)
  setup = SimpleNamespace(
    values=config.to_dict(),
    split=Split(source, source, '0123'),
    devices=jax.devices()[:1],
    batches=make_batch_setup(config),
    schedule=make_schedule(config),
    evaluation=make_evaluation_setup(config),
  )
  params = {'segmenter': jnp.zeros(3)}
  settings = run_settings(setup, params, 'paper at 512x1024', origin={})
  table = fingerprint(settings, setup.values['paper']).splitlines()
  return {name: line for name in settings for line in table if line.startswith(f'  {name}  ')}


@pytest.mark.parametrize('module', [cityscapes, pascal_voc])
def test_the_configs_of_the_paper_have_its_batch_and_rate(module):
  table = lines(module)
  for name in ('global batch', 'learning rate', 'BN mode', 'network'):
    assert table[name].endswith(SAME), table[name]


def test_the_learning_rate_belongs_to_the_global_batch():
  table = lines(cityscapes, batch_size=8, unlabeled_batch_size=8)
  assert table['global batch'].endswith('differs (paper: 2 labelled + 2 unlabelled)')
  assert '0.00025 for 8 + 8 images' in table['learning rate']
  assert table['learning rate'].endswith('differs (paper: 0.00025 for 2 + 2 images, head 10x)')
  table = lines(cityscapes, **{'optim.learning_rate': 1e-3})
  assert table['global batch'].endswith(SAME)
  assert '0.001 for 2 + 2 images' in table['learning rate']
  assert 'differs' in table['learning rate']


def test_accumulation_is_named_and_changes_bn_alone():
  table = lines(cityscapes, accumulate=2)
  assert '2 per step' in table['micro-batches']
  assert table['global batch'].endswith(SAME) and table['learning rate'].endswith(SAME)
  assert 'batch statistics of 1/2 of the batch' in table['BN mode']
  assert 'differs' in table['BN mode']
  table = lines(cityscapes, accumulate=2, **{'model.bn': 'running', 'model.dtype': 'bfloat16'})
  assert 'frozen statistics, affine frozen' in table['BN mode']
  assert 'bfloat16' in table['precision'] and 'float32' in table['parameters']
