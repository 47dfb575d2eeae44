"""Compares the transparency of masks with their colours.

Synopsis:

    opaque = opaque_pixels(alpha)          # None if no pixel is transparent
    check_transparency(raw, label, opaque, decoding, 'a.png')

Erasers leave the colour below a transparent pixel; painting on nothing leaves one colour for all.
"""

from collections.abc import Sequence

import numpy as np

from classmix_jax.data.files.decoding import BY_ALPHA, BY_COLOR, BY_INVERSE_ALPHA, Decoding
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

HALF = 128  # of 255


def opaque_pixels(alpha: np.ndarray | None) -> np.ndarray | None:
  """Returns which pixels are opaque, `[H, W]` bool; None if none is transparent.

  Smoothed edges are cut at half of the opacity. If all pixels that are not fully transparent have
  the same alpha, as in a translucent overlay, they are opaque.

  Args:
    alpha: `[H, W]` uint8, or None if the mask has no transparency.

  Example: `opaque_pixels(np.array([[0, 127, 127]], np.uint8)).tolist() == [[False, True, True]]`.
  """
  if alpha is None:
    return None
  levels = np.unique(alpha[alpha > 0])
  opaque = alpha > 0 if len(levels) == 1 else alpha >= HALF
  return None if opaque.all() else opaque


def agrees(raw: np.ndarray, label: np.ndarray, opaque: np.ndarray) -> bool:
  """Returns whether the transparent pixels are exactly the background or void of the colours.

  They are if all of them have one label which no opaque pixel has, and it is void, or class 0 on
  the 0 or black of an empty canvas.

  Args:
    raw: `[H, W]` ids or `[H, W, 3]` colours.
    label: `[H, W]` their class ids, void or `UNKNOWN`.
    opaque: `[H, W]` bool.
  """
  hidden = label[~opaque]
  if (hidden != hidden[0]).any() or (label[opaque] == hidden[0]).any():
    return False
  return bool(hidden[0] == VOID or hidden[0] == 0 and not raw[~opaque].any())


class TransparencyError(UserError):
  """A mask whose transparency differs from its colours.

  Attributes:
    finding: first part of the sentence.
    is_flat: whether the mask has one colour or id only, so that its transparency is the mask.
    decoding: of the mask.
  """

  def __init__(self, finding: str, is_flat: bool, decoding: Decoding):
    self.finding, self.is_flat, self.decoding = finding, is_flat, decoding
    super().__init__(f'{finding} {advise([self])}', 'masks with transparency')

  def join(self, others: Sequence[UserError]) -> str:
    """Returns the sentence with the remedy for all of the masks."""
    alike = [error for error in (self, *others) if isinstance(error, TransparencyError)]
    return f'{self.finding} {advise(alike)}'


def check_transparency(
  raw: np.ndarray, label: np.ndarray, opaque: np.ndarray, decoding: Decoding, file: object
) -> None:
  """Raises UserError if transparency and colours differ; arguments as in `agrees`."""
  if agrees(raw, label, opaque):
    return
  share = 100 * (1 - opaque.mean())
  pixels = raw.reshape(opaque.size, -1)
  is_flat = bool((pixels == pixels[0]).all())
  flat, other = 'it has one colour everywhere', 'its colours do not mark them as background or void'
  raise TransparencyError(
    f'{file} has transparent pixels ({share:.2f} %), and {flat if is_flat else other}.',
    is_flat,
    decoding,
  )


def advise(errors: Sequence[TransparencyError]) -> str:
  """Returns the remedy for masks, the likely choice first."""
  decoding = errors[0].decoding
  if decoding.advice:
    return f'{decoding.advice} Masks of this data set have no transparent pixels.'
  option, names = '--config.data.transparent', decoding.class_names
  choices = [
    f'{option}=0 if transparent pixels are class 0 ({names[0]})',
    f'{option}=void if they have no label',
    f'{option}={BY_COLOR} if the colours below them count',
  ]
  if len(names) == 2:
    by_alpha = (
      f'{option}={BY_ALPHA} if opaque pixels are class 1 ({names[1]}) and transparent ones class 0 '
      f'({names[0]}; {BY_INVERSE_ALPHA} if it is the other way round)'
    )
    choices.insert(0 if all(error.is_flat for error in errors) else 3, by_alpha)
  return f'Set {", ".join(choices[:-1])}, or {choices[-1]}.'
