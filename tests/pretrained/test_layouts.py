"""Names and axes of the layouts, against the list of the original's parameters."""

import numpy as np
import pytest
import state_dicts

from classmix_jax.pretrained import LAYOUTS
from classmix_jax.pretrained.convert import compute_shapes
from classmix_jax.pretrained.layouts.layout import NATIVE


@pytest.fixture(autouse=True)
def networks(monkeypatch):
  state_dicts.add_networks(monkeypatch)


def names_and_shapes(layout, tree):
  return {
    layout.tensor_name(path): layout.to_file_shape(path, leaf.shape)
    for path, leaf in state_dicts.leaves(tree)
  }


def shapes(tensors):
  return {name: x.shape for name, x in tensors.items()}


def test_deeplab_v2_has_the_names_of_the_original():
  tree = compute_shapes('resnet_small', 'deeplab_v2_four_branches', 5)
  assert names_and_shapes(LAYOUTS['deeplab_v2'], tree) == shapes(state_dicts.deeplab_v2(5))


def test_all_528_names_of_resnet101():
  """3 + 4 + 23 + 3 blocks: (1 + 99 + 4) * 5 of the backbone, 8 of the head."""
  tree = compute_shapes('resnet101', 'deeplab_v2_four_branches', 21)
  names = names_and_shapes(LAYOUTS['deeplab_v2'], tree)
  assert len(names) == 528 and names['layer3.22.conv3.weight'] == (1024, 256, 1, 1)
  assert sum(name.endswith('downsample.0.weight') for name in names) == 4


@pytest.mark.parametrize('backbone, block', state_dicts.TORCHVISION)
def test_torchvision_has_its_names(backbone, block):
  actual = names_and_shapes(LAYOUTS['torchvision'], compute_shapes(backbone, '', 1))
  expected = shapes(state_dicts.torchvision(block))
  del expected['fc.weight'], expected['fc.bias']
  assert actual == expected


def test_deep_stem():
  names = [
    LAYOUTS['torchvision'].tensor_name(('backbone', module, leaf))
    for module, leaf in (
      ('conv1_1', 'kernel'),
      ('bn1_1', 'mean'),
      ('conv1_2', 'kernel'),
      ('bn1_2', 'var'),
      ('conv1_3', 'kernel'),
      ('bn1_3', 'scale'),
    )
  ]
  assert names == [
    'conv1.0.weight',
    'conv1.1.running_mean',
    'conv1.3.weight',
    'conv1.4.running_var',
    'conv1.6.weight',
    'bn1.weight',
  ]


@pytest.mark.parametrize(
  'branch, number', [('dilation6', 0), ('dilation12', 1), ('unused18', 2), ('unused24', 3)]
)
def test_branches_are_known_by_their_number(branch, number):
  name = LAYOUTS['deeplab_v2'].tensor_name(('head', branch, 'bias'))
  assert name == f'layer5.conv2d_list.{number}.bias'


def test_other_heads_keep_their_names_apart():
  for layout in LAYOUTS.values():
    for module in ('dilation1', 'conv_rate6'):  # of a head with one branch, and of DeepLab-v3+
      name = layout.tensor_name(('head', module, 'kernel'))
      assert name == f'head.{module}.weight' and layout.is_head(name)
  assert NATIVE.is_head('head/dilation1/kernel') and not NATIVE.is_head('backbone/conv1/kernel')


@pytest.mark.parametrize(
  'there, here, index_there, index_here',
  [
    ((8, 4, 3, 2), (3, 2, 4, 8), (7, 2, 0, 1), (0, 1, 2, 7)),  # a convolution
    ((8, 1, 5, 5), (5, 5, 1, 8), (7, 0, 3, 4), (3, 4, 0, 7)),  # a depthwise one
    ((8, 4), (4, 8), (7, 3), (3, 7)),  # dense
    ((8,), (8,), (7,), (7,)),
  ],
)
def test_axes(there, here, index_there, index_here):
  layout, path = LAYOUTS['torchvision'], ('backbone', 'conv1', 'kernel')
  x = np.arange(np.prod(there), dtype=np.float32).reshape(there)
  y = layout.from_file(path, x)
  assert y.shape == here and layout.to_file_shape(path, here) == there
  assert y[index_here] == x[index_there]
  np.testing.assert_array_equal(layout.to_file(path, y), x)
