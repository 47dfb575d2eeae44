"""Reads CVAT: one annotations.xml of "CVAT for images 1.1".

Synopsis:

    export = read(Path('annotations.xml'), Options())
    image = next(export.items)       # by z_order, then in the file's order; later ones on top

XML with a DOCTYPE is refused, because its entities could expand without limit or read other files.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
import functools
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from classmix_jax.data.files.colors import Color
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Options,
  Point,
  Problem,
  Shape,
  attempt,
)
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.image_files import (
  ImageIndex,
  complete_size,
  index_images,
  name_image,
)
from classmix_jax.tools.annotations.outlines import outline_box, outline_ellipse, rotate
from classmix_jax.tools.annotations.parsing import (
  find_annotation_file,
  parse_class_name,
  parse_coordinate,
  parse_whole,
)
from classmix_jax.tools.annotations.raster import Line, Polygon, RowRuns
from classmix_jax.tools.annotations.rle import build_shape, import_mask_module
from classmix_jax.types import Size

Element = ElementTree.Element

LINES = ('polyline', 'points')
NO_CLASS = ('tag', 'skeleton')  # types of labels that no pixel can have


def matches(sample: Sample) -> bool:
  """Returns whether a sample is of CVAT's XML."""
  return any('<annotations>' in text for text in sample.texts)


def read(path: Path, options: Options) -> Export:
  """Reads a CVAT file; the classes are its labels, sorted by name.

  Args:
    path: the XML file, or a directory with one.
    options: `images` are the images, for their names.

  Raises:
    UserError: the file is not XML of "CVAT for images" or has a DOCTYPE, or
      pycocotools is not installed.

  Example: `read(Path('annotations.xml'), Options()).colors == {'car': (255, 96, 55)}`.
  """
  file = find_annotation_file(path, '.xml')
  root = parse_xml(file)
  images = root.findall('image')
  if root.tag != 'annotations' or not images:
    raise UserError(
      f"{file} has no <image> in <annotations>: export the task as 'CVAT for images 1.1' "
      "(not 'CVAT for video') and unpack it."
    )
  if any(root.find(f'image/{tag}') is not None for tag in ('polygon', 'box', 'ellipse')):
    import_mask_module()  # raises once if it is not installed, instead of once per image
  colors = {
    parse_class_name(label.findtext('name') or '(no name)'): parse_color(label.findtext('color'))
    for label in root.iterfind('meta//labels/label')
    if label.findtext('type') not in NO_CLASS and label.find('parent') is None
  }
  return Export(
    tuple(sorted(colors)), colors, len(images), parse_images(file, images, options.images)
  )


def parse_images(
  file: Path, images: Sequence[Element], directory: Path | None
) -> Iterator[AnnotatedImage | Problem]:
  """Yields one item per image; `directory` has the image files, if it is given."""
  index = index_images(directory)
  classes = {shape.get('label') for image in images for shape in image if shape.tag != 'tag'}
  for image in images:
    source = f'{file}, image {image.get("name")!r}'
    yield attempt(
      source,
      functools.partial(parse_image, image, source, index, classes),
      functools.partial(name_image, image.get('name'), index),
    )


