"""Predicts images of any size with a trained run.

Synopsis:

    import classmix_jax
    trained = classmix_jax.load('RUN')
    label, confidence = trained.predict('photo.jpg')
    trained.class_names[label[0, 0]]
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import trained_setup
from classmix_jax.data.files.image_io import WHOLE
from classmix_jax.data.files.reading import Reading, parse_reading
from classmix_jax.errors import UserError
from classmix_jax.evaluation.eval_step import predict
from classmix_jax.evaluation.headline import headline_network
from classmix_jax.inference.as_array import ImageLike, as_array
from classmix_jax.inference.frame import Frame, choose_frame
from classmix_jax.inference.restore import load_networks
from classmix_jax.types import Array, PyTree
from classmix_jax.utils.text import describe_error
from classmix_jax.workdir import run_files


class Prediction(NamedTuple):
  """Prediction for one image.

  Attributes:
    label: `[H, W]` uint8 class ids.
    confidence: `[H, W]` float32 in 0..1, score of the predicted class relative to all scores.
  """

  label: np.ndarray
  confidence: np.ndarray


class Framed(NamedTuple):
  """An image as input of the network.

  Attributes:
    image: `[h, w, 3]` uint8, resized or padded.
    valid: `[H, W]` bool, True on the pixels of the image itself.
    size: (height, width) of the image itself.
  """

  image: np.ndarray
  valid: np.ndarray
  size: tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Predictor:
  """Predicts images with a trained network.

  Attributes:
    apply: jitted `(variables, image [1, h, w, 3], valid [1, H, W]) -> (class ids, confidence)`,
      each `[1, H, W]`.
    variables: of the network.
    frame: the size at which the network sees an image.
    class_names: name of class 0, 1, ...
    palette: one RGB triple per class.
    network: name of the network, e.g. 'teacher'.
    step: of its checkpoint.
    reading: bands and range of values that the run reads of its images.
  """

  apply: Callable
  variables: PyTree
  frame: Frame
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  network: str
  step: int
  reading: Reading = WHOLE

  def predict(self, image: ImageLike) -> Prediction:
    """Predicts an image at its own size.

    The image is resized to the working size of the run and its scores back to `[H, W]`; in a run
    without working size it is padded at the bottom and right, like validation images.

    Args:
      image: a file, a PIL image or an array, see `as_array`.

    Raises:
      ValueError: the array has another shape or type.
      UserError: the file is unreadable as an image.
    """
    return self.predict_rgb(self.read(image))

  def predict_all(self, images: Iterable[ImageLike]) -> Iterator[Prediction]:
    """Yields the predictions of many images, in order.

    Every image passes the network alone, so that its prediction is the same, bit for bit, beside
    any others. One image is in memory at a time; a video may have any length.

    Args:
      images: as for `predict`.

    Raises:
      ValueError, UserError: as `predict`.
    """
    return map(self.predict, images)

  def read(self, image: ImageLike) -> np.ndarray:
    """Returns an image as `[H, W, 3]` uint8 RGB, with the bands and range of the run.

    Raises:
      ValueError, UserError: as `predict`.
    """
    return as_array(image, self.reading)

  def predict_rgb(self, image: np.ndarray) -> Prediction:
    """Predicts an image `[H, W, 3]` uint8 as `read` returns it."""
    return self.predict_framed(self.framed(image))

  def predict_framed(self, framed: Framed) -> Prediction:
    """Predicts an image that `framed` has resized or padded."""
    scores = self.apply(self.variables, framed.image[None], framed.valid[None])
    height, width = framed.size
    label, confidence = (np.asarray(array)[0, :height, :width] for array in scores)
    return Prediction(label, confidence)

  def framed(self, image: np.ndarray) -> Framed:
    """Resizes or pads an image as the run's protocol does."""
    height, width = image.shape[:2]
    frame = self.frame.of((height, width))
    padding = [(0, frame[0] - height), (0, frame[1] - width)]
    valid = np.pad(np.ones((height, width), bool), padding)
    if self.frame.size is not None:
      resized = Image.fromarray(image).resize(self.frame.size[::-1], Image.Resampling.BILINEAR)
      return Framed(np.asarray(resized), valid, (height, width))
    return Framed(np.pad(image, [*padding, (0, 0)]), valid, (height, width))


def load(run: str | os.PathLike, *, step: str = 'best', network: str = '') -> Predictor:
  """Restores a network of a run for prediction; needs the directory of the run only.

  It predicts as the run evaluates, with its windows, flip and scales. If the run evaluates at its
  working size, logits are enlarged to the image as in the protocol `full`.

  Args:
    run: directory of the run.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.

  Raises:
    UserError: the run, the checkpoint or the network does not exist.
  """
  run = Path(os.path.expanduser(run)).absolute()
  values = read_config(run)
  names, palette = run_files.read_classes(run)
  method, evaluation = trained_setup(values, len(names))
  restored, networks = load_networks(run, step)
  name = headline_network(network or evaluation.headline, networks)
  protocol = evaluation.protocol
  frame = choose_frame(evaluation)
  if frame.size is not None:
    protocol = dataclasses.replace(protocol, name='full')

  @jax.jit
  def apply(variables: PyTree, image: Array, valid: Array) -> tuple[Array, Array]:
    scores = predict(method.model, variables, image, valid, protocol)
    return scores.argmax(-1).astype(np.uint8), scores.max(-1) / scores.sum(-1)

  return Predictor(
    apply=apply,
    variables=networks[name],
    frame=frame,
    class_names=names,
    palette=palette,
    network=name,
    step=restored,
    reading=run_reading(values),
  )


@contextlib.contextmanager
def convert_memory_errors(name: str, size: tuple[int, int]) -> Iterator[None]:
  """Converts exhausted memory inside the block to UserError.

  Args:
    name: of the image, for the message.
    size: (height, width) of the image.
  """
  try:
    yield
  except (MemoryError, jax.errors.JaxRuntimeError) as error:
    text = describe_error(error)
    if not isinstance(error, MemoryError) and 'RESOURCE_EXHAUSTED' not in text:
      raise
    raise UserError(
      f'{name} has {size[1]} x {size[0]} pixels, for which the memory does not suffice: make it '
      'smaller, or cut it into parts.'
    ) from None


def run_reading(values: Mapping[str, Any]) -> Reading:
  """Returns how the images of a run are read; data sets without these options have 8 bits."""
  data = values['data']
  if 'bands' not in data:
    return Reading(has_options=False)
  return parse_reading(data['bands'], data.get('value_range', ''))
