"""Names of our arrays in the state dicts of segmentation-models-pytorch."""

from classmix_jax.pretrained.layouts import torchvision
from classmix_jax.pretrained.layouts.layout import LEAVES

# Blocks of timm's EfficientNets: (stage, block) of our block 0, 1, ...
STAGES = [
  (stage, index) for stage, count in enumerate((1, 2, 2, 3, 3, 4, 1)) for index in range(count)
]
# The modules of a block without expansion, and with it.
DEPTHWISE = {
  'conv_depthwise': 'conv_dw', 'bn_depthwise': 'bn1', 'conv_project': 'conv_pw',
  'bn_project': 'bn2',
}  # fmt: skip
INVERTED = {
  'conv_expand': 'conv_pw', 'bn_expand': 'bn1', 'conv_depthwise': 'conv_dw', 'bn_depthwise': 'bn2',
  'conv_project': 'conv_pwl', 'bn_project': 'bn3',
}  # fmt: skip


def encoder_module(modules):
  """The encoder's name of a module of our backbone."""
  if modules[0].startswith('block'):
    stage, index = STAGES[int(modules[0].removeprefix('block'))]
    return f'blocks.{stage}.{index}.{(DEPTHWISE if stage == 0 else INVERTED)[modules[1]]}'
  if modules[0].endswith('_stem'):
    return {'conv_stem': 'conv_stem', 'bn_stem': 'bn1'}[modules[0]]
  return '.'.join(map(torchvision.to_module_name, modules))


def unet_module(name):
  """The decoder's name of a module of our U-Net: conv2_1 is the first of the second block."""
  kind, numbers = name[: -len('1_1')].rstrip('_'), name.removeprefix('conv').removeprefix('bn')
  block, index = numbers.split('_')
  return f'decoder.blocks.{int(block) - 1}.conv{index}.{0 if kind.startswith("conv") else 1}'


def fpn_module(name):
  """The decoder's name of a module of our FPN, whose level 0 is the finest."""
  if name.startswith('level'):
    level = int(name.removeprefix('level'))
    return 'decoder.p5' if level == 3 else f'decoder.p{level + 2}.skip_conv'
  kind = 'conv' if name.startswith('conv') else 'norm'
  level, index = name.removeprefix(kind).split('_')
  return f'decoder.seg_blocks.{3 - int(level)}.block.{index}.block.{0 if kind == "conv" else 1}'


def torch_name(path, decoder):
  """The name of the array at `path`, with `unet_module` or `fpn_module` as `decoder`."""
  network, *modules, leaf = path
  if network == 'backbone':
    module = f'encoder.{encoder_module(modules)}'
  else:
    module = 'segmentation_head.0' if modules == ['classifier'] else decoder(modules[0])
  return f'{module}.{LEAVES[leaf]}'
