"""Open fields of a config: what is measured on the data, and what is chosen by it."""

import numpy as np
import pytest
import toy

from classmix_jax.config.complete import complete, open_fields
from classmix_jax.config.facts import Facts, gather_facts, measure_kept
from classmix_jax.config.propose import propose, propose_crop, propose_size
from configs import folder


def test_thin_lines_are_lost_first():
  """By hand: a column of 1 in 4 pixels survives at half the width only where its pixel is kept."""
  label = np.zeros((4, 8), np.uint8)
  label[:, 1] = 1
  # At 4x4 pixel i is 2 i + 1 of the row: column 1 is kept and enlarged to columns 0 and 1.
  # Class 1: 4 of 8 pixels; class 0: 24 of 28.
  assert measure_kept([label], (4, 4), 2) == pytest.approx((4 / 8 + 24 / 28) / 2)
  label = label[:, ::-1]  # column 6 is even and lost
  assert measure_kept([label], (4, 4), 2) == pytest.approx((0 + 28 / 32) / 2)


def test_void_is_not_counted():
  label = np.full((4, 4), 255, np.uint8)
  label[:2] = 1
  assert measure_kept([label], (2, 2), 2) == 1.0


KEPT = {(224, 288): 0.80, (320, 416): 0.91, (448, 608): 0.97}


@pytest.mark.parametrize(
  'size, kept, expected',
  [
    ((120, 120), {}, ()),  # small images keep their size
    ((966, 1296), KEPT, (320, 416)),  # the smallest that keeps 0.9
    ((966, 1296), {size: 0.5 for size in KEPT}, (448, 608)),  # thin things, but not too large
    ((300, 400), {(224, 288): 0.80, (320, 416): 0.85}, ()),  # their own size is affordable
  ],
)
def test_working_size(size, kept, expected):
  assert propose_size(Facts(size, True, 10, 30, kept)) == expected


@pytest.mark.parametrize(
  'size, crop',
  [((120, 120), (120, 120)), ((256, 256), (160, 160)), ((48, 600), (48, 528))],
)
def test_crop_has_the_pixels_of_160x160_and_the_shape_of_the_image(size, crop):
  height, width = propose_crop(size)
  assert height <= size[0] and width <= size[1]
  assert height * width <= 1.1 * 160 * 160
  assert size != (120, 120) or (height, width) == crop


def test_what_is_given_is_kept(tmp_path):
  config = folder.get_config('method=supervised')
  config.data.root = str(toy.write_folder(tmp_path))
  config.steps = 12
  config.optim.learning_rate = 0.5
  result, lines = complete(config, None)
  assert not open_fields(result) and open_fields(config)
  assert result.steps == 12 and result.eval_every == 3 and result.optim.learning_rate == 0.5
  assert result.data.size == () and result.data.crop == (32, 48)
  assert (result.model.backbone, result.model.pretrained) == ('tiny', '')
  assert 'images are 32x48' in '\n'.join(lines)


def test_a_resumed_run_keeps_its_values(tmp_path):
  config = folder.get_config('method=supervised')
  config.data.root = 'is not opened'
  recorded, _ = complete(toy.config(toy.write_folder(tmp_path)), None)
  values = {**recorded.to_dict(), 'steps': 77}
  result, lines = complete(config, values)
  assert result.steps == 77 and result.data.crop == (24, 32) and lines == []


def test_a_run_to_start_from_decides_the_network(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  run = toy.write_run(tmp_path / 'run', root)
  config = folder.get_config('method=supervised')
  config.data.root, config.model.pretrained = str(root), str(run)
  result, _ = complete(config, None)
  assert (result.model.backbone, result.model.head) == ('tiny', 'deeplab_v2')
  assert result.model.pretrained == str(run)


def test_a_backbone_has_its_own_recipe():
  facts = Facts((120, 120), True, 10, 30, {})
  fields = {'model.pretrained': None, 'optim.learning_rate': None}
  fields |= {'model.backbone': 'efficientnet_lite0', 'batch_size': 8}
  fields |= {'steps': 5, 'eval_every': 5, 'data.size': (), 'data.crop': ()}
  fields['eval.protocol'] = 'paper'
  assert propose(fields, facts) == {
    'model.pretrained': 'efficientnet_lite0',
    'optim.learning_rate': 5e-4,
  }


def test_facts_of_a_folder(tmp_path):
  config = folder.get_config('method=supervised')
  config.data.root = str(toy.write_folder(tmp_path))
  assert gather_facts(config) == Facts((32, 48), True, 4, 6, {})
