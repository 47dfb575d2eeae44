"""Paints the masks of annotated images and counts their pixels.

Synopsis:

    counts, problems = paint_masks(images, Path('OUT/masks'), names, colors, 'ground', False)
"""

from collections.abc import Mapping, Sequence
import itertools
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from classmix_jax.data.class_files.words import is_void
from classmix_jax.data.files.colors import Color
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.datasets.folder.palette import voc_palette
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Problem, Region
from classmix_jax.tools.annotations.raster import rasterize
from classmix_jax.types import VOID
from classmix_jax.utils.atomic_write import write_png
from classmix_jax.utils.paths import inside
from classmix_jax.utils.progress import track
from classmix_jax.utils.text import listed


class MaskCounts(NamedTuple):
  """Counts over the masks of a conversion.

  Attributes:
    images: `[256]` int64, number of masks with each class id.
    pixels: `[256]` int64, number of pixels of each class id.
    written: number of masks that were painted.
    existing: number of masks that existed and were kept.
    maskless: names of images without regions, which got no mask.
  """

  images: np.ndarray
  pixels: np.ndarray
  written: int
  existing: int
  maskless: tuple[str, ...]


def paint_masks(
  images: Sequence[AnnotatedImage],
  masks: Path,
  names: Sequence[str],
  colors: Sequence[Color | None],
  background: str,
  overwrite: bool,
) -> tuple[MaskCounts, list[Problem]]:
  """Paints and writes the masks of images.

  Images without regions get no mask, unless there is a background class.

  Args:
    images: see `AnnotatedImage`.
    masks: the directory to write to.
    names: class names in the order of their ids.
    colors: of the classes; None chooses one.
    background: class of the pixels outside all regions; '' makes them void.
    overwrite: replaces existing masks, which are otherwise kept and counted.

  Returns:
    The counts, and the images that could not be painted.
  """
  ids = {name: label for label, name in enumerate(names)}
  blank = ids.get(background, VOID)
  palette = build_palette(colors)
  decoding = Decoding(tuple(names), label_table(len(names)))
  occurrences, pixels = np.zeros(256, np.int64), np.zeros(256, np.int64)
  problems, maskless, existing = [], [], 0
  for image in track(images, 'painting masks', len(images), 'masks'):
    try:
      path = inside(masks, f'{image.name}.png')
      if os.path.exists(path) and not overwrite:
        mask = read_mask(path, decoding)
        existing += 1
      elif image.shapes or background:
        mask = rasterize(image.size, assign_ids(image, ids), blank)
        write_mask(mask, palette, path)
      else:
        maskless.append(image.name)
        continue
    except UserError as error:
      problems.append(Problem(image.source, str(error)))
      continue
    present = np.bincount(mask.ravel(), minlength=256)
    occurrences, pixels = occurrences + (present > 0), pixels + present
  written = len(images) - len(maskless) - len(problems) - existing
  return MaskCounts(occurrences, pixels, written, existing, tuple(maskless)), problems


def assign_ids(image: AnnotatedImage, ids: Mapping[str, int]) -> list[tuple[int, Region]]:
  """Returns (class id, region) of the shapes; raises UserError if a class has no id."""
  unknown = sorted({name for name, _ in image.shapes if name not in ids and not is_void(name)})
  if unknown:
    raise UserError(
      f"its shapes name '{listed(unknown, 4)}', which the file of --classes lacks: add a "
      'line to it.'
    )
  return [(ids.get(name, VOID), region) for name, region in image.shapes]


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


def write_mask(mask: np.ndarray, palette: Sequence[int], path: Path) -> None:
  """Writes `[H, W]` uint8 atomically as 8-bit palette PNG.

  Raises:
    UserError: the file cannot be written.
  """
  image = Image.fromarray(mask)
  image.putpalette(palette)
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, image)
  except OSError as error:
    raise UserError(f'{path} cannot be written ({error.strerror}): check --output.') from None
