"""The replies to an uploaded image: JSON, or one PNG.

Synopsis:

    describe(answer, about, images=('label',))    # JSON: size, classes, confidence, seconds
    encode('overlay', answer, about)              # (content type, bytes)
"""

import base64
from collections.abc import Callable, Mapping, Sequence
import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from classmix_jax.inference.serve.service import Answer
from classmix_jax.utils.indexed_image import to_indexed
from classmix_jax.utils.visualize import colorize, overlay

Palette = Sequence[tuple[int, int, int]]

JPEG_QUALITY = 92  # no visible artifacts in the browser
FAST = 1  # compression level of PNG: four times as fast as the default, files 5 to 30 % larger


class About(NamedTuple):
  """What is served, in the words of the first screen, the page and the replies.

  Attributes:
    run: name of the run's directory.
    network: e.g. 'teacher'.
    step: of the checkpoint.
    protocol: of the run's evaluation, e.g. 'full at 1024x2048 from 512x1024'.
    miou: of this network at this step in 0..1, or None if it was not evaluated.
    class_names: name of class 0, 1, ...
    palette: one RGB triple per class.
  """

  run: str
  network: str
  step: int
  protocol: str
  miou: float | None
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]

  def __str__(self) -> str:
    """Returns for example 'student, step 300, mIoU 52.33 (paper at 96x192)'."""
    score = '' if self.miou is None else f', mIoU {100 * self.miou:.2f}'
    return f'{self.network}, step {self.step}{score} ({self.protocol})'


def list_classes(about: About) -> list[dict[str, Any]]:
  """Returns id, name and colour of every class, for JSON.

  Example:
    >>> list_classes(About('RUN', 'student', 1, 'paper', None, ('sky',), ((0, 128, 255),)))
    [{'id': 0, 'name': 'sky', 'color': '#0080ff'}]
  """
  classes = zip(about.class_names, about.palette, strict=True)
  return [
    {'id': index, 'name': name, 'color': '#' + bytes(color).hex()}
    for index, (name, color) in enumerate(classes)
  ]


def describe(answer: Answer, about: About, images: Sequence[str] = ()) -> dict[str, Any]:
  """Returns the JSON reply.

  Args:
    answer: the prediction.
    about: what is served.
    images: names of `IMAGES` that the reply has as data URLs.
  """
  label, confidence = answer.prediction
  counts = np.bincount(label.ravel(), minlength=len(about.class_names))
  shares = (counts / label.size).round(6).tolist()
  classes = zip(list_classes(about), shares, strict=True)
  reply = {
    'width': label.shape[1],
    'height': label.shape[0],
    'classes': [{**one, 'share': share} for one, share in classes],
    'mean_confidence': round(float(confidence.mean(dtype=np.float64)), 6),
    'seconds': round(answer.seconds, 3),
    'compiled': answer.compiled,
    'network': about.network,
    'step': about.step,
    'protocol': about.protocol,
  }
  if images:
    reply['images'] = {name: to_data_url(*encode(name, answer, about)) for name in images}
  return reply


def encode_label(answer: Answer, palette: Palette) -> tuple[str, bytes]:
  """Returns the class ids as a palette image in the colours of the classes."""
  return encode_image(to_indexed(answer.prediction.label, palette))


def encode_overlay(answer: Answer, palette: Palette) -> tuple[str, bytes]:
  """Returns half the image, half the colours of the classes."""
  colors = colorize(answer.prediction.label, palette)
  return encode_image(Image.fromarray(overlay(answer.image, colors)))


def encode_confidence(answer: Answer, palette: Palette) -> tuple[str, bytes]:
  """Returns the confidence as grey values; 255 is certain."""
  del palette
  return encode_image(
    Image.fromarray((255 * answer.prediction.confidence).round().astype(np.uint8))
  )


def encode_upright(answer: Answer, palette: Palette) -> tuple[str, bytes]:
  """Returns the image itself as a JPEG, which a browser shows whatever was uploaded."""
  del palette
  return encode_image(Image.fromarray(answer.image), 'JPEG', quality=JPEG_QUALITY)


IMAGES: Mapping[str, Callable[[Answer, Palette], tuple[str, bytes]]] = {
  'label': encode_label,
  'overlay': encode_overlay,
  'confidence': encode_confidence,
  'image': encode_upright,
}


def encode(name: str, answer: Answer, about: About) -> tuple[str, bytes]:
  """Returns content type and bytes of one of `IMAGES`."""
  return IMAGES[name](answer, about.palette)


def encode_image(image: Image.Image, kind: str = 'PNG', **options: Any) -> tuple[str, bytes]:
  """Returns content type and bytes of an image; the options are PIL's."""
  buffer = io.BytesIO()
  image.save(buffer, kind, **({'compress_level': FAST} if kind == 'PNG' else options))
  return f'image/{kind.lower()}', buffer.getvalue()


def to_data_url(content_type: str, data: bytes) -> str:
  """Returns bytes as a URL that holds them.

  Example:
    >>> to_data_url('image/png', b'abc')
    'data:image/png;base64,YWJj'
  """
  return f'data:{content_type};base64,{base64.b64encode(data).decode()}'
