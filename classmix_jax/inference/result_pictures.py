"""The pictures of a prediction, as `predict` writes and `serve` sends them.

Synopsis:

    PICTURES['overlay'](image, prediction, palette).save('overlay.png')
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from classmix_jax.inference.predictor import Prediction
from classmix_jax.utils.indexed_image import to_indexed
from classmix_jax.utils.visualize import colorize, overlay

Palette = Sequence[tuple[int, int, int]]


def draw_label(image: np.ndarray, prediction: Prediction, palette: Palette) -> Image.Image:
  """Returns the class ids as a palette image in the colours of the classes."""
  del image
  return to_indexed(prediction.label, palette)


def draw_overlay(image: np.ndarray, prediction: Prediction, palette: Palette) -> Image.Image:
  """Returns half the image `[H, W, 3]` uint8, half the colours of the classes."""
  return Image.fromarray(overlay(image, colorize(prediction.label, palette)))


def draw_confidence(image: np.ndarray, prediction: Prediction, palette: Palette) -> Image.Image:
  """Returns the confidence as grey values; 255 is certain."""
  del image, palette
  return Image.fromarray((255 * prediction.confidence).round().astype(np.uint8))


# In the order of `result_names.list_results`.
PICTURES: Mapping[str, Callable[[np.ndarray, Prediction, Palette], Image.Image]] = {
  'label': draw_label,
  'overlay': draw_overlay,
  'confidence': draw_confidence,
}
