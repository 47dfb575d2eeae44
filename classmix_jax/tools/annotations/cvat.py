"""CVAT: one annotations.xml of "CVAT for images 1.1".

Synopsis:

    export = read(Path('annotations.xml'), {})
    picture = next(export.items)     # by z_order, then in the file's order; later ones on top

The XML is read without DOCTYPE, so that entities can neither multiply nor open
other files.
"""

from collections.abc import Callable, Mapping
import functools
import math
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  Export,
  Picture,
  Point,
  Region,
  annotation_file,
  attempt,
  checked_size,
  class_name,
  coordinate,
  picture_name,
)
from classmix_jax.tools.annotations.raster import RowRuns
from classmix_jax.tools.annotations.rle import Runs, mask_module, polygon_runs
from classmix_jax.types import Size

Element = ElementTree.Element

NO_AREA = ('polyline', 'points', 'cuboid', 'skeleton', 'tag')
CORNERS = 360  # of the polygon that stands for an ellipse


def read(path: Path, classes: Mapping[str, Color | None]) -> Export:
  """Returns the export in a CVAT file; the classes are its labels, sorted by name.

  Args:
    path: the XML file, or a folder with one.
    classes: not needed here.

  Raises:
    UserError: the file is no XML of "CVAT for images", has a DOCTYPE, or
      pycocotools is not installed.

  Example: `read(Path('annotations.xml'), {}).colors == {'car': (255, 96, 55)}`.
  """
  file = annotation_file(path, '.xml')
  root = parse_xml(file)
  images = root.findall('image')
  if root.tag != 'annotations' or not images:
    raise UserError(
      f"{file} holds no <image> in <annotations>: export the task as 'CVAT for images 1.1' "
      "(not 'CVAT for video') and unpack it."
    )
  if any(root.find(f'image/{tag}') is not None for tag in ('polygon', 'box', 'ellipse')):
    mask_module()  # say at once where it lacks, not once per picture
  colors = {
    class_name(label.findtext('name') or '(no name)'): parse_color(label.findtext('color'))
    for label in root.iterfind('meta//labels/label')
    if label.findtext('type') not in NO_AREA and label.find('parent') is None
  }
  items = (
    attempt(source, functools.partial(picture, image, source))
    for image in images
    for source in [f'{file}, image {image.get("name")!r}']
  )
  return Export(tuple(sorted(colors)), colors, len(images), items)


def parse_xml(path: Path) -> Element:
  """Returns the root of an XML file.

  Raises:
    UserError: the file is not XML, or has a DOCTYPE, which CVAT never writes and
      which could make a small file grow without end or read other files.

  Example: `parse_xml(Path('annotations.xml')).tag == 'annotations'`.
  """

  def refuse(*declaration: Any) -> None:
    raise UserError(
      f'{path} declares a DOCTYPE, which exports of CVAT never have and which is refused: its '
      'entities could read other files. Export the task again.'
    )

  builder = ElementTree.TreeBuilder()
  parser = expat.ParserCreate()
  parser.StartDoctypeDeclHandler = refuse
  parser.StartElementHandler = builder.start
  parser.EndElementHandler = builder.end
  parser.CharacterDataHandler = builder.data
  try:
    with open(path, 'rb') as file:
      parser.ParseFile(file)
  except OSError as error:
    raise UserError(f'{path} cannot be read ({error.strerror}): check --input.') from None
  except expat.ExpatError as error:
    raise UserError(f'{path} is not XML ({error}): export the task again and unpack it.') from None
  return builder.close()


def parse_color(text: str | None) -> Color | None:
  """Returns '#ff6037' as a colour, None where there is none.

  Example:
    >>> parse_color('#ff6037')
    (255, 96, 55)
  """
  try:
    red, green, blue = bytes.fromhex((text or '').removeprefix('#'))
  except ValueError:
    return None
  return red, green, blue


