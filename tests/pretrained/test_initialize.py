"""Initialization from a file, a directory or a run: equal arrays, and their description."""

import json

import jax
import numpy as np
import pytest
import state_dicts
import toy
from toy import assert_says

from classmix_jax.errors import UserError
from classmix_jax.pretrained import load
from classmix_jax.pretrained.convert import compute_shapes, convert_to_directory
from classmix_jax.pretrained.converted_directory import DESCRIPTION_FIELDS
from classmix_jax.pretrained.initialize import describe_weights, initialize_from_weights
from classmix_jax.pretrained.load import open_weights
from classmix_jax.workdir import resume


@pytest.fixture(autouse=True)
def networks(monkeypatch):
  state_dicts.add_networks(monkeypatch)


def zeros(backbone='resnet_small', classes=5):
  shapes = compute_shapes(backbone, 'deeplab_v2_four_branches', classes)
  return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def test_a_file_and_its_directory_are_the_same(tmp_path, capsys):
  path = state_dicts.save(tmp_path / 'x.safetensors', state_dicts.deeplab_v2(5))
  convert_to_directory(
    open_weights(path),
    tmp_path / 'weights',
    backbone='resnet_small',
    head='deeplab_v2_four_branches',
  )
  trees, origins = zip(
    *(initialize_from_weights(zeros(), open_weights(p)) for p in (path, tmp_path / 'weights')),
    strict=True,
  )
  jax.tree.map(np.testing.assert_array_equal, *trees)
  assert all(leaf.any() for leaf in jax.tree.leaves(trees[0]))
  assert origins[0] == origins[1] and len(origins[0].pop('sha256')) == 64
  assert origins[0] == {
    'name': 'x.safetensors',
    'trained_on': '',
    'preprocessing': 'caffe',
    'matched': 'matched 93 of 93 tensors',
  }
  assert capsys.readouterr().out.count('pre-training: x.safetensors: matched 93 of 93') == 2


def test_a_backbone_for_a_new_head(tmp_path, capsys):
  path = state_dicts.save(tmp_path / 'x.safetensors', state_dicts.deeplab_v2(5))
  tree, origin = initialize_from_weights(zeros(classes=3), open_weights(path))
  assert origin['matched'] == 'matched 85 of 93 tensors'
  assert capsys.readouterr().out == (
    'pre-training: x.safetensors: matched 85 of 93 tensors; the head is for 5 classes, not for 3: '
    'it is initialized from scratch\n'
  )
  assert not any(leaf.any() for leaf in jax.tree.leaves(tree['params']['head']))
  assert all(leaf.any() for leaf in jax.tree.leaves(tree['params']['backbone']))


def test_a_gap_in_the_backbone_is_warned_of(tmp_path, capsys):
  tensors = state_dicts.deeplab_v2(5)
  del tensors['layer4.0.conv3.weight']
  initialize_from_weights(
    zeros(), open_weights(state_dicts.save(tmp_path / 'x.safetensors', tensors))
  )
  assert_says(
    capsys.readouterr().out,
    'missing      1: layer4.0.conv3.weight',
    'warning: a part of the backbone is not pretrained',
  )


def test_another_backbone_is_refused(tmp_path):
  path = state_dicts.save(tmp_path / 'x.safetensors', state_dicts.deeplab_v2(5))
  with pytest.raises(UserError, match='config.model.pretrained=x.safetensors contains another net'):
    initialize_from_weights(zeros('resnet_basic'), open_weights(path))


def test_a_corrupt_directory_is_an_error(tmp_path):
  (tmp_path / 'weights.json').write_text(json.dumps({}))
  with pytest.raises(UserError, match='weights.json is damaged: source is missing'):
    open_weights(tmp_path)
  (tmp_path / 'weights.json').write_text(json.dumps(dict.fromkeys(DESCRIPTION_FIELDS, '')))
  with pytest.raises(UserError, match='arrays cannot be read'):
    open_weights(tmp_path)


@pytest.mark.parametrize(
  'preprocessing, expected',
  [('caffe', 'caffe'), ('imagenet', 'imagenet, but the weights are caffe')],
)
def test_the_fingerprint_names_the_weights(preprocessing, expected):
  origin = {
    'name': 'coco.pth',
    'trained_on': 'COCO',
    'preprocessing': 'caffe',
    'matched': 'matched 520 of 528 tensors',
  }
  assert describe_weights(preprocessing, origin) == {
    'pre-training': 'COCO',
    'weights': 'coco.pth, matched 520 of 528 tensors',
    'preprocessing': expected,
  }


def test_a_network_that_a_run_does_not_have(tmp_path, monkeypatch):
  resume.open_run(tmp_path, toy.config('DATA').to_dict())
  monkeypatch.setattr(load, 'load_networks', lambda *_: (3, {'student': {}, 'teacher': {}}))
  toy.assert_fails(
    lambda: open_weights(tmp_path, network='fused'), 'has no fused', 'student, teacher'
  )
