"""Evaluation protocols: the input of the network, and the size at which pixels are counted.

Synopsis:

    protocol = Protocol('sliding', window=(801, 801), stride=(534, 534), flip=True)
    score = scores(protocol, logits, image, valid)   # [B, H, W, C]; argmax is the prediction
    describe(protocol, {(1024, 2048)})               # 'sliding 801/534 at 1024x2048 + flip'
"""

from collections.abc import Callable, Collection, Mapping
import dataclasses
import re
from typing import NamedTuple, cast

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.resize import get_size, resize_bilinear, resize_each
from classmix_jax.errors import UserError
from classmix_jax.evaluation.native import score_native
from classmix_jax.evaluation.windows import label_extents, window_corners
from classmix_jax.types import Array, Size

Logits = Callable[[Array], Array]  # `[B, h, w, 3]` in 0..1 -> `[B, h, w, C]`


@dataclasses.dataclass(frozen=True)
class Protocol:
  """How a network is evaluated: the fields of `config.eval`, where the name is `protocol`.

  Attributes:
    name: a key of PROTOCOLS.
    pad: of `paper`: (H, W) to which images are padded; None takes the largest image.
    window: of `sliding`: (H, W) of the windows, in pixels of the original image.
    stride: of `sliding`: distance of the windows, down and to the right.
    multiple: of `native`: images are resized to the nearest multiples of this.
    flip: whether to average with the mirrored image.
    scales: factors of the image's size to average over.
  """

  name: str = 'paper'
  pad: Size | None = None
  window: Size = (801, 801)
  stride: Size = (534, 534)
  multiple: int = 1
  flip: bool = False
  scales: tuple[float, ...] = (1.0,)


class Entry(NamedTuple):
  """An entry of PROTOCOLS.

  Attributes:
    score: `(protocol, logits, image, valid) -> [B, H, W, C]`, for one view of the image.
    native_image: whether images keep their own size.
    native_label: whether labels keep their own size.
    text: template of the description, see `describe`.
    fields: fields of `Protocol` that only this entry reads.
  """

  score: Callable[[Protocol, Logits, Array, Array], Array]
  native_image: bool
  native_label: bool
  text: str
  fields: tuple[str, ...] = ()


def paper(protocol: Protocol, logits: Logits, image: Array, valid: Array) -> Array:
  """Scores whole images at the size of the network's input."""
  del protocol, valid
  return jax.nn.softmax(logits(image))


def full(protocol: Protocol, logits: Logits, image: Array, valid: Array) -> Array:
  """Scores whole images at the working size; logits are enlarged to the size of each label."""
  del protocol
  return jax.nn.softmax(resize_each(logits(image), label_extents(valid), get_size(valid)))


def native(protocol: Protocol, logits: Logits, image: Array, valid: Array) -> Array:
  """Scores every image without padding; see `native.py`."""
  return score_native(protocol.multiple, logits, image, label_extents(valid))


def sliding(protocol: Protocol, logits: Logits, image: Array, valid: Array) -> Array:
  """Sums the probabilities of overlapping windows, which pass the network as one batch."""
  batch, height, width, channels = image.shape
  window = min(protocol.window[0], height), min(protocol.window[1], width)
  corner, used = window_corners(label_extents(valid), (height, width), window, protocol.stride)

  def cut(image: Array, corner: Array) -> Array:
    return lax.dynamic_slice(image, (*corner, 0), (*window, channels))

  def paste(total: Array, prob: Array, corner: Array) -> Array:
    part = lax.dynamic_slice(total, (*corner, 0), prob.shape)
    return lax.dynamic_update_slice(total, part + prob, (*corner, 0))

  windows = jax.vmap(jax.vmap(cut, in_axes=(None, 0)))(image, corner)
  prob = jax.nn.softmax(logits(windows.reshape(-1, *window, channels)))
  prob = jnp.where(used[..., None, None, None], prob.reshape(*used.shape, *prob.shape[1:]), 0)
  total = jnp.zeros((batch, height, width, prob.shape[-1]), prob.dtype)
  for index in range(used.shape[1]):
    total = jax.vmap(paste)(total, prob[:, index], corner[:, index])
  return total


PROTOCOLS: Mapping[str, Entry] = {
  'paper': Entry(
    paper, native_image=False, native_label=False, text='paper at {size}{padded}', fields=('pad',)
  ),
  'full': Entry(full, native_image=False, native_label=True, text='full at {size} from {working}'),
  'native': Entry(
    native,
    native_image=True,
    native_label=True,
    text='native at {size}{multiples}',
    fields=('multiple',),
  ),
  'sliding': Entry(
    sliding,
    native_image=True,
    native_label=True,
    text='sliding {window}/{stride} at {size}',
    fields=('window', 'stride'),
  ),
}


