"""Builds the decoding of masks from the options of a data set.

Synopsis:

    options = MaskOptions(label_map='255:1', others='void')
    decoding = build_decoding(('ground', 'box'), {0: 0, 1: 1}, {}, options)
"""

from collections.abc import Mapping
from typing import NamedTuple

from classmix_jax.data.files.checks import check_choice
from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.decoding import (
  BY_ALPHA,
  BY_COLOR,
  BY_INVERSE_ALPHA,
  Decoding,
  label_table,
)
from classmix_jax.datasets.folder.options import parse_class, parse_label_map
from classmix_jax.errors import UserError
from classmix_jax.types import VOID


class MaskOptions(NamedTuple):
  """Options of `config.data` for the values of masks.

  Attributes:
    label_map: 'RAW:CLASS,...', see `parse_label_map`.
    ignore: 'RAW,...', values that are void.
    mask_threshold: with two classes, grey values 0..255 from this one on are class 1; 0 for ids.
    color_distance: distance in RGB, 0..442, within which a pixel has the class of a colour.
    others: 'void' reads values and colours without a class as void; '' refuses them.
    transparent: what transparent pixels are: a class id, 'void', 'color', 'alpha' or
      'inverse_alpha'; '' refuses masks whose transparency the colours do not repeat.
    turn_masks: whether masks are turned by the EXIF orientation of their images.
  """

  label_map: str = ''
  ignore: str = ''
  mask_threshold: int = 0
  color_distance: float = 0.0
  others: str = ''
  transparent: str = ''
  turn_masks: bool = False


def build_decoding(
  class_names: tuple[str, ...],
  ids: Mapping[int, int],
  colors: Mapping[Color, int],
  options: MaskOptions,
) -> Decoding:
  """Returns the decoding of masks.

  Args:
    class_names: name of class 0, 1, ...
    ids: value of masks -> class id or void, which a threshold replaces.
    colors: `(r, g, b)` -> class id or void.
    options: of the masks.

  Raises:
    UserError: an option is malformed, or two do not fit together.

  Example: `build_decoding(('a', 'b'), {0: 0, 1: 1}, {}, MaskOptions(others='void'))`.
  """
  threshold, distance = options.mask_threshold, options.color_distance
  label_map = parse_label_map(options.label_map, options.ignore, class_names)
  _check_threshold(threshold, distance, class_names, label_map)
  _check_brightness(threshold, class_names, colors)
  if distance and not colors:
    raise UserError(
      f'config.data.color_distance={distance:g} needs the colours of the classes: write them '
      "behind the names in the class file ('road 128 64 128'), or set --config.data.colors."
    )
  check_choice('config.data.others', options.others, ('', 'void'))
  return Decoding(
    class_names,
    label_table(0, label_map if threshold else {**ids, **label_map}, threshold),
    colors,
    threshold=threshold,
    color_distance=distance,
    others_are_void=options.others == 'void',
    transparent=_parse_transparent(options.transparent, class_names),
    turns_masks=options.turn_masks,
  )


def _check_threshold(
  threshold: int, distance: float, class_names: tuple[str, ...], label_map: Mapping[int, int]
) -> None:
  """Raises UserError if a threshold does not fit the classes or the other options."""
  if not threshold:
    return
  option = f'config.data.mask_threshold={threshold}'
  if len(class_names) != 2:
    raise UserError(
      f'{option} is for two classes, but there are {len(class_names)} ({", ".join(class_names)}): '
      'set it to 0, and --config.data.others=void or --config.data.color_distance for smoothed '
      'masks.'
    )
  if distance:
    raise UserError(f'{option} and config.data.color_distance={distance:g}: set one of them to 0.')
  for raw, label in label_map.items():
    if label != VOID and label != int(raw >= threshold):
      raise UserError(
        f'{option} makes the value {raw} class {int(raw >= threshold)}, and config.data.label_map '
        f'makes it class {label}: remove it from the label_map, or swap the classes.'
      )


def _check_brightness(
  threshold: int, class_names: tuple[str, ...], colors: Mapping[Color, int]
) -> None:
  """Raises UserError if a threshold makes bright pixels the class whose colour is the dark one."""
  sums = {label: sum(color) for color, label in colors.items()}
  if threshold and {0, 1} <= sums.keys() and sums[0] > sums[1]:
    raise UserError(
      f'config.data.mask_threshold={threshold} makes bright pixels class 1 ({class_names[1]}), but '
      f'its colour is darker than that of class 0 ({class_names[0]}): swap the classes, or set '
      '--config.data.color_distance=64 --config.data.others=void instead.'
    )


def _parse_transparent(text: str, class_names: tuple[str, ...]) -> int | str | None:
  """Returns the class id or way of reading of transparent pixels, None for ''."""
  text = str(text)
  if text in ('', BY_COLOR):
    return text or None
  if text in (BY_ALPHA, BY_INVERSE_ALPHA):
    if len(class_names) == 2:
      return text
    raise UserError(
      f"config.data.transparent='{text}' is for two classes, but there are {len(class_names)} "
      f"({', '.join(class_names)}): set it to 'void', '{BY_COLOR}' or a class id."
    )
  label = parse_class(text, class_names)
  if label is None:
    raise UserError(
      f"config.data.transparent is '{text}'; choose a class id from 0 to {len(class_names) - 1}, "
      f"'void', '{BY_COLOR}', '{BY_ALPHA}', '{BY_INVERSE_ALPHA}' or ''."
    )
  return label
