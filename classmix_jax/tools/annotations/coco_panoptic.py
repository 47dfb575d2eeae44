"""Reads COCO's panoptic format: a JSON file, and a PNG of segments for each image.

Synopsis:

    export = read(Path('panoptic_val2017.json'), Options())
    image = next(export.items)       # segments do not overlap

The PNGs are in a directory with the name of the JSON file, or beside the file.
"""

from collections.abc import Mapping, Sequence
import functools
from pathlib import Path

import numpy as np

from classmix_jax.data.files.colors import Color, unpack_color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import AnnotatedImage, Export, Options, Shape
from classmix_jax.tools.annotations.coco_records import (
  Id,
  Record,
  Tables,
  build_export,
  get_category_name,
  get_id,
  get_records,
  get_value,
  read_tables,
)
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.image_files import (
  ImageIndex,
  complete_size,
  index_images,
  name_image,
)
from classmix_jax.tools.annotations.parsing import parse_relative_path
from classmix_jax.tools.annotations.raster import ColorRegion, read_packed_colors
from classmix_jax.types import Size
from classmix_jax.utils.text import listed


def matches(sample: Sample) -> bool:
  """Returns whether a sample is of panoptic segments."""
  return any(
    isinstance(content, dict)
    and isinstance(content.get('annotations'), list)
    and any(isinstance(item, dict) and 'segments_info' in item for item in content['annotations'])
    for content in sample.contents
  )


def read(path: Path, options: Options) -> Export:
  """Reads a panoptic file; the classes are its categories, sorted by name.

  Args:
    path: the JSON file, or a directory with one.
    options: `images` are the images, for their names and for records without a size.

  Raises:
    UserError: the file is not a COCO file, or has no segments.

  Example: `read(Path('panoptic.json'), Options()).class_names == ('car', 'road')`.
  """
  tables = read_tables(path)
  records = [record for group in tables.annotations.values() for record in group]
  if not any('segments_info' in record for record in records):
    raise UserError(
      f"{tables.file} has no annotation with 'segments_info', so it is not of panoptic segments."
    )
  return parse_tables(tables, index_images(options.images))


def parse_tables(tables: Tables, images: ImageIndex) -> Export:
  """Returns the export of a panoptic file; images without a PNG are not annotated."""
  parse = functools.partial(parse_image, file=tables.file, names=tables.names, images=images)
  return build_export(tables, parse, images)


def parse_image(
  image: Record,
  annotations: Sequence[Record],
  source: str,
  file: Path,
  names: Mapping[Id, str],
  images: ImageIndex,
) -> AnnotatedImage:
  """Parses one image with its segments; raises UserError if a value is invalid."""
  name = name_image(image.get('file_name'), images)
  text = str(image.get('file_name'))
  size = complete_size(image.get('height'), image.get('width'), images, text)
  shapes = [
    shape for annotation in annotations for shape in read_segments(file, annotation, names, size)
  ]
  return AnnotatedImage(name, source, size, shapes, is_annotated=bool(annotations))


def read_segments(
  file: Path, annotation: Record, names: Mapping[Id, str], size: Size
) -> list[Shape]:
  """Reads the segments of a panoptic PNG, whose colours are ids R + 256 G + 65536 B.

  Args:
    file: the JSON file.
    annotation: of the image, with `file_name` and `segments_info`.
    names: category id -> class name.
    size: (height, width) of the image.

  Raises:
    UserError: the PNG is missing or has another size, or a segment is unknown.
  """
  name = parse_relative_path(annotation.get('file_name'))
  directories = [
    directory for directory in (file.with_suffix(''), file.parent) if (directory / name).is_file()
  ]
  if not directories:
    raise UserError(f'there is no {name} in {file.with_suffix("")} or {file.parent}: add it.')
  path = directories[0] / name
  packed = read_packed_colors(path)
  if packed.shape != size:
    raise UserError(f'{path} is {packed.shape[::-1]}; expected {size[::-1]} (width, height).')
  infos = get_records(annotation, 'segments_info')
  known = {get_value(get_id(info, 'id')): get_category_name(info, names) for info in infos}
  # A segment id has R in its lowest byte.
  present = map(unpack_color, np.unique(packed).tolist())
  ids = {red + 256 * green + 65536 * blue for red, green, blue in present}
  unknown = sorted(ids - known.keys() - {0})
  if unknown:
    raise UserError(f'{path} holds segments that segments_info lacks: {listed(unknown, 4)}.')
  if known and not known.keys() & ids:
    raise UserError(f'{path} holds none of the segments in segments_info: export it again.')
  return [Shape(name, ColorRegion(path, unpack_id(key))) for key, name in known.items()]


def unpack_id(segment: Id) -> Color:
  """Returns the colour of a segment; raises UserError if it is no number of 24 bits.

  Example:
    >>> unpack_id(258)
    (2, 1, 0)
  """
  if not isinstance(segment, int) or not 0 <= segment < 1 << 24:
    raise UserError(f'a segment has the id {segment!r}; expected 0 to {(1 << 24) - 1}.')
  return segment & 255, segment >> 8 & 255, segment >> 16