def scores(protocol: Protocol, logits: Logits, image: Array, valid: Array) -> Array:
  """Returns class scores, averaged over flip and scales.

  Args:
    protocol: see `Protocol`.
    logits: the network.
    image: `[B, h, w, 3]` in 0..1; smaller images are padded at the bottom and right.
    valid: `[B, H, W]` bool, True on the upper left part that is an image's label; its extent is the
      size at which the image is scored.

  Returns:
    `[B, H, W, C]`, positive: probabilities, for `sliding` their sum over the windows that contain a
    pixel. Scores on padding are meaningless.
  """
  score = PROTOCOLS[protocol.name].score
  views = [at_scale(logits, scale) for scale in protocol.scales]
  if protocol.flip:
    views += [mirrored(view) for view in views]
  total = sum(score(protocol, view, image, valid) for view in views)
  return cast(Array, total) / len(views)


def mirrored(logits: Logits) -> Logits:
  """Wraps a network: mirrors its input left to right, and its logits back."""
  return lambda image: logits(image[:, :, ::-1])[:, :, ::-1]


def at_scale(logits: Logits, scale: float) -> Logits:
  """Wraps a network: resizes its input by a factor, and its logits back."""
  if scale == 1:
    return logits

  def scaled(image: Array) -> Array:
    size = get_size(image)
    scaled_size = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    return resize_bilinear(logits(resize_bilinear(image, scaled_size)), size)

  return scaled


def check_protocol(protocol: Protocol) -> None:
  """Raises UserError if the name is unknown or the numbers do not fit together."""
  name, window, stride = protocol.name, protocol.window, protocol.stride
  if name not in PROTOCOLS:
    raise UserError(f'config.eval.protocol is {name!r}; known are {", ".join(PROTOCOLS)}.')
  for field in ('pad', 'window', 'stride'):
    size = getattr(protocol, field)
    if size is not None and (len(size) != 2 or min(size) < 1):
      raise UserError(f'config.eval.{field} is {size}; it must be two positive integers (H, W).')
  if any(step > length for step, length in zip(stride, window, strict=True)):
    raise UserError(
      f'config.eval.stride is {stride}, more than config.eval.window={window}: pixels between '
      'the windows would not be evaluated. Choose a smaller stride.'
    )
  if not protocol.scales or min(protocol.scales) <= 0:
    raise UserError(
      f'config.eval.scales is {protocol.scales}; it must be positive factors, as in '
      '(0.75, 1.0, 1.25).'
    )


def describe(protocol: Protocol, sizes: Collection[Size], working: Size | None = None) -> str:
  """Describes a protocol with its parameters, as it is recorded with every result.

  Args:
    protocol: see `Protocol`.
    sizes: sizes of the labels.
    working: size of the network's input in `full`.

  Example:
    >>> describe(Protocol('full', flip=True), {(1024, 2048)}, (512, 1024))
    'full at 1024x2048 from 512x1024 + flip'
    >>> describe(Protocol('paper', pad=(505, 505)), {(375, 500), (500, 375)})
    'paper at own sizes, padded to 505x505'
  """
  text = PROTOCOLS[protocol.name].text.format(
    size=_times(*sizes) if len(sizes) == 1 else 'own sizes',
    working=working and _times(working),
    multiples=f' in multiples of {protocol.multiple}' if protocol.multiple > 1 else '',
    padded=f', padded to {_times(protocol.pad)}' if protocol.pad else '',
    window=_square(protocol.window),
    stride=_square(protocol.stride),
  )
  if protocol.scales != (1.0,):
    text += ' + scales ' + ','.join(f'{scale:g}' for scale in protocol.scales)
  return text + (' + flip' if protocol.flip else '')


def _times(size: Size) -> str:
  return 'x'.join(map(str, size))


def _square(size: Size) -> str:
  return str(size[0]) if size[0] == size[1] else _times(size)


def slug(description: str) -> str:
  """Converts a description to a part of a file name.

  Example:
    >>> slug('sliding 801/534 at 1024x2048 + flip')
    'sliding-801-534-at-1024x2048-flip'
  """
  return re.sub(r'[^0-9a-z.]+', '-', description).strip('-')
