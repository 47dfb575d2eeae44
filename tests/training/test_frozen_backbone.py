"""Training runs on a frozen vision transformer, with and without cached features."""

import functools
import json

import jax
import numpy as np
import pytest
import toy

from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.heads import HEADS
from classmix_jax.models.heads.dpt import DPT
from classmix_jax.workdir import checkpoint_lookup

FROZEN = {
  'model.backbone': 'small_vit',
  'model.freeze_backbone': True,
  'model.scale': 1.75,  # 32x48 -> 56x84: cells of 8x8 pixels
  'data.size': (32, 48),
  'data.crop': (24, 32),
  'data.flip': False,
  'optim.rule': 'adamw',
  'optim.learning_rate': 1e-3,
  'steps': 3,
}
CACHED = {**FROZEN, 'model.cache_features': True}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  return toy.write_folder(tmp_path_factory.mktemp('data'))


@pytest.fixture(autouse=True)
def small_networks(monkeypatch, tmp_path):
  four_taps = functools.partial(DinoV2, width=64, depth=4, taps=(0, 1, 2, 3))
  monkeypatch.setitem(BACKBONES, 'small_vit', four_taps)
  monkeypatch.setitem(HEADS, 'small_dpt', functools.partial(DPT, width=8, projections=(8,) * 4))
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def train(folder, run, method='classmix', **fields):
  return toy.train(toy.config(folder, f'method={method}', **fields), run)


def leaves(tree):
  return jax.tree.leaves_with_path(tree)


def test_the_backbone_exists_once_and_never_changes(folder, tmp_path):
  train(folder, tmp_path / 'run', **FROZEN, **{'model.head': 'linear'})
  states = [checkpoint_lookup.load(tmp_path / 'run', step)[1] for step in ('2', '3')]
  for state in states:
    assert set(state['params']['segmenter']) == set(state['method_state']['teacher']) == {'head'}
    assert 'pos_embed' not in str([path for path, _ in leaves(state['opt_state'])])
  first, last = (state['frozen']['segmenter']['backbone'] for state in states)
  jax.tree.map(np.testing.assert_array_equal, first, last)
  head = [state['params']['segmenter']['head']['classifier']['kernel'] for state in states]
  assert np.abs(head[0] - head[1]).max() > 0


def losses(run):
  rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
  return [row['loss/sup'] for row in rows if 'loss/sup' in row]


@pytest.mark.slow
def test_cached_features_of_whole_images_train_alike(folder, tmp_path):
  """Whole images without augmentation: the only difference is the rounding to float16."""
  for name, fields in (('frozen', FROZEN), ('cached', CACHED)):
    fields = {**fields, 'data.crop': (), 'model.head': 'small_dpt'}
    train(folder, tmp_path / name, method='supervised', **fields)
  expected = losses(tmp_path / 'frozen')
  np.testing.assert_allclose(losses(tmp_path / 'cached'), expected, rtol=2e-3)
  scores = [
    json.loads((tmp_path / name / 'eval' / '3.json').read_text()) for name in ('frozen', 'cached')
  ]
  assert abs(scores[0]['miou'] - scores[1]['miou']) < 0.02
  assert scores[0]['pixels'] == scores[1]['pixels']


@pytest.mark.parametrize(
  'method', ['classmix', pytest.param('unimatch_v2', marks=pytest.mark.slow)]
)
def test_methods_learn_from_cached_crops(folder, tmp_path, method):
  fields = {**CACHED, 'data.flip': True, 'model.head': 'refine', 'model.stem': True}
  result = train(folder, tmp_path / 'run', method=method, **fields)
  assert set(result['networks']) == {'student', 'teacher'}
  values = losses(tmp_path / 'run')
  assert np.isfinite(values).all() and len(set(values)) == 3
  # Nothing is computed again.
  copies = tmp_path / 'cache' / 'classmix_jax' / 'copies'
  files = {path: path.stat().st_mtime_ns for path in copies.rglob('arrays.bin')}
  train(folder, tmp_path / 'again', method=method, **fields)
  assert {path: path.stat().st_mtime_ns for path in copies.rglob('arrays.bin')} == files
  assert losses(tmp_path / 'again') == values


@pytest.mark.parametrize(
  'fields, parts',
  [
    ({'model.freeze_backbone': False}, ['freeze_backbone=True']),
    ({'data.scale': (0.5, 2.0)}, ['config.data.scale=(1.0, 1.0)', '(0.5, 2.0)']),
    ({'data.size': ()}, ['config.data.size=(H, W)']),
    ({'data.crop': (20, 32)}, ['config.data.crop is (20, 32)', 'cells of 8x8', '32x48']),
    ({'model.scale': 2.0}, ['divides frames of 32x48', '5x7 cells']),
    ({'model.backbone': 'tiny', 'model.scale': 1.0}, ['dinov2_* backbones, not tiny']),
    ({'data.working_copy': 'device'}, ['working_copy=memory']),
  ],
)
def test_what_cannot_be_cached(folder, tmp_path, fields, parts):
  fields = {**CACHED, 'model.head': 'linear', **fields}
  toy.assert_fails(lambda: train(folder, tmp_path / 'run', **fields), *parts)


def test_a_method_that_changes_pixels(folder, tmp_path):
  fields = {**CACHED, 'model.head': 'linear'}
  toy.assert_fails(
    lambda: train(folder, tmp_path / 'run', method='adversarial', **fields),
    'adversarial changes the pixels',
    'cache_features=False',
  )


def test_scale_is_for_vision_transformers(folder, tmp_path):
  toy.assert_fails(
    lambda: train(folder, tmp_path / 'run', **{'model.scale': 2.0}),
    'config.model.scale is 2.0',
    'tiny',
  )


def test_features_of_validation_images_are_cached_only_for_a_protocol_that_sees_them(
  folder, tmp_path
):
  fields = {**CACHED, 'model.head': 'linear', 'steps': 1, 'eval.flip': True}
  train(folder, tmp_path / 'run', method='supervised', **fields)
  copies = tmp_path / 'cache' / 'classmix_jax' / 'copies'
  assert [path.name.rsplit('-', 1)[0] for path in copies.rglob('features-*')] == ['features-4']
