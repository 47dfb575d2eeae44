"""Heads: networks from a backbone's features to class logits at a lower resolution.

A head is a flax Module called as `head(features, train)`. Its fields are `num_classes`,
`output_stride` of the backbone, and `bn` and `dtype` as in backbones. A class attribute `pyramid`
that is true selects a level at every stride, and a field `widths` of channels can be set in a
config. To add one: a file here and a line in `HEADS`.

Synopsis:

    head = HEADS['deeplab_v3plus'](num_classes=19, output_stride=16)
"""

from collections.abc import Callable, Mapping
import functools

import flax.linen as nn

from classmix_jax.models.heads.deeplab_v2 import DeepLabV2
from classmix_jax.models.heads.deeplab_v3plus import DeepLabV3Plus
from classmix_jax.models.heads.dpt import DPT
from classmix_jax.models.heads.fpn import FPN
from classmix_jax.models.heads.linear import Linear
from classmix_jax.models.heads.refine import Refine
from classmix_jax.models.heads.unet import UNet

HEADS: Mapping[str, Callable[..., nn.Module]] = {
  # As in the original ClassMix code: four branches exist and two are used.
  'deeplab_v2': functools.partial(DeepLabV2, dilations=(6, 12), unused=(18, 24)),
  'deeplab_v2_four_branches': functools.partial(DeepLabV2, dilations=(6, 12, 18, 24)),
  # One branch without dilation, for features with a large receptive field at a fine stride.
  'conv3x3': functools.partial(DeepLabV2, dilations=(1,)),
  'deeplab_v3plus': DeepLabV3Plus,
  # A quarter of the channels, for laptops.
  'deeplab_v3plus_small': functools.partial(DeepLabV3Plus, width=64, low_width=24),
  # Of UniMatch V2, for the backbones dinov2_small, _base and _large.
  'dpt_small': DPT,
  'dpt_base': functools.partial(DPT, width=128, projections=(96, 192, 384, 768)),
  'dpt_large': functools.partial(DPT, width=256, projections=(256, 512, 1024, 1024)),
  'linear': Linear,
  # For frozen features and a stem, on laptops.
  'refine': Refine,
  # Skip connections from every stride, up to the size of the image, or half of it on laptops.
  'unet': UNet,
  'unet_small': functools.partial(UNet, widths=(96, 64, 48, 32)),
  # Four levels summed at the size of the finest, stride 4 with most backbones.
  'fpn': FPN,
  'fpn_small': functools.partial(FPN, widths=(96, 64)),
}
