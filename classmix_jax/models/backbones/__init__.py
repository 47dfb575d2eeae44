"""Backbones: networks from images to features.

    image [B, H, W, 3] float32, RGB, 0..1
      -> backbone -> Features: levels [B, H / stride, W / stride, F], one or more

A backbone is a flax Module called as `backbone(image, train)`. To add one: a file here and a line
in `BACKBONES`. Its fields are

    bn             'batch' or 'running': the statistics of BN
    dtype          the precision of the computation
    preprocessing  mean, deviation and channel order that its weights expect
    output_stride  the stride of the last level, validated with `check_output_stride`
    remat          whether the backward pass recomputes convolutions

and optionally

    pyramid        whether there is a level at every stride, for heads with skip connections
    stem_stride    the stride after the stem, before the first block: smaller ones keep more details
                   of small images, and divide all other strides by the same factor; 0 is its own
"""

from collections.abc import Callable, Mapping
import functools

import flax.linen as nn

from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.backbones.efficientnet_lite import EfficientNetLite
from classmix_jax.models.backbones.resnet import TORCHVISION, BasicBlock, Bottleneck, ResNet
from classmix_jax.models.backbones.tiny import Tiny

# Width, number of blocks, and the blocks after which features are taken.
_DINOV2_SIZES = {
  'small': (384, 12, (2, 5, 8, 11)),
  'base': (768, 12, (2, 5, 8, 11)),
  'large': (1024, 24, (4, 11, 17, 23)),
}
DINOV2: Mapping[str, Callable[..., nn.Module]] = {
  f'dinov2_{size}{suffix}': functools.partial(
    DinoV2, width=width, depth=depth, taps=taps, registers=bool(suffix)
  )
  for suffix in ('', '_reg4')
  for size, (width, depth, taps) in _DINOV2_SIZES.items()
}

BACKBONES: Mapping[str, Callable[..., nn.Module]] = {
  'tiny': Tiny,
  # The ResNets of the DeepLab-v2 code bases.
  'resnet18': functools.partial(ResNet, blocks=(2, 2, 2, 2), block=BasicBlock),
  'resnet34': functools.partial(ResNet, blocks=(3, 4, 6, 3), block=BasicBlock),
  'resnet50': functools.partial(ResNet, blocks=(3, 4, 6, 3), block=Bottleneck),
  'resnet101': functools.partial(ResNet, blocks=(3, 4, 23, 3), block=Bottleneck),
  # The ResNets of torchvision. Each level of a pyramid has half the size of the one before.
  'resnet18_tv': functools.partial(
    ResNet, blocks=(2, 2, 2, 2), block=BasicBlock, variant=TORCHVISION
  ),
  'resnet34_tv': functools.partial(
    ResNet, blocks=(3, 4, 6, 3), block=BasicBlock, variant=TORCHVISION
  ),
  'resnet50_tv': functools.partial(
    ResNet, blocks=(3, 4, 6, 3), block=Bottleneck, variant=TORCHVISION
  ),
  'resnet101_tv': functools.partial(
    ResNet, blocks=(3, 4, 23, 3), block=Bottleneck, variant=TORCHVISION
  ),
  # With three 3x3 convolutions in the stem, as in UniMatch.
  'resnet50_deep': functools.partial(
    ResNet, blocks=(3, 4, 6, 3), block=Bottleneck, variant=TORCHVISION, deep_stem=True
  ),
  'resnet101_deep': functools.partial(
    ResNet, blocks=(3, 4, 23, 3), block=Bottleneck, variant=TORCHVISION, deep_stem=True
  ),
  'efficientnet_lite0': EfficientNetLite,
  **DINOV2,
}
