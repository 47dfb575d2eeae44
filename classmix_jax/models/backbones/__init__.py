"""Backbones: from an image to features.

    image [B, H, W, 3] float32, RGB, 0..1
      -> backbone -> Features: low [B, H / 4, W / 4, F], high [B, H / stride, W / stride, F']

A backbone is a flax Module called as `backbone(image, train)`. Its fields: `bn`
says which BN statistics it uses, `dtype` in which precision it computes,
`preprocessing` which mean, deviation and channel order its weights expect,
`output_stride` the stride of `high`; one that it cannot have is refused with
`check_output_stride`. `remat` says whether blocks are computed again in the
backward pass. To add one: a file here and a line in `BACKBONES`.
"""

from collections.abc import Callable, Mapping
import functools

import flax.linen as nn

from classmix_jax.models.backbones.efficientnet_lite import EfficientNetLite
from classmix_jax.models.backbones.resnet import TORCHVISION, BasicBlock, Bottleneck, ResNet
from classmix_jax.models.backbones.tiny import Tiny

BACKBONES: Mapping[str, Callable[..., nn.Module]] = {
  'tiny': Tiny,
  # As the DeepLab-v2 code bases build them.
  'resnet18': functools.partial(ResNet, blocks=(2, 2, 2, 2), block=BasicBlock),
  'resnet34': functools.partial(ResNet, blocks=(3, 4, 6, 3), block=BasicBlock),
  'resnet50': functools.partial(ResNet, blocks=(3, 4, 6, 3), block=Bottleneck),
  'resnet101': functools.partial(ResNet, blocks=(3, 4, 23, 3), block=Bottleneck),
  # As torchvision builds them.
  'resnet50_tv': functools.partial(
    ResNet, blocks=(3, 4, 6, 3), block=Bottleneck, layout=TORCHVISION
  ),
  'resnet101_tv': functools.partial(
    ResNet, blocks=(3, 4, 23, 3), block=Bottleneck, layout=TORCHVISION
  ),
  # The same with three 3x3 convolutions in the stem, as in UniMatch.
  'resnet50_deep': functools.partial(
    ResNet, blocks=(3, 4, 6, 3), block=Bottleneck, layout=TORCHVISION, deep_stem=True
  ),
  'resnet101_deep': functools.partial(
    ResNet, blocks=(3, 4, 23, 3), block=Bottleneck, layout=TORCHVISION, deep_stem=True
  ),
  'efficientnet_lite0': EfficientNetLite,
}
