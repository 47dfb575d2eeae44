"""COCO: one annotations.json of instances, or of panoptic segments with their PNGs.

Synopsis:

    export = read(Path('annotations.json'), {})
    picture = next(export.items)     # larger regions first, so that small ones lie on top

Instances are polygons or run lengths; what `iscrowd` marks is a region of its
class like any other. Panoptic PNGs lie in a folder of the name of the JSON
file, or beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
import functools
from pathlib import Path
from typing import Any

import numpy as np

from classmix_jax.data.files.colors import Color, unpack_color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  Export,
  Picture,
  Problem,
  annotation_file,
  attempt,
  checked_size,
  class_name,
  inner_path,
  picture_name,
  points_of,
  read_json,
)
from classmix_jax.tools.annotations.raster import ColorRegion, packed_colors
from classmix_jax.tools.annotations.rle import Runs, mask_module, polygon_runs, stored_runs
from classmix_jax.types import Size
from classmix_jax.utils.text import listed

Record = dict[str, Any]


def read(path: Path, classes: Mapping[str, Color | None]) -> Export:
  """Returns the export in a COCO file; the classes are its categories, sorted by name.

  Args:
    path: the JSON file, or a folder with one.
    classes: not needed here.

  Raises:
    UserError: the file is no COCO file, or pycocotools is not installed.

  Example: `read(Path('instances.json'), {}).class_names == ('car', 'road')`.
  """
  file = annotation_file(path, '.json')
  try:
    data = read_json(file)
    images, annotations, categories = (
      records(data, key) for key in ('images', 'annotations', 'categories')
    )
    names = {number(one, 'id'): class_name(one.get('name')) for one in categories}
    by_image: dict[int | str, list[Record]] = {number(image, 'id'): [] for image in images}
    for annotation in annotations:
      by_image.setdefault(number(annotation, 'image_id'), []).append(annotation)
  except UserError as error:
    raise UserError(f'{file} is no annotation file of COCO: {error}') from None
  if any(annotation.get('segmentation') for annotation in annotations):
    mask_module()  # say at once where it lacks, not once per picture
  colors = {names[category['id']]: color_of(category) for category in categories}
  return Export(
    tuple(sorted(set(names.values()))), colors, len(images), pictures(file, images, by_image, names)
  )


def records(data: Any, key: str) -> list[Record]:
  """Returns the list of objects at a key; UserError where there is none."""
  found = data.get(key) if isinstance(data, dict) else None
  if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
    raise UserError(f"expected is a list of objects '{key}'; set --input to the right file.")
  return found


def color_of(category: Record) -> Color | None:
  """Returns the colour of a category where it has one, as in panoptic files."""
  color = category.get('color')
  sound = (
    isinstance(color, list)
    and len(color) == 3
    and all(type(value) is int and 0 <= value <= 255 for value in color)
  )
  return tuple(color) if sound else None


def pictures(
  file: Path,
  images: Sequence[Record],
  by_image: Mapping[int | str, Sequence[Record]],
  names: Mapping[int | str, str],
) -> Iterator[Picture | Problem]:
  """Yields one item per image, then a Problem if annotations belong to none."""
  for image in images:
    source = f'{file}, image {image.get("file_name")!r}'
    own = by_image[image['id']]
    yield attempt(source, functools.partial(picture, file, image, own, names, source))
  lost = by_image.keys() - {image['id'] for image in images}
  if lost:
    count = sum(len(by_image[image_id]) for image_id in lost)
    yield Problem(
      str(file),
      f'{count} annotations have an image_id that no image has: '
      f'{listed(sorted(lost, key=str), 3)}; export again, or remove them.',
    )


def picture(
  file: Path,
  image: Record,
  annotations: Sequence[Record],
  names: Mapping[int | str, str],
  source: str,
) -> Picture:
  """Returns one image with its regions; UserError where it cannot be read."""
  name = picture_name(image.get('file_name'))
  size = checked_size(image.get('height'), image.get('width'))
  if any('segments_info' in annotation for annotation in annotations):
    shapes = [shape for one in annotations for shape in segments(file, one, names, size)]
    return Picture(name, source, size, shapes)
  shapes, skipped = [], []
  for annotation in annotations:
    region = region_of(annotation, size)
    if region is None:
      skipped.append('annotation without polygon or mask')
    else:
      shapes.append((category_name(annotation, names), region))
  shapes.sort(key=lambda shape: -shape[1].area)  # stable: equal areas in the file's order
  return Picture(name, source, size, shapes, skipped)


def number(record: Record, key: str) -> int | str:
  """Returns what identifies a record; UserError where it is no integer or text."""
  found = record.get(key)
  if type(found) not in (int, str):
    raise UserError(f'{str(record)[:60]} has {key} = {found!r}, expected is an integer.')
  return found


def category_name(record: Record, names: Mapping[int | str, str]) -> str:
  category = number(record, 'category_id')
  if category not in names:
    raise UserError(
      f'annotation {record.get("id")} has the category_id {category!r}, which is not in '
      "'categories': add it, or export again."
    )
  return names[category]


def region_of(annotation: Record, size: Size) -> Runs | None:
  """Returns the region of an instance, None where only its box is known."""
  segmentation = annotation.get('segmentation')
  if isinstance(segmentation, dict):
    return stored_runs(segmentation, size)
  if segmentation is not None and not isinstance(segmentation, list):
    raise UserError(
      f'annotation {annotation.get("id")} has the segmentation {str(segmentation)[:40]!r}, '
      'expected are polygons or run lengths.'
    )
  polygons = [polygon_of(numbers) for numbers in segmentation or []]
  polygons = [polygon for polygon in polygons if len(polygon) > 2]  # others have no area
  return polygon_runs(polygons, size) if polygons else None


def polygon_of(numbers: Any) -> tuple[tuple[float, float], ...]:
  """Returns [x, y, x, y, ...] as points."""
  if not isinstance(numbers, list) or len(numbers) % 2:
    raise UserError(f'a polygon is {str(numbers)[:40]}, expected is [x, y, x, y, ...].')
  return points_of(list(zip(numbers[::2], numbers[1::2], strict=True)))


def segments(
  file: Path,
  annotation: Record,
  names: Mapping[int | str, str],
  size: Size,
) -> list[tuple[str, ColorRegion]]:
  """Returns the segments of a panoptic PNG, whose colours are their ids: R + 256 G + 65536 B."""
  name = inner_path(annotation.get('file_name'))
  folders = [folder for folder in (file.with_suffix(''), file.parent) if (folder / name).is_file()]
  if not folders:
    raise UserError(f'there is no {name} in {file.with_suffix("")} or {file.parent}: add it.')
  path = folders[0] / name
  packed = packed_colors(path)
  if packed.shape != size:
    raise UserError(f'{path} is {packed.shape[::-1]}, expected is {size[::-1]} (width, height).')
  infos = records(annotation, 'segments_info')
  known = {number(info, 'id'): category_name(info, names) for info in infos}
  present = map(unpack_color, np.unique(packed).tolist())
  ids = {red + 256 * green + 65536 * blue: (red, green, blue) for red, green, blue in present}
  unknown = sorted(ids.keys() - known.keys() - {0})
  if unknown:
    raise UserError(f'{path} holds segments that segments_info lacks: {listed(unknown, 4)}.')
  return [(known[key], ColorRegion(path, color)) for key, color in ids.items() if key in known]
