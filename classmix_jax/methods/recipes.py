"""Settings of publications that several methods share: data set -> config field -> value.

A method lists its settings in the class attribute `recipes`; `config/papers.py` applies them. They
are taken from the code that goes with each paper.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Recipes = Mapping[str, Mapping[str, Any]]


class Epochs(NamedTuple):
  """A number of steps, as passes over the unlabelled images of a data set.

  Attributes:
    epochs: number of passes; the incomplete last batch of each is left out.
    images: training images of the data set, labelled and unlabelled.
  """

  epochs: int
  images: int

  def steps(self, labeled: int, batch_size: int) -> int:
    """Returns the number of steps; if all images are labelled, a pass is over all of them.

    Args:
      labeled: number of labelled images.
      batch_size: unlabelled images per step.

    Example:
      >>> Epochs(180, images=2975).steps(372, batch_size=8)
      58500
    """
    return self.epochs * ((self.images - labeled or self.images) // batch_size)


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
  'optim.lag': 1,
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

_UNIMATCH_V2 = {  # arXiv 2410.10777; DINOv2 weights
  'data.flip': True,
  'data.scale': (0.5, 2.0),
  'data.scale_step': 0.0,
  'eval_network': 'teacher',
  'model.backbone': 'dinov2_base',
  'model.head': 'dpt_base',
  'model.output_stride': 0,
  'model.preprocessing': 'imagenet',
  'optim.rule': 'adamw',
  'optim.learning_rate': 5e-6,
  'optim.head_multiplier': 40.0,
  'optim.weight_decay': 0.01,
  'optim.freeze_bn_affine': False,
  'optim.duplicate_steps': False,
  'optim.lag': 1,
}
_CROPS_OF_518 = {
  **_UNIMATCH_V2,
  'data.crop': (518, 518),
  'data.size': (),
  'eval.protocol': 'native',
  'eval.multiple': 14,
}
UNIMATCH_V2: Recipes = {
  'cityscapes': {  # at full size, scored by sliding windows
    **_UNIMATCH_V2,
    'steps': Epochs(180, images=2_975),
    'batch_size': 8,
    'unlabeled_batch_size': 8,
    'data.crop': (798, 798),
    'data.size': (1024, 2048),
    'eval.protocol': 'sliding',
    'eval.window': (798, 798),
    'eval.stride': (532, 532),
    'labeled_loss.ohem_threshold': 0.7,
    'labeled_loss.ohem_min_kept': 200_000,
  },
  'pascal_voc': {
    **_CROPS_OF_518,
    'steps': Epochs(60, images=10_582),
    'batch_size': 16,
    'unlabeled_batch_size': 16,
  },
  'ade20k': {
    **_CROPS_OF_518,
    'steps': Epochs(60, images=20_210),
    'batch_size': 8,
    'unlabeled_batch_size': 8,
  },
  'coco': {
    **_CROPS_OF_518,
    'steps': Epochs(20, images=118_287),
    'batch_size': 16,
    'unlabeled_batch_size': 16,
  },
}
