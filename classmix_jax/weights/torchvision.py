"""Names in the state dicts of torchvision's ResNets.

    backbone/conv1/kernel                   conv1.weight
    backbone/layer1_0/bn2/mean              layer1.0.bn2.running_mean
    backbone/layer1_0/conv_shortcut/kernel  layer1.0.downsample.0.weight
    head/dilation6/bias                     head.dilation6.bias, which no such file has
"""

from classmix_jax.weights.layout import LEAVES

SHORTCUT = {'conv_shortcut': 'downsample.0', 'bn_shortcut': 'downsample.1'}


def module_name(name: str) -> str:
  """The name of one module there.

  Example:
    >>> module_name('layer3_22'), module_name('bn_shortcut'), module_name('conv1')
    ('layer3.22', 'downsample.1', 'conv1')
  """
  if name.startswith('layer'):
    return name.replace('_', '.')
  return SHORTCUT.get(name, name)


def torch_name(path: tuple[str, ...]) -> str:
  """The name of a tensor, from the path of the array here.

  Example:
    >>> torch_name(('backbone', 'layer1_0', 'bn_shortcut', 'scale'))
    'layer1.0.downsample.1.weight'
  """
  modules = path[1:-1] if path[0] == 'backbone' else path[:-1]
  return '.'.join([*map(module_name, modules), LEAVES[path[-1]]])