def picture(image: Element, source: str) -> Picture:
  """Returns one image with its regions; UserError where it cannot be read."""
  name = picture_name(image.get('name'))
  size = checked_size(whole(image, 'height'), whole(image, 'width'))
  shapes, skipped = [], []
  for shape in sorted(image, key=lambda shape: whole(shape, 'z_order', '0')):  # stable
    if shape.tag in NO_AREA:
      skipped.append(shape.tag)
    elif shape.tag == 'polygon' and (shape.get('points') or '').count(';') < 2:
      skipped.append('polygon of fewer than three points')
    else:
      shapes.append((class_name(shape.get('label')), region_of(shape, size)))
  return Picture(name, source, size, shapes, skipped)


def region_of(shape: Element, size: Size) -> Region:
  """Returns the region of an element; UserError for elements that are not known."""
  if shape.tag not in SHAPES:
    raise UserError(f'<{shape.tag}> is no shape, known are {", ".join([*SHAPES, *NO_AREA])}.')
  return SHAPES[shape.tag](shape, size)


def polygon(shape: Element, size: Size) -> Runs:
  pairs = [pair.split(',') for pair in shape.get('points', '').split(';')]
  if any(len(pair) != 2 for pair in pairs):
    raise UserError(f"a polygon is {shape.get('points')[:40]!r}, expected is 'x,y;x,y;...'.")
  return polygon_runs([[(parsed(x), parsed(y)) for x, y in pairs]], size)


def box(shape: Element, size: Size) -> Runs:
  left, top, right, bottom = (parsed(shape.get(key)) for key in ('xtl', 'ytl', 'xbr', 'ybr'))
  corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
  return polygon_runs([turned(corners, ((left + right) / 2, (top + bottom) / 2), shape)], size)


def ellipse(shape: Element, size: Size) -> Runs:
  x, y, width, height = (parsed(shape.get(key)) for key in ('cx', 'cy', 'rx', 'ry'))
  angles = [2 * math.pi * corner / CORNERS for corner in range(CORNERS)]
  outline = [(x + width * math.cos(a), y + height * math.sin(a)) for a in angles]
  return polygon_runs([turned(outline, (x, y), shape)], size)


def turned(points: list[Point], center: Point, shape: Element) -> list[Point]:
  """Turns points clockwise by the attribute `rotation`, in degrees."""
  angle = math.radians(parsed(shape.get('rotation', '0')))
  cos, sin = math.cos(angle), math.sin(angle)
  offsets = [(x - center[0], y - center[1]) for x, y in points]
  return [(center[0] + cos * x - sin * y, center[1] + sin * x + cos * y) for x, y in offsets]


def mask(shape: Element, size: Size) -> RowRuns:
  left, top, width, height = (whole(shape, key) for key in ('left', 'top', 'width', 'height'))
  text = shape.get('rle', '')
  try:
    counts = np.array([int(count) for count in text.split(',')], np.int64)
  except (ValueError, OverflowError):
    raise UserError(f'a mask has the run lengths {text[:40]!r}, expected are integers.') from None
  inside = 0 <= left <= left + width <= size[1] and 0 <= top <= top + height <= size[0]
  if not inside or (counts < 0).any() or counts.sum() != width * height:
    raise UserError(
      f'a mask of {width} x {height} pixels at ({left}, {top}) has run lengths of '
      f'{counts.sum()} pixels in a picture of {size[1]} x {size[0]}: export the task again.'
    )
  return RowRuns(left, top, width, height, counts)


def whole(element: Element, key: str, default: str = '') -> int:
  """Returns an attribute as integer; UserError where it is none."""
  text = element.get(key, default)
  try:
    return int(text)
  except ValueError:
    raise UserError(f"<{element.tag}> has {key}='{text}', expected is an integer.") from None


def parsed(text: str | None) -> float:
  """Returns a coordinate that is written as text; UserError where it is none."""
  try:
    value = float(text)
  except (ValueError, TypeError):
    value = text
  return coordinate(value)


SHAPES: Mapping[str, Callable[[Element, Size], Region]] = {
  'polygon': polygon,
  'box': box,
  'ellipse': ellipse,
  'mask': mask,
}
