"""Predicts images of any size with a trained run.

Synopsis:

    import classmix_jax
    trained = classmix_jax.load('RUN')
    label, confidence = trained.predict('photo.jpg')
    trained.class_names[label[0, 0]]
"""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import itertools
import os
from pathlib import Path
from typing import NamedTuple

import jax
import ml_collections
import numpy as np
from PIL import Image

from classmix_jax.config.load import read_config
from classmix_jax.config.model import build_model, build_protocol
from classmix_jax.data.files.image_io import read_image
from classmix_jax.evaluation.eval_step import predict
from classmix_jax.evaluation.evaluator import headline_network
from classmix_jax.evaluation.protocols import PROTOCOLS
from classmix_jax.inference.restore import load_networks
from classmix_jax.types import Array, PyTree
from classmix_jax.workdir import run_files

MULTIPLE = 32  # sizes are padded to multiples of this, so that few shapes are compiled

Picture = np.ndarray | Image.Image | str | os.PathLike


class Prediction(NamedTuple):
  """What a network sees in an image.

  Attributes:
    label: `[H, W]` uint8 class ids.
    confidence: `[H, W]` float32 in 0..1, the share of the predicted class in all scores.
  """

  label: np.ndarray
  confidence: np.ndarray


class Framed(NamedTuple):
  """An image as the network gets it: `[h, w, 3]`, where it is valid `[H, W]`, and its size."""

  image: np.ndarray
  valid: np.ndarray
  size: tuple[int, int]

  @property
  def shape(self) -> tuple:
    return self.image.shape + self.valid.shape


def as_array(picture: Picture) -> np.ndarray:
  """Returns `[H, W, 3]` uint8 RGB of an array, a PIL image or a file.

  Raises:
    ValueError: an array of another shape or type.
    UserError: a file that is no picture.

  Example:
    >>> as_array(Image.new('L', (4, 3), 7)).shape
    (3, 4, 3)
  """
  if isinstance(picture, str | os.PathLike):
    return read_image(Path(picture))
  if isinstance(picture, Image.Image):
    return np.asarray(picture.convert('RGB'))
  if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
    raise ValueError(
      f'the image is {picture.dtype} of shape {picture.shape}; wanted is uint8 [H, W, 3], '
      'RGB from 0 to 255.'
    )
  return picture


@dataclasses.dataclass(frozen=True)
class Predictor:
  """A trained network, ready for images.

  Attributes:
    apply: jitted `(variables, image [B, h, w, 3], valid [B, H, W]) -> (class ids, confidence)`,
      each `[B, H, W]`.
    variables: of the network.
    size: (H, W) at which the network sees images, None for the image's own.
    pad: (H, W) to which smaller images are padded then, None for the nearest multiple.
    class_names: name of class 0, 1, ...
    palette: one RGB triple per class.
  """

  apply: Callable
  variables: PyTree
  size: tuple[int, int] | None
  pad: tuple[int, int] | None
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]

  def predict(self, picture: Picture) -> Prediction:
    """Predicts an array `[H, W, 3]` uint8 RGB, a PIL image or a file, at its own size.

    The image is brought to the size of the training images and scores come back
    to [H, W], or it is padded at the bottom and right like validation images.

    Raises:
      ValueError: an array of another shape or type.
      UserError: a file that is no picture.
    """
    return next(self.predict_all([picture], batch_size=1))

  def predict_all(self, pictures: Iterable[Picture], batch_size: int = 8) -> Iterator[Prediction]:
    """Yields what `predict` returns, in order; neighbours of one size go through together.

    Only `batch_size` images are held at once, so that a video may be of any length.
    """
    framed = (self.framed(as_array(picture)) for picture in pictures)
    for _, neighbours in itertools.groupby(framed, key=lambda example: example.shape):
      while batch := list(itertools.islice(neighbours, batch_size)):
        # Filled up, so that every size is compiled once.
        filled = batch + [batch[-1]] * (batch_size - len(batch))
        found = self.apply(
          self.variables,
          np.stack([example.image for example in filled]),
          np.stack([example.valid for example in filled]),
        )
        for example, label, confidence in zip(batch, *map(np.asarray, found), strict=False):
          height, width = example.size
          yield Prediction(label[:height, :width], confidence[:height, :width])

  def framed(self, image: np.ndarray) -> Framed:
    """Resizes or pads an image, as the run's protocol does."""
    height, width = image.shape[:2]
    frame = self.pad
    if frame is None or height > frame[0] or width > frame[1]:
      frame = (height + -height % MULTIPLE, width + -width % MULTIPLE)
    padding = [(0, frame[0] - height), (0, frame[1] - width)]
    valid = np.pad(np.ones((height, width), bool), padding)
    if self.size is not None:
      seen = Image.fromarray(image).resize(self.size[::-1], Image.Resampling.BILINEAR)
    else:
      seen = np.pad(image, [*padding, (0, 0)])
    return Framed(np.asarray(seen), valid, (height, width))


def load(run: str | os.PathLike, *, step: str = 'best', network: str = '') -> Predictor:
  """Restores a run for prediction; the run's folder alone is enough.

  It predicts as the run is evaluated, windows, flip and scales included; where
  the run scores at its working size, logits are enlarged as in the protocol `full`.

  Args:
    run: the run's folder.
    step: 'latest', 'best' or a step.
    network: 'student' or 'teacher'; '' is the config's `eval_network`.

  Raises:
    UserError: no such run, checkpoint or network.
  """
  run = Path(os.path.expanduser(run)).absolute()
  config = ml_collections.ConfigDict(read_config(run))
  names, palette = run_files.read_classes(run)
  _, networks = load_networks(run, step)
  name = headline_network(network or config.eval_network, networks)
  model = build_model(config, len(names))
  protocol = build_protocol(config)
  size = None if PROTOCOLS[protocol.name].native_image else tuple(config.data.size) or None
  if size is not None:
    protocol = dataclasses.replace(protocol, name='full')

  @jax.jit
  def apply(variables: PyTree, image: Array, valid: Array) -> tuple[Array, Array]:
    scores = predict(model, variables, image, valid, protocol)
    return scores.argmax(-1).astype(np.uint8), scores.max(-1) / scores.sum(-1)

  return Predictor(
    apply=apply,
    variables=networks[name],
    size=size,
    pad=protocol.pad if protocol.name == 'paper' else None,
    class_names=names,
    palette=palette,
  )
