"""From config.model to a network: nothing is compiled."""

import pytest
import toy

from classmix_jax.config import defaults
from classmix_jax.config.check import check_config
from classmix_jax.config.data import build_dataset, build_split
from classmix_jax.config.model import build_method, build_model, build_optimizer
from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS
from classmix_jax.methods.labeled_loss import LabeledLoss
from classmix_jax.models.backbones.preprocessing import PREPROCESSING
from classmix_jax.models.heads.deeplab_v2 import DeepLabV2
from configs import cityscapes, pascal_voc


def model_of(**fields):
  config = defaults.get_config()
  config.model.update(fields)
  return build_model(config, num_classes=7)


def test_a_backbone_has_its_own_output_stride():
  assert model_of().backbone.output_stride == 8
  assert model_of(backbone='tiny', head='deeplab_v3plus').head.output_stride == 4


def test_heads_with_skips_get_a_pyramid():
  model = model_of(backbone='resnet18_tv', head='unet', widths=(64, 32, 16), stem_stride=1)
  assert model.backbone.pyramid and model.backbone.output_stride == 8
  assert model.head.widths == (64, 32, 16)
  assert model_of(backbone='tiny', head='fpn').backbone.output_stride == 16
  assert not model_of(backbone='tiny').backbone.pyramid


def test_heads_get_the_output_stride():
  model = model_of(backbone='resnet50_deep', head='deeplab_v3plus', output_stride=16, bn='running')
  assert model.backbone.output_stride == model.head.output_stride == 16
  assert model.backbone.bn == model.head.bn == 'running'
  assert model.head.num_classes == 7


@pytest.mark.parametrize(
  'fields, message',
  [
    (dict(backbone='tiny', output_stride=8), 'output_stride is 8, but tiny can have 4;'),
    (dict(output_stride=4), 'output_stride is 4, but a ResNet can have 8 or 16 or 32;'),
    (
      dict(stem_stride=1),
      r'stem_stride is 1, which is for heads .* \(unet, .*, fpn_small\), not for deeplab_v2;',
    ),
    (
      dict(backbone='dinov2_small', head='unet', stem_stride=2),
      'stem_stride is 2, but dinov2_small has no stem whose stride could change; set it to 0, or',
    ),
    (
      dict(backbone='efficientnet_lite0', head='unet', stem_stride=4),
      'stem_stride is 4, but efficientnet_lite0 can have 1 or 2;',
    ),
    (
      dict(head='refine', widths=(64, 32)),
      r'widths is \(64, 32\), but refine has no widths; set it to \(\), or choose one of unet, ',
    ),
    (dict(head='fpn', widths=(64,)), r'widths is \(64,\); of an fpn they are two numbers'),
    (
      dict(head='unet', stem=True),
      'but ResNet has a level at every stride; set config.model.stem=',
    ),
    (dict(head='deeplab_v3p'), "head is 'deeplab_v3p'. Did you mean 'deeplab_v3plus'"),
  ],
)
def test_mistakes(fields, message):
  with pytest.raises(UserError, match=message):
    model_of(**fields)


@pytest.mark.parametrize(
  'module, preprocessing', [(cityscapes, 'classmix_cityscapes'), (pascal_voc, 'classmix_voc')]
)
def test_reproduction_configs_are_faithful(module, preprocessing):
  config = module.get_config()
  model = build_model(config, num_classes=19)
  assert model.backbone.preprocessing == PREPROCESSING[preprocessing]
  assert not model.backbone.variant.stride_on_3x3 and model.backbone.variant.ceil_pool
  assert model.backbone.bn == 'batch' and model.backbone.output_stride == 8
  assert isinstance(model.head, DeepLabV2)
  assert model.head.dilations == (6, 12) and model.head.unused == (18, 24)
  assert config.optim.freeze_bn_affine and config.optim.duplicate_steps


@pytest.mark.parametrize('module, classes', [(cityscapes, 19), (pascal_voc, 21)])
@pytest.mark.parametrize('name', METHODS)
def test_every_method_has_a_config_of_its_paper(module, classes, name):
  """All fields exist; the fingerprint compares values of the config."""
  config = module.get_config(f'method={name}')
  check_config(config)
  assert build_method(config, classes).num_classes == classes
  build_optimizer(config, build_method(config, classes), config.steps)
  batch = f'{config.batch_size} labelled + {config.unlabeled_batch_size} unlabelled'
  assert config.paper['global batch'] == batch
  assert config.paper['steps'] == str(config.steps)


def test_masks_of_unlabelled_images_are_not_read(tmp_path):
  config = toy.config(toy.write_folder(tmp_path))
  config.data.labeled = '2'  # of the four in labeled/
  dataset = build_dataset(config)
  split = build_split(config, dataset)
  assert len(split.unlabeled) == 2 + 6
  assert dataset.train.read_label is not None and split.unlabeled.read_label is None


def test_the_loss_of_labelled_images_comes_from_the_config():
  config = defaults.get_config('method=s4gan')
  config.model.backbone = 'tiny'
  config.labeled_loss.update({'class_weights': (1.0, 2.0), 'dice': 0.5})
  assert build_method(config, 2).labeled_loss == LabeledLoss(class_weights=(1.0, 2.0), dice=0.5)
  with pytest.raises(UserError, match='class_weights has 2 numbers for 3 classes'):
    build_method(config, 3)


def test_misspelled_fields():
  config = toy.config('')
  config.method.thresold = 0.5
  toy.assert_fails(lambda: build_method(config, 3), "(classmix) is 'thresold'", "mean 'threshold'?")
  config = toy.config('')
  config.labeled_loss.dise = 0.5
  toy.assert_fails(lambda: build_method(config, 3), "config.labeled_loss is 'dise'", "mean 'dice'?")
