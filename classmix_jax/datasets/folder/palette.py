"""Chooses the colours of classes: the user's, those of the masks' palette, or VOC's."""

from collections.abc import Mapping, Sequence

from classmix_jax.data.files.colors import Color, voc_palette
from classmix_jax.data.files.image_io import read_palette
from classmix_jax.data.files.open_image import File
from classmix_jax.errors import UserError


def choose_palette(
  class_colors: Sequence[Color | None],
  option_colors: Mapping[Color, int],
  masks: Sequence[File],
  raw_ids: Sequence[int] | None = None,
) -> tuple[Color, ...]:
  """Returns a colour for every class, from the first of these that has one.

  Args:
    class_colors: colours in the class file, None for classes without one.
    option_colors: colour -> class, from the option `colors`.
    masks: the palette of the first one is used, and then that of PASCAL VOC.
    raw_ids: id of class 0, 1, ... in masks; None for 0, 1, ...
  """
  by_class = {label: color for color, label in reversed(list(option_colors.items()))}
  ids = range(len(class_colors)) if raw_ids is None else raw_ids
  spare = _mask_palette(masks, ids) or voc_palette(len(class_colors))
  return tuple(
    color or by_class.get(label) or spare[label] for label, color in enumerate(class_colors)
  )


def _mask_palette(masks: Sequence[File], ids: Sequence[int]) -> tuple[Color, ...] | None:
  """Returns the colours of ids in the first mask's palette, None if it lacks one."""
  try:
    palette = read_palette(masks[0]) if masks else []
  except UserError:  # `check_pairs` reports it, or the check of the data
    return None
  return tuple(palette[index] for index in ids) if len(palette) > max(ids) else None
