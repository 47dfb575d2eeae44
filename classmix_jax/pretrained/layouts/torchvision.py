"""Names of tensors in the state dicts of torchvision's ResNets, also with a deep stem.

backbone/conv1/kernel                   conv1.weight
backbone/layer1_0/bn2/mean              layer1.0.bn2.running_mean
backbone/layer1_0/conv_shortcut/kernel  layer1.0.downsample.0.weight
backbone/conv1_2/kernel                 conv1.3.weight, the second convolution of a deep stem
head/dilation6/bias                     head.dilation6.bias, absent from these files
"""

from classmix_jax.pretrained.layouts.layout import ArrayPath, join_torch_name

MODULES = {
  'conv_shortcut': 'downsample.0',
  'bn_shortcut': 'downsample.1',
  # A deep stem is a Sequential with ReLUs at 2 and 5, followed by the BN `bn1`.
  'conv1_1': 'conv1.0',
  'bn1_1': 'conv1.1',
  'conv1_2': 'conv1.3',
  'bn1_2': 'conv1.4',
  'conv1_3': 'conv1.6',
  'bn1_3': 'bn1',
}


def to_module_name(name: str) -> str:
  """Returns the torch name of a module.

  Example:
    >>> to_module_name('layer3_22'), to_module_name('bn_shortcut'), to_module_name('conv1')
    ('layer3.22', 'downsample.1', 'conv1')
  """
  if name.startswith('layer'):
    return name.replace('_', '.')
  return MODULES.get(name, name)


def to_torch_name(path: ArrayPath) -> str:
  """Returns the name of a tensor from the path of its array.

  Example:
    >>> to_torch_name(('backbone', 'layer1_0', 'bn_shortcut', 'scale'))
    'layer1.0.downsample.1.weight'
  """
  return join_torch_name(path, to_module_name)
