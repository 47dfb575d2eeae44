"""State dicts of small networks in exactly the names and shapes of the public files.

Synopsis:

    tensors = deeplab_v2(classes=5)      # name -> float32, blocks (1, 1, 1, 1)
    save(tmp_path / 'x.safetensors', tensors)
"""

import functools

import jax
import numpy as np
import pytest

from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.resnet import BasicBlock, Bottleneck, ResNet
from classmix_jax.pretrained.matching import to_array_path
from classmix_jax.pretrained.state_dict_files import write_file

NEEDED = "needs pip install 'classmix_jax[torch]'"


def batch_norm(name, channels):
  return {
    f'{name}.{leaf}': (channels,) for leaf in ('weight', 'bias', 'running_mean', 'running_var')
  }


def bottleneck(name, inputs, width):
  shapes = {
    f'{name}.conv1.weight': (width, inputs, 1, 1),
    **batch_norm(f'{name}.bn1', width),
    f'{name}.conv2.weight': (width, width, 3, 3),
    **batch_norm(f'{name}.bn2', width),
    f'{name}.conv3.weight': (4 * width, width, 1, 1),
  }
  return {**shapes, **batch_norm(f'{name}.bn3', 4 * width), **shortcut(name, inputs, 4 * width)}


def basic(name, inputs, width):
  shapes = {
    f'{name}.conv1.weight': (width, inputs, 3, 3),
    **batch_norm(f'{name}.bn1', width),
    f'{name}.conv2.weight': (width, width, 3, 3),
    **batch_norm(f'{name}.bn2', width),
  }
  return {**shapes, **shortcut(name, inputs, width)}


def shortcut(name, inputs, outputs):
  if inputs == outputs:
    return {}
  return {
    f'{name}.downsample.0.weight': (outputs, inputs, 1, 1),
    **batch_norm(f'{name}.downsample.1', outputs),
  }


def draw(shapes):
  rng = np.random.default_rng(0)
  return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def body(block, grows):
  shapes = {'conv1.weight': (64, 3, 7, 7), **batch_norm('bn1', 64)}
  inputs = 64
  for index, width in enumerate((64, 128, 256, 512), start=1):
    shapes.update(block(f'layer{index}.0', inputs, width))
    inputs = grows * width
  return shapes


def torchvision(block=bottleneck):
  """A ResNet of one block per layer, with its classifier."""
  grows = 4 if block is bottleneck else 1
  return draw({**body(block, grows), 'fc.weight': (10, grows * 512), 'fc.bias': (10,)})


def deeplab_v2(classes=5):
  """The network of ClassMix, of one block per layer."""
  shapes = body(bottleneck, 4)
  for branch in range(4):
    shapes[f'layer5.conv2d_list.{branch}.weight'] = (classes, 2048, 3, 3)
    shapes[f'layer5.conv2d_list.{branch}.bias'] = (classes,)
  return draw(shapes)


def leaves(tree):
  """Pairs of the path and the leaf of `{'params': ..., 'batch_stats': ...}`."""
  return [(to_array_path(path), leaf) for path, leaf in jax.tree.leaves_with_path(tree)]


def in_layout(layout, tree):
  """Random tensors in the names and shapes of a layout, for a tree of shapes."""
  return draw(
    {
      layout.tensor_name(path): layout.to_file_shape(path, leaf.shape)
      for path, leaf in leaves(tree)
    }
  )


TORCHVISION = [('resnet_small', bottleneck), ('resnet_basic', basic)]


def add_networks(monkeypatch):
  """Puts 'resnet_small' and 'resnet_basic', of one block per layer, into BACKBONES."""
  for name, block in (('resnet_small', Bottleneck), ('resnet_basic', BasicBlock)):
    monkeypatch.setitem(
      BACKBONES, name, functools.partial(ResNet, blocks=(1, 1, 1, 1), block=block)
    )


def save(path, tensors):
  """Writes tensors; skips the test where the package for this kind of file is missing."""
  pytest.importorskip('safetensors' if path.suffix == '.safetensors' else 'torch', reason=NEEDED)
  write_file(path, tensors)
  return path
