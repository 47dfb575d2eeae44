"""Weights of other projects: read, named, accounted for, and written back.

    FILE.pth, FILE.safetensors -> tensors by name -> LAYOUTS -> a tree of this project
    config.model.pretrained: such a file, a folder that launch/convert.py wrote, or a run

A layout is a function from the path of an array here to the name of its tensor
there. To add one: a file here with a `to_torch_name`, and a line in `LAYOUTS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from classmix_jax.pretrained.layouts import deeplab_v2, efficientnet_lite0, torchvision
from classmix_jax.pretrained.layouts.layout import Layout

# The first one whose `mark` begins the name of a tensor is taken, see `source.detect_layout`.
LAYOUTS: Mapping[str, Layout] = {
  'deeplab_v2': Layout(
    deeplab_v2.to_torch_name, mark='layer5.', head=('layer5.',), preprocessing='caffe'
  ),
  'torchvision': Layout(
    torchvision.to_torch_name, mark='layer4.', head=('fc.',), preprocessing='imagenet'
  ),
  'efficientnet_lite0': Layout(
    efficientnet_lite0.to_torch_name,
    mark='_conv_stem.',
    head=efficientnet_lite0.CLASSIFIER,
    preprocessing='symmetric',
  ),
}

# Weights that come as a Python package: the word for config.model.pretrained, and where they are.
INSTALLED: Mapping[str, Callable[[], Path]] = {
  'efficientnet_lite0': efficientnet_lite0.find_weights,
}
