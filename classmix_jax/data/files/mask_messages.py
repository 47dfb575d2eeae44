"""Error messages for masks whose values have no meaning."""

from collections.abc import Sequence

import numpy as np

from classmix_jax.data.files.colors import Color, hex_color
from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.open_image import File
from classmix_jax.types import VOID
from classmix_jax.utils.text import listed, plural


def unknown_ids(file: File, values: Sequence[int], decoding: Decoding) -> str:
  """Returns the message for ids that the table does not have."""
  num_classes = len(decoding.class_names)
  advice = decoding.advice or (
    f"Set --config.data.label_map='{values[0]}:CLASS' (CLASS is an id or void), or "
    f"--config.data.ignore='{','.join(map(str, values[:8]))}' to leave such pixels out."
  )
  if not decoding.advice and values == [num_classes]:
    shift = ','.join(f'{raw}:{raw - 1}' for raw in range(1, num_classes + 1))
    advice += f" If your ids start at 1: --config.data.label_map='0:void,{shift}'."
  return (
    f'{file} holds the {plural("value", values)} {listed(values, 8)}; expected are '
    f'{_expected_ids(decoding)}. {advice}'
  )


def no_colors(file: File, rgb: np.ndarray, decoding: Decoding) -> str:
  """Returns the message for an RGB mask without a table of colours."""
  colors = [hex_color(color) for color in np.unique(rgb.reshape(-1, 3), axis=0).tolist()]
  advice = decoding.advice or (
    "Write its colour behind every name in the class file ('road 128 64 128'), or set "
    f"--config.data.colors='{colors[-1]}:CLASS,...'."
  )
  return (
    f'{file} is an RGB image with the {plural("colour", colors)} {listed(colors, 4)}; '
    f'expected are {_expected_ids(decoding)} and no colour table is set. {advice}'
  )


def unknown_colors(file: File, packed: np.ndarray, unknown: np.ndarray, decoding: Decoding) -> str:
  """Returns the message for colours that the table does not have.

  Args:
    file: the mask.
    packed: `[H, W]` packed colours.
    unknown: `[H, W]` bool, True for pixels of unknown colours.
    decoding: of the mask.
  """
  row, column = np.argwhere(unknown)[0].tolist()
  colors = [f'#{key:06x}' for key in np.unique(packed[unknown]).tolist()]
  expected = [
    f'{hex_color(color)} {_describe(label, decoding)}' for color, label in decoding.colors.items()
  ]
  return (
    f'{file} holds the {plural("colour", colors)} {listed(colors, 4)} in {unknown.sum()} '
    f'pixels, the first in row {row}, column {column}; expected are {listed(expected, 8)}. '
    f"Set --config.data.colors='{colors[0]}:CLASS' (CLASS is an id or void); for smoothed "
    'edges export the masks again without antialiasing.'
  )


def reordered_palette(
  file: File, index: int, color: Color, by_color: int, by_index: int, decoding: Decoding
) -> str:
  """Returns the message for an index whose colour is that of another class."""
  return (
    f'{file} paints index {index} in {hex_color(color)}, the colour of '
    f'{_describe(by_color, decoding)}, but index {index} is read as '
    f'{_describe(by_index, decoding)}: save the mask as RGB to go by colour, or remove the '
    'colours from the class file to go by index.'
  )


def _expected_ids(decoding: Decoding) -> str:
  """Lists the ids of the table, as in '0 (road), 1 (car), 7 (car), 255 (void)'."""
  ids = [raw for raw, label in enumerate(decoding.table.tolist()) if label >= 0]
  names = {**dict(enumerate(decoding.class_names)), VOID: 'void'}
  return listed([f'{raw} ({names[int(decoding.table[raw])]})' for raw in ids], 24)


def _describe(label: int, decoding: Decoding) -> str:
  if label == VOID:
    return 'void'
  return f"class {label} '{decoding.class_names[label]}'" if label >= 0 else 'no class'