def parse_xml(path: Path) -> Element:
  """Returns the root of an XML file.

  Raises:
    UserError: the file is not XML, or has a DOCTYPE, which CVAT never writes.

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
  """Parses a colour such as '#ff6037'; returns None if there is none.

  Example:
    >>> parse_color('#ff6037')
    (255, 96, 55)
  """
  try:
    red, green, blue = bytes.fromhex((text or '').removeprefix('#'))
  except ValueError:
    return None
  return red, green, blue


def parse_image(
  image: Element, source: str, images: ImageIndex, classes: Collection[str | None]
) -> AnnotatedImage:
  """Parses one image with its regions; raises UserError if a value is invalid.

  Args:
    image: the element.
    source: its location, for messages.
    images: see `index_images`.
    classes: labels of the shapes of all images. A tag with such a label is an object without a
      place, unless the image has a shape of it; other tags describe the image.
  """
  name = name_image(image.get('name'), images)
  height, width = parse_int(image, 'height'), parse_int(image, 'width')
  size = complete_size(height, width, images, image.get('name', ''))
  elements = sorted(image, key=lambda shape: parse_int(shape, 'z_order', '0'))  # stable
  shapes = [parse_shape(element, size) for element in elements if element.tag != 'tag']
  missing = set(classes) - {element.get('label') for element in elements if element.tag != 'tag'}
  tags = [element.get('label') for element in elements if element.tag == 'tag']
  unplaced = ['tag of a class without a shape of it' for label in tags if label in missing]
  skipped = ['tag' for label in tags if label not in missing]
  return AnnotatedImage(name, source, size, shapes, skipped, unplaced)


def parse_shape(element: Element, size: Size) -> Shape:
  """Parses a shape element; raises UserError if its kind is unknown."""
  kind = element.tag
  if kind == 'skeleton':
    points = [point for child in element.iterfind('points') for point in parse_pairs(child)]
    return Shape('', Line(tuple(points), is_joined=False), kind)
  if kind == 'cuboid':
    return Shape('', parse_cuboid(element), kind)
  name = parse_class_name(element.get('label'))
  if kind in LINES:
    return Shape(name, Line(parse_pairs(element), is_joined=kind == 'polyline'), kind)
  if kind == 'mask':
    return Shape(name, parse_mask(element, size))
  if kind not in OUTLINES:
    known = ', '.join([*OUTLINES, 'mask', *LINES, 'cuboid', 'skeleton', 'tag'])
    raise UserError(f'<{kind}> is not a shape, known are {known}.')
  return build_shape(name, OUTLINES[kind](element), size)


def parse_pairs(shape: Element) -> tuple[Point, ...]:
  """Parses points="x,y;x,y;..."; raises UserError if they are anything else."""
  pairs = [pair.split(',') for pair in shape.get('points', '').split(';')]
  if any(len(pair) != 2 for pair in pairs):
    raise UserError(f"a {shape.tag} is {shape.get('points', '')[:40]!r}; expected 'x,y;x,y;...'.")
  return tuple((parse_float(x), parse_float(y)) for x, y in pairs)


def parse_cuboid(shape: Element) -> Polygon:
  """Parses <cuboid xtl1 ytl1 xbl1 ybl1 ... xbr2 ybr2> as the box around its eight corners."""
  corners = [
    (parse_float(shape.get(f'x{corner}')), parse_float(shape.get(f'y{corner}')))
    for corner in ('tl1', 'bl1', 'tr1', 'br1', 'tl2', 'bl2', 'tr2', 'br2')
  ]
  xs, ys = zip(*corners, strict=True)
  left, top, right, bottom = min(xs), min(ys), max(xs), max(ys)
  return Polygon(((left, top), (right, top), (right, bottom), (left, bottom)))


def parse_box(shape: Element) -> list[Point]:
  """Parses <box xtl ytl xbr ybr rotation>, rotated about its center."""
  left, top, right, bottom = (parse_float(shape.get(key)) for key in ('xtl', 'ytl', 'xbr', 'ybr'))
  center = ((left + right) / 2, (top + bottom) / 2)
  corners = outline_box(left, top, right, bottom)
  return rotate(corners, center, parse_rotation(shape))


def parse_ellipse(shape: Element) -> list[Point]:
  """Parses <ellipse cx cy rx ry rotation> as a polygon."""
  x, y, width, height = (parse_float(shape.get(key)) for key in ('cx', 'cy', 'rx', 'ry'))
  outline = outline_ellipse(x, y, width, height)
  return rotate(outline, (x, y), parse_rotation(shape))


def parse_rotation(shape: Element) -> float:
  """Parses the attribute `rotation`, in degrees clockwise."""
  return parse_float(shape.get('rotation', '0'))


def parse_mask(shape: Element, size: Size) -> RowRuns:
  """Parses <mask left top width height rle>, with run lengths by rows."""
  left, top, width, height = (parse_int(shape, key) for key in ('left', 'top', 'width', 'height'))
  text = shape.get('rle', '')
  try:
    counts = np.array([int(count) for count in text.split(',')], np.int64)
  except (ValueError, OverflowError):
    raise UserError(f'a mask has the run lengths {text[:40]!r}; expected integers.') from None
  inside = 0 <= left <= left + width <= size[1] and 0 <= top <= top + height <= size[0]
  if not inside or (counts < 0).any() or counts.sum() != width * height:
    raise UserError(
      f'a mask of {width} x {height} pixels at ({left}, {top}) has run lengths of '
      f'{counts.sum()} pixels in an image of {size[1]} x {size[0]}: export the task again.'
    )
  return RowRuns(left, top, width, height, counts)


def parse_int(element: Element, key: str, default: str = '') -> int:
  """Parses an attribute as integer; raises UserError if it is none."""
  text = element.get(key, default)
  whole = parse_whole(text)
  if whole is None:
    raise UserError(f"<{element.tag}> has {key}='{text}'; expected an integer.")
  return whole


def parse_float(text: str | None) -> float:
  """Parses the text of a coordinate; raises UserError if it is not a finite number."""
  try:
    value: object = float(text or '')
  except ValueError:
    value = text  # `parse_coordinate` raises with the text in its message
  return parse_coordinate(value)


OUTLINES: Mapping[str, Callable[[Element], Sequence[Point]]] = {
  'polygon': parse_pairs,
  'box': parse_box,
  'ellipse': parse_ellipse,
}
