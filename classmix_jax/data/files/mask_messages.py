"""Errors for masks without a meaning; `mask_advice.py` has the remedies."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from classmix_jax.data.files.colors import Color, hex_color, unpack_color
from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.mask_advice import advise_colors, advise_ids, advise_lossy
from classmix_jax.data.files.open_image import File
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.text import listed, plural

MAX_COLORS = 1000  # kept of one mask; smoothed ones have many more


class UnknownValues(UserError):
  """Ids or colours of a mask that have no meaning.

  Attributes:
    file: the mask.
    finding: the sentence without the remedy.
    values: id or packed colour -> number of pixels.
    decoding: of the mask.
    present: ids in the mask and, after `add_present`, in others.
  """

  def __init__(
    self,
    file: File,
    finding: str,
    values: Mapping[int, int],
    decoding: Decoding,
    kind: str,
    present: Iterable[int] = (),
  ):
    self.file, self.finding, self.values, self.decoding = file, finding, values, decoding
    self.present = {*values, *present}
    super().__init__(self.join([]), kind)

  def join(self, others: Sequence[UserError]) -> str:
    """Returns a sentence with one remedy, and the number of values if other masks have more."""
    errors = [self, *(error for error in others if isinstance(error, UnknownValues))]
    values: Counter[int] = Counter()
    present: set[int] = set()
    for error in errors:
      values.update(error.values)
      present |= error.present
    sentence = self.finding
    if len(values) > len(self.values):
      sentence += f' {self._total(values, len({str(error.file) for error in errors}))}'
    return f'{sentence} {self._advise(values, present)}'

  def add_present(self, present: Iterable[int]) -> None:
    """Adds ids of masks that have a meaning, for the remedy."""
    self.present.update(present)

  def _total(self, values: Mapping[int, int], num_masks: int) -> str:
    ids = sorted(values)
    return f'In all: {len(ids)} values in {num_masks} masks, from {ids[0]} to {ids[-1]}.'

  def _advise(self, values: Mapping[int, int], present: Collection[int]) -> str:
    return advise_ids(values, self.decoding, present)


class UnknownColors(UnknownValues):
  """Colours of a mask that have no meaning; see `UnknownValues`."""

  def _total(self, values: Mapping[int, int], num_masks: int) -> str:
    return f'In all: {len(values):,} colours in {num_masks} masks.'

  def _advise(self, values: Mapping[int, int], present: Collection[int]) -> str:
    return advise_colors(values, self.decoding)


def unknown_ids(
  file: File, raw: np.ndarray, unknown: np.ndarray, decoding: Decoding
) -> UnknownValues:
  """Returns the error for ids that the table does not have.

  Args:
    file: the mask.
    raw: `[H, W]` ids.
    unknown: `[H, W]` bool, True for pixels of unknown ids.
    decoding: of the mask.
  """
  keys, counts = np.unique(raw[unknown], return_counts=True)
  values = dict(zip(keys.tolist(), counts.tolist(), strict=True))
  finding = (
    f'{file} holds the {plural("value", list(values))} {listed(values, 8)}; expected are '
    f'{_expected_ids(decoding)}.'
  )
  present = np.unique(raw).tolist()
  return UnknownValues(file, finding, values, decoding, 'masks with unknown values', present)


def no_colors(file: File, packed: np.ndarray, decoding: Decoding) -> UnknownColors:
  """Returns the error for packed colours of a mask without a table of colours."""
  values = _count_colors(packed)
  colors = [hex_color(unpack_color(key)) for key in values]
  finding = (
    f'{file} is an RGB image with the {plural("colour", colors)} {listed(colors, 4)}; '
    f'expected are {_expected_ids(decoding)} and no colour table is set.'
  )
  return UnknownColors(file, finding, values, decoding, 'masks in colour')


def unknown_colors(
  file: File, packed: np.ndarray, unknown: np.ndarray, decoding: Decoding
) -> UnknownColors:
  """Returns the error for colours that the table does not have.

  Args:
    file: the mask.
    packed: `[H, W]` packed colours.
    unknown: `[H, W]` bool, True for pixels of unknown colours.
    decoding: of the mask.
  """
  row, column = np.argwhere(unknown)[0].tolist()
  values = _count_colors(packed[unknown])
  colors = [hex_color(unpack_color(key)) for key in values]
  expected = [
    f'{hex_color(color)} {_describe(label, decoding)}' for color, label in decoding.colors.items()
  ]
  finding = (
    f'{file} holds the {plural("colour", colors)} {listed(colors, 4)} in {unknown.sum()} '
    f'pixels, the first in row {row}, column {column}; expected are {listed(expected, 8)}.'
  )
  return UnknownColors(file, finding, values, decoding, 'masks with unknown colours')


def _count_colors(packed: np.ndarray) -> dict[int, int]:
  """Returns packed colour -> pixels, the most frequent first."""
  keys, counts = np.unique(packed, return_counts=True)
  order = np.argsort(-counts, kind='stable')[:MAX_COLORS]
  return dict(zip(keys[order].tolist(), counts[order].tolist(), strict=True))


def lossy_error(file: File, format_: str, decoding: Decoding) -> UserError:
  """Returns the error for a mask in a format, such as 'a JPEG', that changes class ids."""
  return UserError(
    f'{file} is {format_}, whose compression changes class ids: {advise_lossy(decoding)}',
    'lossy masks',
  )


def reordered_palette(
  file: File, index: int, color: Color, by_color: int, by_index: int, decoding: Decoding
) -> UserError:
  """Returns the error for an index whose colour or grey value is that of another class."""
  remedy = (
    'save the mask as RGB to go by colour, or remove the colours from the class file to go by '
    'index.'
    if decoding.colors
    else 'save the mask as grey PNG with the class ids.'
  )
  return UserError(
    f'{file} paints index {index} in {hex_color(color)}, the colour of '
    f'{_describe(by_color, decoding)}, but index {index} is read as '
    f'{_describe(by_index, decoding)}: {remedy}',
    'masks with a reordered palette',
  )


def _expected_ids(decoding: Decoding) -> str:
  """Lists the ids of the table, as in '0 (road), 1 (car), 7 (car), 255 (void)'."""
  ids = np.flatnonzero(decoding.table >= 0)[:25].tolist()
  names = {**dict(enumerate(decoding.class_names)), VOID: 'void'}
  return listed([f'{raw} ({names[int(decoding.table[raw])]})' for raw in ids], 24)


def _describe(label: int, decoding: Decoding) -> str:
  if label == VOID:
    return 'void'
  return f"class {label} '{decoding.class_names[label]}'" if label >= 0 else 'no class'
