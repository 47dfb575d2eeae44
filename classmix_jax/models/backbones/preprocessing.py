"""Normalises images as the weights of a backbone expect.

Synopsis:

    x = preprocess(image, PREPROCESSING['imagenet'])

Everywhere else images are RGB in 0..1.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp

from classmix_jax.types import Array


class Preprocessing(NamedTuple):
  """Normalisation (pixel - mean) / deviation of each channel.

  Attributes:
    channels: 'rgb' or 'bgr', the channel order of the network's input.
    mean: per channel in that order, of pixels in 0..`max_value`.
    deviation: per channel in that order, of pixels in 0..`max_value`.
    max_value: the largest pixel value, 1 or 255.
  """

  channels: str
  mean: tuple[float, float, float]
  deviation: tuple[float, float, float]
  max_value: float


PREPROCESSING: Mapping[str, Preprocessing] = {
  'plain': Preprocessing('rgb', (0.45,) * 3, (0.25,) * 3, 1.0),
  # torchvision, timm
  'imagenet': Preprocessing('rgb', (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0),
  # TensorFlow's EfficientNet-Lite: to about -1..1
  'symmetric': Preprocessing('rgb', (127.0,) * 3, (128.0,) * 3, 255.0),
  # the caffe network of DeepLab's COCO weights
  'caffe': Preprocessing('bgr', (104.008, 116.669, 122.675), (1.0,) * 3, 255.0),
  # The input of these weights in the original ClassMix code: on VOC in RGB, on Cityscapes with
  # the means of R, G, B subtracted from B, G, R.
  'classmix_voc': Preprocessing(
    'rgb', (122.67891434, 116.66876762, 104.00698793), (1.0,) * 3, 255.0
  ),
  'classmix_cityscapes': Preprocessing('bgr', (73.158, 82.909, 72.392), (1.0,) * 3, 255.0),
}


def preprocess(image: Array, preprocessing: Preprocessing) -> Array:
  """Normalises images `[B, H, W, 3]`, float32 RGB in 0..1, for a backbone.

  Example:
    >>> pixel = jnp.array([[[[1.0, 0.5, 0.0]]]])
    >>> preprocess(pixel, Preprocessing('bgr', (1.0, 2.0, 3.0), (2.0, 2.0, 2.0), 4.0)).tolist()
    [[[[-0.5, 0.0, 0.5]]]]
  """
  x = image[..., ::-1] if preprocessing.channels == 'bgr' else image
  shape = (1,) * (image.ndim - 1) + (3,)
  mean = jnp.array(preprocessing.mean, jnp.float32).reshape(shape)
  deviation = jnp.array(preprocessing.deviation, jnp.float32).reshape(shape)
  return (x * preprocessing.max_value - mean) / deviation
