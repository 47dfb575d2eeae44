"""Settings of publications that several methods share: data set -> config field -> value.

A method lists its settings in the class attribute `recipes`; `config/papers.py` applies them. They
are taken from the code that goes with each paper.
"""

from collections.abc import Mapping
from typing import Any

Recipes = Mapping[str, Mapping[str, Any]]

CLASSMIX: Recipes = {  # arXiv 2007.07936; the other settings are the defaults of the configs
  'pascal_voc': {'method.jitter': 0.0, 'method.blur': False, 'method.exclude_padding': False},
  # From scratch, at a low resolution: a hue of a quarter circle is too much for a small network,
  # and blur wipes out poles, which are one pixel wide.
  'camvid': {'method.jitter': 0.1, 'method.blur': False, 'method.ramp_steps': 1_500},
}

_UNIMATCH = {  # arXiv 2208.09910; ImageNet weights of a ResNet with a deep stem
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
UNIMATCH_CITYSCAPES: Mapping[str, Any] = {  # at full size, scored by sliding windows
  **_UNIMATCH,
  'data.crop': (801, 801),
  'data.size': (1024, 2048),
  'eval.protocol': 'sliding',
  'optim.learning_rate': 0.005,
  'optim.head_multiplier': 1.0,
  'labeled_loss.ohem_threshold': 0.7,
  'labeled_loss.ohem_min_kept': 200_000,
}
UNIMATCH_PASCAL_VOC: Mapping[str, Any] = {**_UNIMATCH, 'optim.learning_rate': 0.001}
