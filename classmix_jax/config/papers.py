"""What other publications than ClassMix train with; methods that are not here keep its settings.

Taken from the code that goes with each paper. Where a setting cannot be had here it says so.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

FRENCH = {  # arXiv 1906.01916
  'batch_size': 4,
  'unlabeled_batch_size': 4,  # the teacher sees pairs: 8 images there
  'data.flip': True,
  'data.unlabeled': 'all',
  'eval_network': 'teacher',
  'model.bn': 'running',
  'model.preprocessing': 'imagenet',  # starts from ImageNet weights
  'optim.rule': 'adam',
  'optim.learning_rate': 3e-6,
  'optim.weight_decay': 0.0,
  'optim.power': 0.0,
  'method.exclude_padding': True,
}
S4GAN = {'batch_size': 8, 'unlabeled_batch_size': 8}  # arXiv 1908.05724; ImageNet weights
DST_CBC = {  # arXiv 2004.08514; on VOC height and width become 321 to 505 pixels there
  'batch_size': 4,
  'unlabeled_batch_size': 4,
  'data.flip': True,
  'data.scale_apart': True,
  'model.backbone': 'resnet101_tv',
  'model.preprocessing': 'caffe',
  'optim.learning_rate': 0.002,
  'optim.head_multiplier': 1.0,
  'optim.freeze_bn_affine': False,
  'optim.duplicate_steps': False,
}
UNIMATCH = {  # arXiv 2208.09910; ImageNet weights of a ResNet with a deep stem
  'batch_size': 8,
  'unlabeled_batch_size': 8,
  'data.flip': True,
  'data.scale': (0.5, 2.0),
  'data.scale_step': 0.0,
  'model.backbone': 'resnet101_deep',
  'model.head': 'deeplab_v3plus',
  'model.output_stride': 16,
  'model.preprocessing': 'imagenet',
  'optim.weight_decay': 1e-4,
  'optim.freeze_bn_affine': False,
  'optim.duplicate_steps': False,
}

_FULL_SIZE = {  # of Cityscapes, scored as UniMatch is
  'data.crop': (801, 801),
  'data.size': (1024, 2048),
  'eval.protocol': 'sliding',
  'optim.learning_rate': 0.005,
  'optim.head_multiplier': 1.0,
  'labeled_loss.ohem_threshold': 0.7,
  'labeled_loss.ohem_min_kept': 200_000,
}

CITYSCAPES: Mapping[str, Mapping[str, Any]] = {
  'cutmix_french': {**FRENCH, 'data.crop': (256, 512)},
  'cutout_french': {**FRENCH, 'data.crop': (256, 512)},
  's4gan': {
    **S4GAN,
    'data.crop': (256, 512),
    'data.flip': True,
    'method.gamma': 0.7,
    'optim.discriminator_learning_rate': 1e-5,
  },
  's4gan_mlmt': {  # not in the paper: its second branch is for VOC
    **S4GAN,
    'data.crop': (256, 512),
    'data.flip': True,
    'method.gamma': 0.7,
    'optim.discriminator_learning_rate': 1e-5,
    'eval_network': 'fused',
  },
  'dst_cbc': {**DST_CBC, 'data.crop': (257, 513), 'data.scale': (0.5, 1.0)},
  'fixmatch': {**UNIMATCH, **_FULL_SIZE, 'method.threshold': 0.0},
  'unimatch': {**UNIMATCH, **_FULL_SIZE, 'method.threshold': 0.0},
  'unimatch_v2': {**UNIMATCH, **_FULL_SIZE},  # on a ResNet; a vision transformer there
  'cps': {**UNIMATCH, **_FULL_SIZE, 'method.lambda_cps': 6.0},  # arXiv 2106.01226
}

PASCAL_VOC: Mapping[str, Mapping[str, Any]] = {
  'cutmix_french': {**FRENCH, 'batch_size': 10, 'unlabeled_batch_size': 10},
  'cutout_french': {**FRENCH, 'batch_size': 10, 'unlabeled_batch_size': 10},
  'adversarial': {  # arXiv 1802.07934: crops only, in steps half as many
    'steps': 20_000,
    'data.scale': (1.0, 1.0),
    'data.scale_step': 0.0,
  },
  's4gan': {**S4GAN, 'data.scale': (1.0, 1.0), 'data.scale_step': 0.0},
  's4gan_mlmt': {
    **S4GAN,
    'data.scale': (1.0, 1.0),
    'data.scale_step': 0.0,
    'eval_network': 'fused',
  },
  'dst_cbc': {**DST_CBC, 'data.scale': (0.5, 1.5), 'data.scale_step': 0.0},
  'fixmatch': {**UNIMATCH, 'optim.learning_rate': 0.001},
  'unimatch': {**UNIMATCH, 'optim.learning_rate': 0.001},
  'unimatch_v2': {**UNIMATCH, 'optim.learning_rate': 0.001},
  'cps': {**UNIMATCH, 'optim.learning_rate': 0.0025},  # arXiv 2106.01226
}


def apply(
  config: ml_collections.ConfigDict, papers: Mapping[str, Mapping[str, Any]]
) -> ml_collections.ConfigDict:
  """Sets what the paper of `config.method` trains with, and tells the fingerprint so."""
  settings = papers.get(config.method.name)
  if settings is None:
    return config
  config.update_from_flattened_dict(settings)
  batch, unlabeled = config.batch_size, config.unlabeled_batch_size
  config.paper = ml_collections.ConfigDict(
    {
      'network': f'{config.model.backbone} + {config.model.head}',
      'global batch': f'{batch} labelled + {unlabeled} unlabelled',
      'learning rate': f'{config.optim.learning_rate:g} for {batch} + {unlabeled} images, head '
      f'{config.optim.head_multiplier:g}x',
      'steps': str(config.steps),
      'crop': 'x'.join(map(str, config.data.crop)),
    }
  )
  return config
