"""Heads of runs with other classes: rows are matched by name."""

import jax
import numpy as np
import pytest
import toy

from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads import HEADS
from classmix_jax.models.segmenter import build_segmenter, initialize
from classmix_jax.pretrained.class_head import find_class_arrays, match_head
from classmix_jax.pretrained.initialize import initialize_from_weights
from classmix_jax.pretrained.layouts.layout import NATIVE
from classmix_jax.pretrained.load import Weights, flatten_arrays, open_weights

CLASS_ARRAYS = {
  'deeplab_v2': ['dilation12', 'dilation6', 'unused18', 'unused24'],
  'conv3x3': ['dilation1'],
  'deeplab_v3plus_small': ['classifier'],
  'linear': ['classifier'],
  'refine': ['classifier', 'probe'],
}


def segmenter(head, classes, backbone='tiny'):
  return build_segmenter(BACKBONES[backbone](), HEADS[head], classes)


def numbered(model, start):
  """Variables of a network in which every number occurs once."""
  image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
  trees = jax.eval_shape(lambda key: initialize(model, key, image), jax.random.key(0))
  shapes = dict(zip(('params', 'batch_stats'), trees, strict=True))
  leaves, structure = jax.tree.flatten(shapes)
  arrays = []
  for leaf in leaves:
    arrays.append(np.arange(start, start + leaf.size, dtype=np.float32).reshape(leaf.shape))
    start += leaf.size
  return jax.tree.unflatten(structure, arrays)


def weights_of(tree, names):
  tensors = flatten_arrays(tree)
  return Weights('RUN, step 4', tensors, NATIVE, 'deeplab_v2', '', 'folder', class_names=names)


@pytest.mark.parametrize('head', CLASS_ARRAYS)
def test_the_arrays_of_every_head(head):
  names = {f'head/{layer}/{leaf}' for layer in CLASS_ARRAYS[head] for leaf in ('kernel', 'bias')}
  assert set(find_class_arrays(segmenter(head, 32))) == names  # 32 is a width of `refine`, too


def test_the_arrays_of_dpt():
  model = segmenter('dpt_small', 3, 'dinov2_small')
  assert set(find_class_arrays(model)) == {'head/output2/kernel', 'head/output2/bias'}


def test_rows_follow_their_names(capsys):
  saved, names = numbered(segmenter('linear', 3), 1), ('ground', 'box', 'ball')
  model = segmenter('linear', 4)
  initial = numbered(model, 10**7)
  tree, origin = initialize_from_weights(
    initial, weights_of(saved, names), model, ('box', 'cat', 'ground', 'dog')
  )
  line = 'head: 2 of 4 classes from RUN, step 4; new: cat, dog; left out: ball'
  assert line in capsys.readouterr().out and line in origin['matched']
  for leaf in ('kernel', 'bias'):
    now, before, new = (
      x['params']['head']['classifier'][leaf] for x in (tree, saved, initial)
    )  # fmt: skip
    np.testing.assert_array_equal(now[..., 0], before[..., 1])
    np.testing.assert_array_equal(now[..., 2], before[..., 0])
    np.testing.assert_array_equal(now[..., [1, 3]], new[..., [1, 3]])
  jax.tree.map(
    np.testing.assert_array_equal, tree['params']['backbone'], saved['params']['backbone']
  )


def test_as_many_classes_of_other_names_keep_no_row():
  model = segmenter('linear', 3)
  saved, initial = numbered(model, 1), numbered(model, 10**7)
  tree, _ = initialize_from_weights(
    initial, weights_of(saved, ('a', 'b', 'c')), model, ('d', 'e', 'f')
  )
  jax.tree.map(np.testing.assert_array_equal, tree['params']['head'], initial['params']['head'])


def test_the_same_classes_keep_the_whole_head():
  model = segmenter('linear', 3)
  weights = weights_of(numbered(model, 1), ('a', 'b', 'c'))
  assert match_head(numbered(model, 9), weights, model, ('a', 'b', 'c')) == (weights, '')


def test_nothing_of_another_head_is_kept():
  """Biases of both heads have the same name and length."""
  saved = numbered(segmenter('deeplab_v3plus', 3), 1)
  model = segmenter('deeplab_v3plus_small', 3)
  initial = numbered(model, 10**7)
  weights, line = match_head(initial, weights_of(saved, ('b', 'a', 'c')), model, ('a', 'b', 'c'))
  assert line == '' and not any('classifier' in name for name in weights.tensors)


def test_a_run_has_the_names_of_its_classes(tmp_path):
  fields = {'model.head': 'linear', 'data.crop': (16, 16)}
  run = toy.write_run(
    tmp_path / 'run', toy.write_folder(tmp_path / 'data'), 'method=supervised', **fields
  )
  assert open_weights(run).class_names == toy.CLASSES
