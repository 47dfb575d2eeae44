"""The published settings of UniMatch V2 on four data sets; configs only, no network."""

import pytest
import toy

from classmix_jax.config import defaults, papers
from classmix_jax.config.check import check_config
from classmix_jax.config.model import build_model, build_protocol
from classmix_jax.evaluation.protocols import describe
from configs import cityscapes, pascal_voc


def recipe(name, labeled, method='unimatch_v2'):
  config = defaults.get_config(f'method={method},labeled={labeled}')
  config.data.name = name
  return papers.apply(config)


# Steps of the published logs: 60, 180, 60 and 20 epochs.
PUBLISHED = [
  ('pascal_voc', '366', 38_280, 16, (518, 518)),
  ('cityscapes', '1/8', 58_500, 8, (798, 798)),
  ('ade20k', '1/8', 132_600, 8, (518, 518)),
  ('coco', '232', 147_560, 16, (518, 518)),
]


@pytest.mark.parametrize('name, labeled, steps, batch, crop', PUBLISHED)
def test_unimatch_v2_is_as_published(name, labeled, steps, batch, crop):
  config = recipe(name, labeled)
  assert config.steps == steps and config.paper.steps == str(steps)
  assert config.batch_size == config.unlabeled_batch_size == batch
  assert config.data.crop == crop and config.data.scale == (0.5, 2.0) and config.data.flip
  assert (config.optim.rule, config.optim.weight_decay, config.optim.lag) == ('adamw', 0.01, 1)
  assert (config.optim.learning_rate, config.optim.head_multiplier) == (5e-6, 40)
  assert (config.model.backbone, config.model.head) == ('dinov2_base', 'dpt_base')
  assert (config.method.threshold, config.method.max_decay) == (0.95, 0.996)
  assert config.labeled_loss.ohem_threshold == (0.7 if name == 'cityscapes' else 1.0)
  assert config.eval_network == 'teacher'


@pytest.mark.parametrize(
  'name, size, text',
  [
    ('cityscapes', (1024, 2048), 'sliding 798/532 at 1024x2048'),
    ('pascal_voc', (375, 500), 'native at 375x500 in multiples of 14'),
  ],
)
def test_protocols(name, size, text):
  assert describe(build_protocol(recipe(name, '1/8')), {size}) == text


def test_a_list_of_labelled_images_counts_its_lines(tmp_path):
  """20,210 - 3 images in batches of 8: 2,525 steps an epoch."""
  path = tmp_path / 'labeled.txt'
  path.write_text('a.jpg a.png\nb.jpg b.png\n\nc.jpg c.png')
  assert recipe('ade20k', path).steps == 60 * 2_525
  toy.assert_fails(lambda: recipe('ade20k', tmp_path / 'none.txt'), 'none.txt', 'cannot be read')


def test_all_images_labelled():
  """A pass is over the labelled images then: 2,975 / 8 = 371."""
  assert recipe('cityscapes', '').steps == recipe('cityscapes', '2975').steps == 180 * 371


@pytest.mark.parametrize('size', ['small', 'large'])
def test_other_sizes_are_two_fields(size):
  config = recipe('pascal_voc', '1/8')
  config.model.update({'backbone': f'dinov2_{size}', 'head': f'dpt_{size}'})
  model = build_model(config, 21)
  assert model.backbone.width == {'small': 384, 'large': 1024}[size]
  assert model.head.width == {'small': 64, 'large': 256}[size]


@pytest.mark.parametrize('module', [cityscapes, pascal_voc])
def test_configs_of_the_data_sets(module):
  config = module.get_config('method=unimatch_v2')
  check_config(config)
  assert config.model.preprocessing == 'imagenet' and not config.optim.freeze_bn_affine


@pytest.mark.parametrize('name', ['fixmatch', 'unimatch'])
def test_the_first_version_also_sets_the_rate_after_the_step(name):
  assert recipe('pascal_voc', '1/8', name).optim.lag == 1
  assert {recipe('pascal_voc', '1/8', other).optim.lag for other in ('cps', 'classmix')} == {0}
