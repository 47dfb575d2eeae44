"""Paints the masks of annotated images and counts their pixels.

Synopsis:

    counts, problems = paint_masks(images, Path('OUT/masks'), names, colors, 'ground', 0, False)
"""

from collections.abc import Mapping, Sequence
import dataclasses
import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classmix_jax.data.class_files.words import is_void
from classmix_jax.data.files.colors import Color, voc_palette
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Problem, Region, Shape
from classmix_jax.tools.annotations.mask_files import MaskFiles
from classmix_jax.tools.annotations.raster import Line, has_pixels, rasterize
from classmix_jax.types import VOID
from classmix_jax.utils.progress import track
from classmix_jax.utils.text import listed

VOID_WIDTH = 9  # pixels, of lines without --line-width; labelme draws 10, PaddleSeg 7


class MaskCounts(NamedTuple):
  """Counts over the masks of a conversion.

  Attributes:
    images: `[256]` int64, number of masks with each class id.
    pixels: `[256]` int64, number of pixels of each class id.
    outcomes: outcome of `MaskFiles.save` -> names of the masks. 'maskless' are images that got no
      mask; 'unplaced' are those of them with objects whose place is missing; 'blank' are masks
      of images without shapes.
    invisible: location of the image of each shape that has no pixel in it.
  """

  images: np.ndarray
  pixels: np.ndarray
  outcomes: Mapping[str, Sequence[str]]
  invisible: Sequence[str] = ()


def paint_masks(
  images: Sequence[AnnotatedImage],
  masks: Path,
  names: Sequence[str],
  colors: Sequence[Color | None],
  background: str,
  line_width: int,
  overwrite: bool,
) -> tuple[MaskCounts, list[Problem]]:
  """Paints and writes the masks of images.

  Args:
    images: see `AnnotatedImage`.
    masks: the directory to write to.
    names: class names in the order of their ids.
    colors: of the classes; None chooses one.
    background: class of the pixels outside all regions; '' makes them void.
    line_width: in pixels; 0 makes lines void.
    overwrite: replaces edited masks, which are otherwise kept and counted.

  Returns:
    The counts, and the images that could not be painted.
  """
  ids = {name: label for label, name in enumerate(names)}
  decoding = Decoding(tuple(names), label_table(len(names)))
  files = MaskFiles(masks, build_palette(colors), decoding, overwrite)
  occurrences, pixels = np.zeros(256, np.int64), np.zeros(256, np.int64)
  outcomes: dict[str, list[str]] = {}
  problems: list[Problem] = []
  invisible: list[str] = []
  for image in track(images, 'painting masks', len(images), 'masks'):
    try:
      if not has_mask(image, background, line_width):
        key = 'unplaced' if image.unplaced and background else 'maskless'
        outcomes.setdefault(key, []).append(image.name)
        continue
      painted = paint_image(image, ids, background, line_width)
    except UserError as error:
      problems.append(Problem(image.source, str(error), image.name))
      continue
    try:
      outcome, mask = files.save(image.name, painted)
    except UserError as error:  # of the file: its mask is not outdated
      problems.append(Problem(image.source, str(error)))
      continue
    outcomes.setdefault(outcome, []).append(image.name)
    if not image.shapes and outcome != 'edited':
      outcomes.setdefault('blank', []).append(image.name)
    invisible += [image.source] * count_invisible(image)
    present = np.bincount(mask.ravel(), minlength=256)
    occurrences, pixels = occurrences + (present > 0), pixels + present
  files.close()
  return MaskCounts(occurrences, pixels, outcomes, invisible), problems


def has_mask(image: AnnotatedImage, background: str, line_width: int) -> bool:
  """Returns whether an image gets a mask.

  It does if it has a region, or if it is annotated and there is a class for its background. With
  such a class, it does not if the place of an object is missing.
  """
  if background:
    return image.is_annotated and not image.unplaced
  return image.is_annotated and any(is_certain(shape, line_width) for shape in image.shapes)


def is_certain(shape: Shape, line_width: int) -> bool:
  """Returns whether the pixels of a shape have a class: those of regions and wide lines do."""
  return not shape.kind or (line_width > 0 and bool(shape.name) and isinstance(shape.region, Line))


def paint_image(
  image: AnnotatedImage, ids: Mapping[str, int], background: str, line_width: int
) -> np.ndarray:
  """Returns the `[H, W]` uint8 mask of an image.

  Raises:
    UserError: a class has no id, a region cannot be decoded, the size is not known, or no shape
      covers a pixel.
  """
  if image.size is None:
    raise UserError(
      'it has no shapes, and the export lacks its size: set --images to the directory of the '
      'images.'
    )
  unknown = sorted({name for name, *_ in image.shapes if name and not is_known(name, ids)})
  if unknown:
    raise UserError(
      f"its shapes name '{listed(unknown, 4)}', which the file of --classes lacks: add a "
      'line to it.'
    )
  regions = order_regions(image.shapes, ids, line_width)
  blank = ids.get(background, VOID)
  mask = rasterize(image.size, regions, blank)
  if (mask == blank).all():
    check_coverage(image.size, regions)
  return mask


def is_known(name: str, ids: Mapping[str, int]) -> bool:
  """Returns whether a class has an id or is void."""
  return name in ids or is_void(name)


def order_regions(
  shapes: Sequence[Shape], ids: Mapping[str, int], line_width: int
) -> list[tuple[int, Region]]:
  """Returns (class id, region) in painting order.

  Void lines lie on top of everything. Other void, as of boxes whose content has no outline, lies
  under all regions, which have a class for certain.
  """
  under, regions, over = [], [], []
  for shape in shapes:
    region = shape.region
    if isinstance(region, Line):
      region = dataclasses.replace(region, width=line_width or VOID_WIDTH)
    if is_certain(shape, line_width):
      regions.append((ids.get(shape.name, VOID), region))
    elif isinstance(region, Line):
      over.append((VOID, region))
    else:
      under.append((VOID, region))
  return under + regions + over


def count_invisible(image: AnnotatedImage) -> int:
  """Returns the number of shapes without a pixel in the image, e.g. outside of it."""
  size = image.size
  return sum(not has_pixels(shape.region, size) for shape in image.shapes) if size else 0


def check_coverage(size: tuple[int, int], regions: Sequence[tuple[int, Region]]) -> None:
  """Raises UserError if there are regions and none of them covers a pixel."""
  if regions and not rasterize(size, [(1, region) for _, region in regions], 0).any():
    raise UserError(
      f'none of its {len(regions)} shapes lies in its {size[1]} x {size[0]} pixels (width x '
      'height): the size or the coordinates are those of another image; export again.'
    )


def build_palette(colors: Sequence[Color | None]) -> list[int]:
  """Builds the 768 numbers of a palette: the colours of the classes, and a grey for void.

  All colours differ, so that a mask can be read by index or by colour. Void is white, unless a
  class is. Classes without a colour get one of PASCAL VOC's.

  Example: `build_palette((None, (128, 0, 0)))[:6] == [0, 0, 0, 128, 0, 0]`.
  """
  spare = (color for color in voc_palette(2 * VOID) if color not in set(colors))
  classes = [color or next(spare) for color in colors]
  grey = next(value for value in range(255, -1, -1) if (value,) * 3 not in classes)
  table = classes + [(0, 0, 0)] * (VOID - len(classes)) + [(grey,) * 3]
  return list(itertools.chain.from_iterable(table))
