"""Scores exported networks on the validation images of their run, at the images' own sizes.

Synopsis:

    val = open_run_images(Path('RUN')).val
    miou = score_networks({'JAX': jitted, 'onnx int8': loaded}, val, num_classes=11)
    describe_scores(miou, len(val))
    # 'mIoU on 101 validation images: JAX 47.31, onnx int8 46.80'
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from classmix_jax.core.metrics import confusion_matrix, mean_iou
from classmix_jax.data.source import Source
from classmix_jax.utils.progress import track
from classmix_jax.utils.text import plural

# Maps images `[1, H, W, 3]` uint8 RGB to class ids `[1, H, W]`.
Labeling = Callable[[np.ndarray], Any]


def score_networks(
  networks: Mapping[str, Labeling], val: Source, num_classes: int
) -> dict[str, float]:
  """Computes the mIoU of each network in one pass over labelled images.

  Args:
    networks: name -> function from images `[1, H, W, 3]` uint8 to class ids `[1, H, W]`.
    val: labelled images; their labels have their sizes.
    num_classes: C.

  Returns:
    Name -> mIoU in 0..1, NaN if all pixels are void.

  Raises:
    UserError: an image or a label is unreadable.
  """
  counts = {name: np.zeros((num_classes, num_classes), np.int64) for name in networks}
  title = f'measuring the mIoU of {", ".join(networks)}'
  for index in track(range(len(val)), title, len(val)):
    image, label = val.read_image(index)[None], val.load_label(index)[None]
    for name, network in networks.items():
      prediction = jnp.asarray(network(image))
      counts[name] += np.asarray(confusion_matrix(prediction, jnp.asarray(label), num_classes))
  return {name: mean_iou(confusion) for name, confusion in counts.items()}


def describe_scores(miou: Mapping[str, float], images: int) -> str:
  """Returns a line with the mIoU of each network in percent.

  Example:
    >>> describe_scores({'JAX': 0.47312, 'onnx int8': 0.468}, 101)
    'mIoU on 101 validation images: JAX 47.31, onnx int8 46.80'
  """
  scores = ', '.join(f'{name} {100 * value:.2f}' for name, value in miou.items())
  return f'mIoU on {images} validation {plural("image", range(images))}: {scores}'
