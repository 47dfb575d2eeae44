"""Repeated flags of config fields: the last one counts, for tuples as for numbers."""

import sys

from absl import flags
import pytest

from classmix_jax.cli.command_line import find_configs, keep_last_overrides
from classmix_jax.config.flags import define_config


def parse(monkeypatch, *arguments):
  values = flags.FlagValues()
  config = define_config('', values)
  command = keep_last_overrides(find_configs(['main.py', '--config=folder', *arguments]))
  monkeypatch.setattr(sys, 'argv', command)  # where ml_collections looks for overrides
  values(command)
  return config.value


@pytest.mark.parametrize(
  'arguments',
  [
    ('--config.data.crop=(32,32)', '--config.seed=1', '--config.data.crop=(24,24)'),
    ('--config.data.crop', '(32,32)', '--config.data.crop', '(24,24)', '--config.seed=1'),
    ('--config.seed=5', '-config.data.crop=()', '--config.data.crop=(24,24)', '--config.seed=1'),
  ],
)
def test_the_last_value_counts(monkeypatch, arguments):
  config = parse(monkeypatch, *arguments)
  assert config.data.crop == (24, 24) and config.seed == 1


def test_a_tuple_can_become_empty_again_and_all_tuples_replace(monkeypatch):
  config = parse(
    monkeypatch,
    '--config.data.size=(8,8)',
    '--config.eval.scales=(0.5,1.0)',
    '--config.data.size=()',
    '--config.eval.scales=(2.0,)',
  )
  assert config.data.size == () and config.eval.scales == (2.0,)


def test_booleans_need_no_value(monkeypatch):
  config = parse(monkeypatch, '--noconfig.data.flip', '--config.data.flip', '--config.eval.flip')
  assert config.data.flip and config.eval.flip
