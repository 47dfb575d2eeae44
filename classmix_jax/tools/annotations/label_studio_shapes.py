"""Parses the regions in the results of Label Studio.

Synopsis:

    size, shapes = parse_results(annotation['result'], size=None)

Coordinates are percentages of the width and of the height.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import Point, Shape
from classmix_jax.tools.annotations.label_studio_rle import Brush
from classmix_jax.tools.annotations.outlines import outline_box, outline_ellipse, rotate
from classmix_jax.tools.annotations.parsing import (
  parse_class_name,
  parse_coordinate,
  parse_size,
  parse_whole,
)
from classmix_jax.tools.annotations.raster import Line
from classmix_jax.tools.annotations.rle import build_shape
from classmix_jax.tools.annotations.stencil import Stencil, decode_base64
from classmix_jax.types import Size

Record = Mapping[str, Any]

GEOMETRY = ('points', 'vertices', 'rle', 'imageDataURL', 'x')  # keys of values with a place
NOT_PLACES = ('relation', 'choices', 'textarea', 'rating', 'number', 'taxonomy', 'pairwise')


def parse_results(results: Sequence[Record], size: Size | None) -> tuple[Size | None, list[Shape]]:
  """Parses the results of an annotation.

  Args:
    results: as in the export JSON.
    size: (height, width) of the image, if it is known.

  Returns:
    (height, width), None if neither is known; and the shapes in the order of the results.

  Raises:
    UserError: a value is invalid, the shapes are of several images or pages or of a turned image,
      or the size of the image is another one than that of the shapes.
  """
  places = [result for result in results if is_place(result)]
  if len({str(result.get('to_name')) for result in places}) > 1:
    raise UserError('its shapes are of several images: split them into one task each.')
  if len({str(result.get('item_index') or 0) for result in places}) > 1:
    raise UserError('its shapes are on several pages: split them into one task each.')
  sizes = {find_size(result) for result in places} - {None}
  if len(sizes) > 1 or (size and sizes - {size}):
    raise UserError(
      f'its shapes are of images of different sizes, {sorted(map(str, sizes | {size}))}: export '
      'again.'
    )
  size = size or next(iter(sizes), None)
  if places and size is None:
    raise UserError('it has no original_width and original_height: set --images.')
  labeled = {str(result.get('id')) for result in places if list_labels(result)}
  # With <Labels> in the interface, a region has a second result with the same id and its label.
  regions = [
    result
    for result in places
    if list_labels(result) or result.get('id') is None or str(result['id']) not in labeled
  ]
  shapes = [parse_result(result, size) for result in regions if size]
  return size, shapes


def count_unplaced(results: Sequence[Record]) -> int:
  """Returns the number of regions with a label and without an outline."""
  places = {str(result.get('id')) for result in results if is_place(result)}
  return sum(
    isinstance(result.get('value'), dict)
    and bool(list_labels(result))
    and not is_place(result)
    and str(result.get('id')) not in places
    for result in results
  )


def has_outline(result: Record) -> bool:
  """Returns whether a result is a shape with an outline, not pixels of a brush."""
  return is_place(result) and not {'rle', 'imageDataURL'} & result['value'].keys()


def is_place(result: Record) -> bool:
  """Returns whether a result is a shape, not a relation or an answer about the image."""
  value = result.get('value')
  return (
    isinstance(value, dict)
    and result.get('type') not in NOT_PLACES
    and any(key in value for key in GEOMETRY)
  )


def find_size(result: Record) -> Size | None:
  """Returns (height, width) of the image of a result, None if it has none.

  Raises:
    UserError: the size is invalid, or the image was turned.
  """
  if parse_whole(result.get('image_rotation') or 0) != 0:
    raise UserError(
      f'its image was turned by {result["image_rotation"]} degrees in Label Studio, which is not '
      'read: turn the image file and annotate it again.'
    )
  height, width = result.get('original_height'), result.get('original_width')
  return None if height is None and width is None else parse_size(height, width)


def list_labels(result: Record) -> list[Any]:
  """Returns the labels of a result, from 'polygonlabels', 'brushlabels' or the like."""
  values = [value for key, value in result['value'].items() if key.endswith('labels')]
  return [label for labels in values if isinstance(labels, list) for label in labels]


def parse_result(result: Record, size: Size) -> Shape:
  """Parses a shape; raises UserError if it is unknown or a number is invalid."""
  value = result['value']
  labels = list_labels(result)
  name = parse_class_name(labels[0]) if len(labels) == 1 else ''
  kind = '' if name else f'region with {len(labels) or "no"} labels'
  if 'rle' in value:
    return Shape(name, Brush(value['rle'], size), kind)
  if 'imageDataURL' in value:
    return Shape(name, Stencil(0, 0, decode_base64(value['imageDataURL'])), kind)
  corners = parse_corners(value, size)
  is_open = value.get('closed') is False or 'vertices' in value and not value.get('closed')
  if len(corners) == 1:
    return Shape(name, Line(tuple(corners)), 'keypoint')
  if is_open or len(corners) < 3:
    return Shape(name, Line(tuple(corners)), 'open line')
  return build_shape(name, corners, size, kind)


def parse_corners(value: Record, size: Size) -> list[Point]:
  """Parses the outline of a shape in pixels; a keypoint has one corner."""
  if 'points' in value or 'vertices' in value:
    return parse_points(value.get('points', value.get('vertices')), size)
  x, y = scale(value.get('x'), value.get('y'), size)
  rotation = parse_coordinate(value.get('rotation') or 0)
  if 'radiusX' in value:
    horizontal, vertical = scale(value['radiusX'], value.get('radiusY'), size)
    return rotate(outline_ellipse(x, y, horizontal, vertical), (x, y), rotation)
  if 'height' in value:
    width, height = scale(value.get('width'), value['height'], size)
    # Label Studio turns rectangles about their first corner.
    return rotate(outline_box(x, y, x + width, y + height), (x, y), rotation)
  return [(x, y)]


def parse_points(points: Any, size: Size) -> list[Point]:
  """Parses [[x, y], ...] or [{'x': x, 'y': y}, ...] in percent as pixels."""
  if not isinstance(points, list) or not points:
    raise UserError(f'the points of a region are {str(points)[:40]}; expected pairs [x, y].')
  pairs = [(item.get('x'), item.get('y')) if isinstance(item, dict) else item for item in points]
  if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
    raise UserError(f'the points of a region are {str(points)[:40]}; expected pairs [x, y].')
  return [scale(x, y, size) for x, y in pairs]


def scale(x: Any, y: Any, size: Size) -> Point:
  """Converts percentages of the width and of the height to pixels."""
  return parse_coordinate(x) * size[1] / 100, parse_coordinate(y) * size[0] / 100
