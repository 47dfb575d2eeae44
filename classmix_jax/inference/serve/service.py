"""Predicts one uploaded image at a time, for any number of threads.

Synopsis:

    service = Service(load('RUN'), max_pixels=24_000_000)
    answer = service.answer(Path('photo.jpg').read_bytes())
    answer.prediction.label, answer.seconds
"""

import threading
import time
from typing import NamedTuple

import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.inference.predictor import Prediction, Predictor, convert_memory_errors
from classmix_jax.inference.serve.upload import Refusal, read_upload

MAX_PROGRAMS = 16  # compiled programs, one for each size, that stay in memory


class Answer(NamedTuple):
  """Prediction for an uploaded image.

  Attributes:
    image: `[H, W, 3]` uint8, upright, as the network gets it before resizing or padding.
    prediction: class ids and confidence, `[H, W]` each.
    seconds: for reading and predicting it, without the time that it waited for others.
    compiled: whether the network was compiled for this size, which the next image is spared.
  """

  image: np.ndarray
  prediction: Prediction
  seconds: float
  compiled: bool


class Service:
  """Predictor behind a lock.

  Args:
    predictor: of the run.
    max_pixels: of an image.
  """

  def __init__(self, predictor: Predictor, max_pixels: int):
    self.predictor = predictor
    self.max_pixels = max_pixels
    self._lock = threading.Lock()
    self._shapes: set[tuple[tuple[int, ...], ...]] = set()

  def answer(self, data: bytes) -> Answer:
    """Predicts an encoded image; waits until the images before it are finished.

    Args:
      data: content of an image file.

    Raises:
      Refusal: as `read_upload`, and 413 if the memory does not suffice.
    """
    with self._lock:  # also for decoding, so that one image at a time is in memory
      start = time.perf_counter()
      image = read_upload(data, self.predictor.reading, self.max_pixels)
      try:
        with convert_memory_errors('the image', image.shape[:2]):
          prediction, compiled = self._predict(image)
      except UserError as error:
        raise Refusal(413, str(error)) from None
      return Answer(image, prediction, time.perf_counter() - start, compiled)

  def is_busy(self) -> bool:
    """Returns whether an image is being predicted."""
    return self._lock.locked()

  def _predict(self, image: np.ndarray) -> tuple[Prediction, bool]:
    """Returns the prediction, and whether the network was compiled for it."""
    framed = self.predictor.framed(image)
    shapes = (framed.image.shape, framed.valid.shape)
    compiles = shapes not in self._shapes
    if compiles:
      height, width = framed.size
      print(f'compiles the network for {width}x{height}; the next image of this size is faster')
      if len(self._shapes) >= MAX_PROGRAMS:
        self.predictor.apply.clear_cache()  # type: ignore[attr-defined]  # of jax.jit
        self._shapes.clear()
    prediction = self.predictor.predict_framed(framed)
    self._shapes.add(shapes)
    return prediction, compiles
