"""Names in the DeepLab-v2 of AdvSemiSeg, s4GAN and ClassMix.

    backbone/layer1_0/conv1/kernel   layer1.0.conv1.weight, as in torchvision's
    head/dilation6/kernel            layer5.conv2d_list.0.weight
    head/dilation12/bias             layer5.conv2d_list.1.bias

A branch of the head is known by the dilation that ends its name: dilation6, unused18.
"""

import re

from classmix_jax.pretrained.layouts import torchvision
from classmix_jax.pretrained.layouts.layout import LEAVES

DILATIONS = ('6', '12', '18', '24')


def to_torch_name(path: tuple[str, ...]) -> str:
  """The name of a tensor, from the path of the array here.

  Example:
    >>> to_torch_name(('head', 'dilation24', 'kernel'))
    'layer5.conv2d_list.3.weight'
  """
  branch = re.fullmatch(r'[a-z]+(\d+)', path[1])  # conv_rate6 is of another head
  if path[0] == 'head' and branch and branch[1] in DILATIONS:
    return f'layer5.conv2d_list.{DILATIONS.index(branch[1])}.{LEAVES[path[-1]]}'
  return torchvision.to_torch_name(path)
