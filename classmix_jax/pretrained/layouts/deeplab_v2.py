"""Names of tensors in the DeepLab-v2 checkpoints of AdvSemiSeg, s4GAN and ClassMix.

    backbone/layer1_0/conv1/kernel   layer1.0.conv1.weight, as in torchvision
    head/dilation6/kernel            layer5.conv2d_list.0.weight
    head/dilation12/bias             layer5.conv2d_list.1.bias

The dilation at the end of its name identifies a branch of the head: dilation6, unused18.
"""

import re

from classmix_jax.pretrained.layouts import torchvision
from classmix_jax.pretrained.layouts.layout import LEAVES, ArrayPath

BRANCH_DILATIONS = ('6', '12', '18', '24')

# config['dataset'] in a checkpoint of the original ClassMix code -> trained_on, preprocessing.
ORIGINS = {
  'cityscapes': ('Cityscapes', 'classmix_cityscapes'),
  'pascal_voc': ('PASCAL VOC', 'classmix_voc'),
}


def to_torch_name(path: ArrayPath) -> str:
  """Returns the name of a tensor from the path of its array.

  Example:
    >>> to_torch_name(('head', 'dilation24', 'kernel'))
    'layer5.conv2d_list.3.weight'
  """
  branch = re.fullmatch(r'[a-z]+(\d+)', path[1])  # does not match conv_rate6 of DeepLab-v3+
  if path[0] == 'head' and branch and branch[1] in BRANCH_DILATIONS:
    return f'layer5.conv2d_list.{BRANCH_DILATIONS.index(branch[1])}.{LEAVES[path[-1]]}'
  return torchvision.to_torch_name(path)
