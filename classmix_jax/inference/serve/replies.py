"""The replies to an uploaded image: JSON, or one PNG.

Synopsis:

    describe(answer, about, images=('label',))    # JSON: size, classes, confidence, seconds
    encode('overlay', answer, about)              # (content type, bytes)
"""

import base64
from collections.abc import Sequence
import io
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from classmix_jax.inference.result_pictures import PICTURES
from classmix_jax.inference.serve.service import Answer

# The image itself as a JPEG, which a browser shows whatever was uploaded.
UPRIGHT = 'image'
IMAGES = (*PICTURES, UPRIGHT)

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


def encode(name: str, answer: Answer, about: About) -> tuple[str, bytes]:
  """Returns content type and bytes of one of `IMAGES`."""
  if name == UPRIGHT:
    return encode_image(Image.fromarray(answer.image), 'JPEG', quality=JPEG_QUALITY)
  return encode_image(PICTURES[name](answer.image, answer.prediction, about.palette))


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
