"""What an image goes through before the first convolution: it belongs to the weights.

Synopsis:

    x = preprocess(image, PREPROCESSING['imagenet'])

Images are RGB in 0..1 everywhere else.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp

from classmix_jax.types import Array


class Preprocessing(NamedTuple):
  """(pixel - mean) / deviation, channel by channel, in the order of `channels`.

  Attributes:
    channels: 'rgb' or 'bgr': the order in which the network takes them.
    mean: per channel in that order, of pixels 0..`top`.
    deviation: per channel in that order, of pixels 0..`top`.
    top: the largest pixel, 1 or 255.
  """

  channels: str
  mean: tuple[float, float, float]
  deviation: tuple[float, float, float]
  top: float


PREPROCESSING: Mapping[str, Preprocessing] = {
  'plain': Preprocessing('rgb', (0.45,) * 3, (0.25,) * 3, 1.0),
  # torchvision, timm
  'imagenet': Preprocessing('rgb', (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 1.0),
  # TensorFlow's EfficientNet-Lite: about -1..1
  'symmetric': Preprocessing('rgb', (127.0,) * 3, (128.0,) * 3, 255.0),
  # the caffe network behind the COCO weights of DeepLab
  'caffe': Preprocessing('bgr', (104.008, 116.669, 122.675), (1.0,) * 3, 255.0),
  # How the original ClassMix feeds those weights: on VOC in RGB, on Cityscapes with the
  # means of R, G, B taken from B, G, R.
  'classmix_voc': Preprocessing(
    'rgb', (122.67891434, 116.66876762, 104.00698793), (1.0,) * 3, 255.0
  ),
  'classmix_cityscapes': Preprocessing('bgr', (73.158, 82.909, 72.392), (1.0,) * 3, 255.0),
}


def preprocess(image: Array, how: Preprocessing) -> Array:
  """Maps `[B, H, W, 3]` float32 RGB in 0..1 to what the weights expect, float32.

  Example:
    >>> pixel = jnp.array([[[[1.0, 0.5, 0.0]]]])
    >>> preprocess(pixel, Preprocessing('bgr', (1.0, 2.0, 3.0), (2.0, 2.0, 2.0), 4.0)).tolist()
    [[[[-0.5, 0.0, 0.5]]]]
  """
  x = image[..., ::-1] if how.channels == 'bgr' else image
  shape = (1,) * (image.ndim - 1) + (3,)
  mean, deviation = (jnp.array(x, jnp.float32).reshape(shape) for x in (how.mean, how.deviation))
  return (x * how.top - mean) / deviation
