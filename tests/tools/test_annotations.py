"""Annotation exports: hand-worked masks, overlaps, hostile files, a round trip."""

import base64
import hashlib
import io
import json
from pathlib import Path
import sys

import numpy as np
from PIL import Image
import pytest
from toy import assert_fails, assert_says, deny_writing, save

from classmix_jax.data.class_files.reader import read_classes
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations import (
  class_file,
  class_table,
  coco_panoptic,
  coco_records,
  convert,
  cvat,
  labelme,
  mask_files,
  parsing,
)
from classmix_jax.tools.annotations.parsing import parse_image_name

ROOT = Path(__file__).resolve().parents[2]
V = 255


def read_masks(output):
  """Name -> `[H, W]` indices of every mask."""
  return {
    path.relative_to(output / 'masks').with_suffix('').as_posix(): np.asarray(Image.open(path))
    for path in sorted((output / 'masks').rglob('*.png'))
  }


def run(kind, source, output, **options):
  convert.convert(kind, Path(source), Path(output), **options)
  return read_masks(output)


def message(kind, source, output, **options):
  with pytest.raises(UserError) as caught:
    convert.convert(kind, Path(source), Path(output), **options)
  return str(caught.value)


def same(mask, expected):
  np.testing.assert_array_equal(mask, np.array(expected))


# ------------------------------------------------------------------------ labelme


def write_labelme(path, *shapes, height=4, width=5, **fields):
  """A JSON file; a shape is (label, type, points), or with further fields."""
  path.parent.mkdir(parents=True, exist_ok=True)
  records = [
    {'label': label, 'shape_type': kind, 'points': points, **(rest[0] if rest else {})}
    for label, kind, points, *rest in shapes
  ]
  path.write_text(
    json.dumps({'imageHeight': height, 'imageWidth': width, 'shapes': records, **fields})
  )


def square(label, left=0, top=0, right=None, bottom=None):
  """Both corners belong to it; without the second it covers 2 x 2 pixels."""
  corner = [left + 1 if right is None else right, top + 1 if bottom is None else bottom]
  return (label, 'rectangle', [[left, top], corner])


def test_labelme_shapes_in_the_order_of_the_file(tmp_path):
  write_labelme(
    tmp_path / 'in/city/1.json',
    ('b', 'polygon', [[0, 0], [3.9, 0], [0, 3]]),  # 3.9 lies in pixel 3
    ('a', 'rectangle', [[4.2, 2], [2, 1.5]]),  # corners in any order; over b's (1, 2)
    ('c', 'point', [[4.9, 3.1]]),
    ('b', None, [[0, 3], [1, 3], [0, 3]]),
    imagePath='../../other.jpg',
  )
  write_labelme(
    tmp_path / 'in/disc.json', ('c', 'circle', [[2, 2], [3, 2]]), ('b', 'point', [[2, 2]])
  )
  masks = run('labelme', tmp_path / 'in', tmp_path / 'out', line_width=1)
  assert (tmp_path / 'out/classes.txt').read_text() == 'a\nb\nc\n'
  same(masks['city/1'], [[1, 1, 1, 1, V], [1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, V, V, 2]])
  same(masks['disc'], [[V] * 5, [V, V, 2, V, V], [V, 2, 1, 2, V], [V, V, 2, V, V]])


def test_labelme_masks_and_turned_rectangles(tmp_path):
  stencil = io.BytesIO()
  Image.fromarray(np.array([[255, 0], [255, 255]], np.uint8)).save(stencil, 'PNG')
  mask = {'mask': base64.b64encode(stencil.getvalue()).decode()}
  write_labelme(
    tmp_path / 'in/1.json',
    ('a', 'oriented_rectangle', [[0, 0], [1, 0], [1, 3], [0, 3]]),
    ('b', 'mask', [[3, 1], [4, 2]], mask),
  )
  same(
    run('labelme', tmp_path / 'in', tmp_path / 'out')['1'],
    [[0, 0, V, V, V], [0, 0, V, 1, V], [0, 0, V, 1, 1], [0, 0, V, V, V]],
  )


def test_labelme_shapes_without_area_are_void(tmp_path, capsys):
  write_labelme(
    tmp_path / 'in/1.json',
    square('a'),
    square('b', 18, 18),
    ('c', 'line', [[2, 10], [17, 10]]),
    height=20,
    width=20,
  )
  write_labelme(
    tmp_path / 'in/2.json',
    ('c', 'linestrip', [[0, 0], [1, 1], [2, 1]]),
    ('c', 'line', [[0, 0], [1, 1]]),
    ('c', 'polygon', [[0, 0], [1, 1]]),
    ('c', 'polygon', []),
  )
  masks = run('labelme', tmp_path / 'in', tmp_path / 'out')
  assert list(masks) == ['1'] and (tmp_path / 'out/classes.txt').read_text() == 'a\nb\nc\n'
  assert_says(
    capsys.readouterr().out,
    '2 line,',
    '1 linestrip,',
    '1 polygon of fewer than three points',
    '1.json',
    'void, 9 pixels wide',
    '--line-width=N',
    '1 shape without points',
    '1 images have no region and got no mask: 2.',
    'as unlabelled images',
  )
  masks = run('labelme', tmp_path / 'in', tmp_path / 'ground', background='ground')
  assert list(masks) == ['1']  # the place of a shape without points may be anywhere
  assert_says(capsys.readouterr().out, '1 images have objects without a place and got no mask,')
  expected = np.zeros((20, 20), int)
  expected[:2, :2], expected[18:, 18:] = 1, 2
  expected[6:15, 2:18] = V  # 9 rows about row 10
  same(masks['1'][:, 2:18], expected[:, 2:18])
  same(masks['1'][10], [V] * 20)  # the round ends reach 4 pixels further
  same(masks['1'][6], [0, *[V] * 18, 0])


def test_lines_and_points_with_a_width(tmp_path):
  """A line of 3 pixels: rows 4 to 6 about row 5, and round ends."""
  write_labelme(
    tmp_path / 'in/1.json',
    ('c', 'linestrip', [[2, 5], [6, 5], [6.5, 8.2]]),
    ('p', 'points', [[10, 2], [10, 8]]),
    height=11,
    width=12,
  )
  mask = run('labelme', tmp_path / 'in', tmp_path / 'out', line_width=3, background='ground')['1']
  expected = np.zeros((11, 12), int)
  expected[4:7, 2:7] = expected[5:9, 5:8] = 1
  expected[5, 1] = expected[4:7, 2] = expected[9, 6] = expected[5, 7] = 1
  for row in (2, 8):
    expected[row - 1 : row + 2, 10] = expected[row, 9:12] = 2
  same(mask, expected)
  assert (tmp_path / 'out/classes.txt').read_text() == 'ground\nc\np\n'


def test_one_file_of_labelme(tmp_path):
  write_labelme(tmp_path / '1.json', square('a'), square('b', 3))
  assert list(run('labelme', tmp_path / '1.json', tmp_path / 'out')) == ['1']


@pytest.mark.parametrize(
  'content, parts',
  [
    ('{', ('not JSON', 'export')),
    ('[' * 100000, ('not JSON',)),
    ('{"images": []}', ("'shapes'", 'labelme')),
    ('{"shapes": [], "imageWidth": 5}', ('None',)),
    ('{"shapes": [], "imageHeight": 1000000, "imageWidth": 1000000}', ('pixels',)),
    ('{"shapes": [7], "imageHeight": 4, "imageWidth": 5}', ('a shape is 7',)),
    ({'points': [[0, 0]], 'shape_type': 'spiral', 'label': 'a'}, ("'spiral'", 'polygon')),
    ({'points': [[0, 0]], 'shape_type': 'circle', 'label': 'a'}, ('1 points', '2')),
    ({'points': [[0, float('nan')]], 'shape_type': 'point', 'label': 'a'}, ('nan', 'number')),
    ({'points': [[0, 1e300]], 'shape_type': 'point', 'label': 'a'}, ('1e+300', 'number')),
    ({'points': [0, 1], 'shape_type': 'point', 'label': 'a'}, ('[x, y]',)),
    ({'points': [[0, 1]], 'shape_type': 'point', 'label': None}, ('None', 'class name')),
    ({'points': [[0, 1]] * 2, 'shape_type': 'mask', 'label': 'a', 'mask': '?'}, ('base64',)),
    (
      {'points': [[0, 1]] * 2, 'shape_type': 'mask', 'label': 'a', 'mask': 'AAAA'},
      ('3 bytes is no PNG',),
    ),
  ],
)
def test_malformed_labelme_files_are_named(tmp_path, content, parts):
  write_labelme(tmp_path / 'in/good.json', square('a'), square('b', 3))
  if isinstance(content, dict):
    content = json.dumps({'imageHeight': 4, 'imageWidth': 5, 'shapes': [content]})
  (tmp_path / 'in/bad.json').write_text(content)
  assert_says(
    message('labelme', tmp_path / 'in', tmp_path / 'out'),
    '1 of 2 images',
    tmp_path / 'in/bad.json',
    *parts,
  )
  assert list(read_masks(tmp_path / 'out')) == ['good']


# --------------------------------------------------------------------------- coco


def write_coco(path, annotations, images=(('x/a.jpg', 3, 4),), names=('a', 'b', 'c')):
  """A JSON file; an annotation is (category, segmentation); image i has id 10 + i."""
  data = {
    'images': [
      {'id': 10 + index, 'file_name': name, 'height': height, 'width': width}
      for index, (name, height, width) in enumerate(images)
    ],
    'categories': [{'id': 5 + index, 'name': name} for index, name in enumerate(names)],
    'annotations': [
      {
        'id': index,
        'image_id': 10,
        'category_id': 5 + names.index(name),
        'segmentation': segmentation,
        **(rest[0] if rest else {}),
      }
      for index, (name, segmentation, *rest) in enumerate(annotations)
    ],
  }
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(data))
  return path


def test_coco_small_regions_lie_on_top(tmp_path):
  pytest.importorskip('pycocotools')
  file = write_coco(
    tmp_path / 'annotations.json',
    [
      ('c', [[1, 1, 2, 1, 2, 2, 1, 2]]),  # one pixel, first in the file
      ('b', [[0, 0, 3, 0, 3, 3, 0, 3], [3, 2, 4, 2, 4, 3, 3, 3]]),  # two parts, 10 pixels
      ('a', [[0, 0, 4, 0, 4, 1, 0, 1]]),  # four pixels
      ('b', [[3, 0, 4, 0, 4, 1, 3, 1]]),
    ],
    names=('c', 'b', 'a'),
  )
  mask = run('coco', file, tmp_path / 'out')['x/a']
  same(mask, [[0, 0, 0, 1], [1, 2, 1, V], [1, 1, 1, 1]])
  assert (tmp_path / 'out/classes.txt').read_text() == 'a\nb\nc\n'  # sorted, not by category id


def test_coco_equal_areas_in_the_order_of_the_file(tmp_path):
  pytest.importorskip('pycocotools')
  one, two = [[0, 0, 2, 0, 2, 1, 0, 1]], [[1, 0, 3, 0, 3, 1, 1, 1]]
  file = write_coco(tmp_path / 'annotations.json', [('a', one), ('b', two)])
  same(run('coco', file, tmp_path / 'out')['x/a'][0], [0, 1, 1, V])


RING = {'size': [3, 3], 'counts': [0, 4, 1, 4]}  # columns of three: all but the middle


@pytest.mark.parametrize('ring', [RING, {'size': [3, 3], 'counts': '0410'}])
def test_coco_run_lengths_holes_and_crowd(tmp_path, ring):
  pytest.importorskip('pycocotools')
  file = write_coco(
    tmp_path / 'annotations.json', [('b', ring, {'iscrowd': 1})], images=[('a.png', 3, 3)]
  )
  same(run('coco', file, tmp_path / 'void')['a'], [[1, 1, 1], [1, V, 1], [1, 1, 1]])
  same(
    run('coco', file, tmp_path / 'ground', background='ground')['a'],
    [[2, 2, 2], [2, 0, 2], [2, 2, 2]],
  )
  assert (tmp_path / 'ground/classes.txt').read_text() == 'ground\na\nb\nc\n'


def test_coco_panoptic(tmp_path):
  """Segment 1 is (1, 0, 0) and segment 256 (0, 1, 0); 0 is void."""
  data = {
    'images': [{'id': 'i', 'file_name': 'a.jpg', 'height': 1, 'width': 3}],
    'categories': [
      {'id': 1, 'name': 'sky', 'color': [9, 8, 7]},
      {'id': 2, 'name': 'car', 'color': 'red'},
    ],
    'annotations': [
      {
        'image_id': 'i',
        'file_name': 'a.png',
        'segments_info': [{'id': 1, 'category_id': 1}, {'id': 256, 'category_id': 2}],
      }
    ],
  }
  file = tmp_path / 'panoptic.json'
  file.write_text(json.dumps(data))
  assert_says(message('coco', file, tmp_path / 'out'), 'no a.png', tmp_path / 'panoptic', 'add it')
  save(tmp_path / 'panoptic/a.png', [[[0, 1, 0], [0, 0, 0], [1, 0, 0]]])
  same(run('coco', file, tmp_path / 'out')['a'], [[0, V, 1]])
  assert (tmp_path / 'out/classes.txt').read_text() == 'car\nsky 9 8 7\n'
  save(tmp_path / 'panoptic/a.png', [[[0, 1, 0], [0, 0, 1], [1, 0, 0]]])
  assert_says(message('coco', file, tmp_path / 'new'), 'panoptic/a.png', '65536')


@pytest.mark.parametrize(
  'segmentation, parts',
  [
    ({'size': [3, 4], 'counts': [0, 4, 1, 4]}, ('add up to 9', '12')),
    ({'size': [3, 4], 'counts': '0410'}, ('add up to 9', '12')),
    ({'size': [4, 3], 'counts': [12]}, ('[4, 3]', '[3, 4]')),
    ({'size': [3, 4], 'counts': [20, -8]}, ('counts',)),
    ({'size': [3, 4], 'counts': 'o' * 100000}, ('cut off',)),
    ({'size': [3, 4], 'counts': '4\n4'}, ("'\\n'",)),
    ('text', ("'text'", 'polygons')),
    ([[0, 0, 1]], ('[0, 0, 1]', 'x, y, x, y')),
    ([[0, 0, 1, None, 2, 2]], ('None',)),
  ],
)
def test_malformed_coco_regions_are_named(tmp_path, segmentation, parts):
  pytest.importorskip('pycocotools')
  file = write_coco(
    tmp_path / 'annotations.json',
    [('a', segmentation)],
    images=[('bad.png', 3, 4), ('good.png', 3, 4)],
  )
  text = message('coco', file, tmp_path / 'out', background='ground')
  assert_says(text, '1 of 2 images', "image 'bad.png'", *parts)
  same(read_masks(tmp_path / 'out')['good'], np.zeros((3, 4)))


def test_coco_annotations_without_a_region(tmp_path, capsys):
  """A box is void below regions; a polygon of two points is a line, void above them."""
  pytest.importorskip('pycocotools')
  file = write_coco(
    tmp_path / 'annotations.json',
    [
      ('a', [[0, 0, 10, 0, 10, 1, 0, 1]]),
      ('a', [], {'bbox': [0, 0, 2, 3]}),
      ('b', [[19, 19, 19, 19]]),
    ],
    images=[('a.jpg', 20, 20)],
  )
  mask = run('coco', file, tmp_path / 'out', background='ground')['a']
  expected = np.zeros((20, 20), int)
  expected[:3, :2], expected[0, :10] = V, 1
  same(mask[:15], expected[:15])
  assert mask[19, 15] == mask[15, 19] == V and mask[15, 15] == 0
  assert_says(
    capsys.readouterr().out,
    '1 annotation with a box only',
    '1 polygon of fewer than three points',
  )


@pytest.mark.parametrize(
  'segmentation, fields',
  [
    ([], {}),
    ([], {'bbox': []}),
    ([], {'bbox': [0, 0, 0, 3]}),
    (None, {}),
    ({'size': [3, 4], 'counts': [12]}, {}),
  ],
)
def test_objects_without_a_place_never_become_background(tmp_path, capsys, segmentation, fields):
  pytest.importorskip('pycocotools')
  annotations = [('a', [[0, 0, 1, 0, 1, 1, 0, 1]]), ('b', segmentation, fields)]
  file = write_coco(tmp_path / 'a.json', annotations)
  assert run('coco', file, tmp_path / 'ground', background='ground') == {}
  assert_says(
    capsys.readouterr().out,
    'have objects without a place and got no mask, because these would be background: x/a.',
    '1 annotation without polygon, mask or box',
  )
  same(run('coco', file, tmp_path / 'void')['x/a'][0], [0, V, V, V])


def test_thin_polygons_are_lines(tmp_path, capsys):
  """An outline without a pixel that is half inside is void, or a line of its class."""
  pytest.importorskip('pycocotools')
  thin = [[0, 1.5, 4, 1.5, 4, 1.6], [0, 0, 1, 0, 1, 1, 0, 1]]
  file = write_coco(tmp_path / 'a.json', [('a', thin)])
  same(run('coco', file, tmp_path / 'void', background='g')['x/a'][1], [V] * 4)
  assert_says(capsys.readouterr().out, '1 polygon thinner than a pixel', '--line-width=N')
  mask = run('coco', file, tmp_path / 'line', background='g', line_width=1)['x/a']
  same(mask, [[1, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]])
  thin = '<polygon label="road" points="0,1.5;4,1.5;4,1.6" z_order="0"></polygon>'
  mask = run('cvat', write_cvat(tmp_path / 'a.xml', thin), tmp_path / 'cvat', line_width=1)['x/a']
  same(mask[1][:4], [2] * 4)


def test_shapes_without_a_pixel_are_counted(tmp_path, capsys):
  write_labelme(tmp_path / 'a.json', square('a'), square('b', 50))
  mask = run('labelme', tmp_path / 'a.json', tmp_path / 'out', background='g')['a']
  same(mask[0], [1, 1, 0, 0, 0])
  assert_says(capsys.readouterr().out, '1 shapes have no pixel in their images', 'a.json')


def test_tags_of_classes(tmp_path, capsys):
  """A tag of a class is an object without a place, unless the image has a shape of the class."""
  pytest.importorskip('pycocotools')
  text = write_cvat(tmp_path / 'a.xml', ROAD + '<tag label="road"></tag>').read_text()
  image = text[text.index('<image') : text.index('</image>') + len('</image>')]
  others = [
    f'<image id="9" name="{name}" width="5" height="3"><tag label="{label}"></tag></image>'
    for name, label in (('b.jpg', 'road'), ('c.jpg', 'rainy'))
  ]
  (tmp_path / 'a.xml').write_text(text.replace(image, image + ''.join(others)))
  masks = run('cvat', tmp_path / 'a.xml', tmp_path / 'out', background='ground')
  assert list(masks) == ['c', 'x/a']
  assert_says(
    capsys.readouterr().out,
    'got no mask, because these would be background: b.',
    'annotations of whole images were left out: 2 tag',
    '1 images have no shape, so that their masks are background everywhere: c.',
  )


PIXEL = [[0, 0, 1, 0, 1, 1, 0, 1]]


def test_coco_annotations_that_belong_to_no_image(tmp_path):
  """An image with annotations is finished; one without may lack those that went astray."""
  pytest.importorskip('pycocotools')
  annotations = [('a', PIXEL), ('b', PIXEL, {'image_id': 99})]
  file = write_coco(tmp_path / 'one.json', annotations)
  text = message('coco', file, tmp_path / 'one', background='ground')
  assert_says(text, '1 annotations', 'image_id', '99')
  assert 'images could not be converted' not in text
  same(read_masks(tmp_path / 'one')['x/a'], [[1, 0, 0, 0], [0] * 4, [0] * 4])
  file = write_coco(tmp_path / 'two.json', annotations, images=[('a.jpg', 3, 4), ('b.jpg', 3, 4)])
  text = message('coco', file, tmp_path / 'two', background='ground')
  assert_says(text, '1 of 2 images', 'the others are finished', "'b.jpg'", 'no annotation', '99')
  assert list(read_masks(tmp_path / 'two')) == ['a']


@pytest.mark.parametrize('write', [str, float])
def test_coco_ids_in_text_and_digits(tmp_path, write):
  pytest.importorskip('pycocotools')
  ids = {'image_id': write(10), 'category_id': write(6)}
  file = write_coco(tmp_path / 'a.json', [('a', PIXEL, ids)], images=[('a.jpg', 1.0, '2')])
  same(run('coco', file, tmp_path / 'out', background='ground')['a'], [[2, 0]])


def test_coco_ids_that_are_ambiguous(tmp_path):
  file = write_coco(tmp_path / 'a.json', [('a', PIXEL)], images=[('a.jpg', 1, 2), ('b.jpg', 1, 2)])
  data = json.loads(file.read_text())
  data['images'][1]['id'] = '10'
  file.write_text(json.dumps(data))
  assert set(run('coco', file, tmp_path / 'exact', background='ground')) == {'a', 'b'}
  data['annotations'][0]['image_id'] = '010'
  file.write_text(json.dumps(data))
  assert_says(message('coco', file, tmp_path / 'out', background='ground'), '010', 'write all ids')
  assert not (tmp_path / 'out').exists()
  data['images'][1]['id'] = data['annotations'][0]['image_id'] = 10
  file.write_text(json.dumps(data))
  text = message('coco', file, tmp_path / 'out', background='ground')
  assert_says(text, '2 of 2 images', 'the same id 10')
  assert 'others are finished' not in text and not (tmp_path / 'out').exists()
  data['images'][1] = data['images'][0]  # a mere copy
  file.write_text(json.dumps(data))
  same(run('coco', file, tmp_path / 'copy', background='ground')['a'], [[1, 0]])


def test_coco_polygons_without_a_list_around_them_and_in_pairs(tmp_path):
  pytest.importorskip('pycocotools')
  flat, pairs = [0, 0, 1, 0, 1, 1, 0, 1], [[2, 0], [3, 0], [3, 1], [2, 1]]
  nested = [[[3, 0], [4, 0], [4, 1], [3, 1]]]
  file = write_coco(tmp_path / 'a.json', [('a', flat), ('b', pairs), ('c', nested)])
  same(run('coco', file, tmp_path / 'out')['x/a'][0], [0, V, 1, 2])


def test_shapes_that_lie_elsewhere(tmp_path):
  pytest.importorskip('pycocotools')
  file = write_coco(tmp_path / 'a.json', [('a', [[50, 50, 60, 50, 60, 60, 50, 60]])])
  text = message('coco', file, tmp_path / 'out', background='ground')
  assert_says(text, '1 of 1', 'none of its 1 shapes lies in its 4 x 3 pixels')
  file = write_coco(tmp_path / 'b.json', [('a', [[0.25, 0.5, 0.75, 0.5, 0.75, 1]])])
  text = message('coco', file, tmp_path / 'out', background='ground')
  assert_says(text, 'between 0 and 1', 'expected pixels')
  assert not read_masks(tmp_path / 'out')


@pytest.mark.parametrize(
  'content, parts',
  [
    ('[]', ("'images'",)),
    ('{"images": [], "annotations": {}, "categories": []}', ("'annotations'",)),
    ('{"images": [{"id": [1]}], "annotations": [], "categories": []}', ('id = [1]',)),
    ('{"images": [], "annotations": [], "categories": []}', ('has no image',)),
  ],
)
def test_files_that_are_not_coco(tmp_path, content, parts):
  (tmp_path / 'a.json').write_text(content)
  assert_says(message('coco', tmp_path, tmp_path / 'out'), tmp_path, *parts)
  assert not (tmp_path / 'out').exists()


def test_several_files_to_choose_from(tmp_path):
  write_coco(tmp_path / 'in/a.json', [])
  write_coco(tmp_path / 'in/b.json', [])
  assert_says(message('coco', tmp_path / 'in', tmp_path / 'out'), '2 files', 'a.json', '--input')


def test_pycocotools_is_asked_for_by_its_command(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'pycocotools', None)
  coco = write_coco(tmp_path / 'a.json', [('a', [[0, 0, 4, 0, 4, 1, 0, 1]])])
  assert_says(message('coco', coco, tmp_path / 'out'), "pip install 'classmix_jax[labels]'")
  cvat = write_cvat(tmp_path / 'a.xml', '<box label="a"/>')
  assert_says(message('cvat', cvat, tmp_path / 'out'), "pip install 'classmix_jax[labels]'")


# --------------------------------------------------------------------------- cvat

LABELS = """
  <label><name>car</name><color>#ff6037</color><type>any</type></label>
  <label><name>road</name><color>#804080</color></label>
  <label><name>path</name><color>#000001</color><type>polyline</type></label>"""


def write_cvat(path, shapes, name='x/a.jpg', before=''):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(f'''<?xml version="1.0" encoding="utf-8"?>{before}
    <annotations><version>1.1</version><meta><task><labels>{LABELS}</labels></task></meta>
    <image id="0" name="{name}" width="5" height="3">{shapes}</image></annotations>''')
  return path


NAMES = 'car 255 96 55\npath 0 0 1\nroad 128 64 128\n'
ROAD = '<mask label="road" rle="0,9" left="1" top="0" width="3" height="3" z_order="0"></mask>'
DOOR = '<mask label="car" rle="1, 1, 1, 1" left="2" top="1" width="2" height="2" z_order="{}"/>'


@pytest.mark.parametrize(
  'shapes, middle',
  [
    (ROAD + DOOR.format(0), [V, 2, 2, 0, V]),  # the file's order: the car is on top
    (DOOR.format(0) + ROAD, [V, 2, 2, 2, V]),
    (DOOR.format(1) + ROAD, [V, 2, 2, 0, V]),  # z_order goes before
    (ROAD + DOOR.format(-1), [V, 2, 2, 2, V]),
  ],
)
def test_cvat_by_z_order_then_in_the_order_of_the_file(tmp_path, shapes, middle):
  file = write_cvat(tmp_path / 'annotations.xml', shapes)
  mask = run('cvat', file, tmp_path / 'out')['x/a']
  same(mask[:2], [[V, 2, 2, 2, V], middle])
  assert (tmp_path / 'out/classes.txt').read_text() == NAMES
  (tmp_path / 'names.txt').write_text('road\ncar 1 2 3\npath\n')  # its colours go before
  run('cvat', file, tmp_path / 'named', classes=str(tmp_path / 'names.txt'))
  assert (tmp_path / 'named/classes.txt').read_text() == 'road 128 64 128\ncar 1 2 3\npath 0 0 1\n'


def test_cvat_polygons_boxes_and_ellipses(tmp_path, capsys):
  pytest.importorskip('pycocotools')
  write_cvat(
    tmp_path / 'in/annotations.xml',
    """
      <polygon label="road" points="0.0,0.0;5.0,0.0;5.0,2.0;0.0,2.0"><attribute name="n">1
      </attribute></polygon><box label="car" xtl="1" ytl="1" xbr="4" ybr="2" rotation="90"/>
      <polyline label="path" points="0,2;1,2"/><tag label="car"/>""",
  )
  same(
    run('cvat', tmp_path / 'in', tmp_path / 'out', line_width=1)['x/a'],
    [[2, 2, 0, 2, 2], [2, 2, 0, 2, 2], [1, 1, 0, V, V]],
  )  # 3 x 1 turned about (2.5, 1.5)
  assert_says(capsys.readouterr().out, '1 tag')
  file = write_cvat(
    tmp_path / 'b.xml', '<ellipse label="car" cx="2.5" cy="1.5" rx="1.6" ry="1.2"/>'
  )
  mask = run('cvat', file, tmp_path / 'b')['x/a']
  same(mask[1], [V, 0, 0, 0, V])
  assert mask[0, 2] == mask[2, 2] == 0 and (mask[:, [0, 4]] == V).all()


@pytest.mark.parametrize(
  'shape, parts',
  [
    ('<mask label="car" rle="1,2" left="0" top="0" width="2" height="2"/>', ('2 x 2', '3 pixels')),
    ('<mask label="car" rle="4" left="4" top="0" width="2" height="2"/>', ('(4, 0)', '5 x 3')),
    ('<mask label="car" rle="a" left="0" top="0" width="2" height="2"/>', ("'a'", 'integers')),
    ('<mask label="car" rle="4" left="0" top="0" width="2"/>', ("height=''",)),
    ('<mask label="car" rle="4" left="0" top="0" width="2" height="2" z_order="x"/>', ('z_order',)),
    ('<blob label="car"/>', ('<blob>', 'polygon')),
  ],
)
def test_malformed_cvat_shapes_are_named(tmp_path, shape, parts):
  file = write_cvat(tmp_path / 'annotations.xml', shape)
  assert_says(message('cvat', file, tmp_path / 'out'), "image 'x/a.jpg'", *parts)


def test_malformed_cvat_coordinates_are_named(tmp_path):
  pytest.importorskip('pycocotools')
  for shape, part in [
    ('<polygon label="car" points="0,0;1,1;x,2"/>', "'x'"),
    ('<polygon label="car" points="0,0;1,1;2"/>', "'x,y;x,y;...'"),
    ('<box label="car" xtl="1" ytl="inf" xbr="4" ybr="2"/>', 'inf'),
    ('<box label="car" xtl="1" ytl="1" xbr="4"/>', 'None'),
  ]:
    file = write_cvat(tmp_path / 'annotations.xml', shape)
    assert_says(message('cvat', file, tmp_path / 'out'), "image 'x/a.jpg'", part)


@pytest.mark.parametrize(
  'before',
  [
    '<!DOCTYPE a [<!ENTITY b "boom"><!ENTITY c "&b;&b;&b;">]>',
    '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
    '<!DOCTYPE annotations SYSTEM "http://127.0.0.1/a.dtd">',
  ],
)
def test_hostile_xml_is_refused(tmp_path, before):
  file = write_cvat(tmp_path / 'annotations.xml', ROAD, before=before)
  assert_says(message('cvat', file, tmp_path / 'out'), file, 'DOCTYPE', 'refused')
  assert not (tmp_path / 'out').exists()


def test_xml_of_other_kinds(tmp_path):
  (tmp_path / 'a.xml').write_text('<annotations><track id="0"/></annotations>')
  assert_says(message('cvat', tmp_path, tmp_path / 'out'), 'no <image>', 'CVAT for images 1.1')
  (tmp_path / 'a.xml').write_text('<annotations>')
  assert_says(message('cvat', tmp_path, tmp_path / 'out'), 'a.xml is not XML', 'line 1')


# ------------------------------------------------------------------------- colours

RED, BLUE, BLACK = (200, 0, 0), (0, 0, 200), (0, 0, 0)


def test_colors_in_the_order_of_the_table(tmp_path):
  save(tmp_path / 'in/city/a.png', [[RED, BLUE, BLACK]])
  (tmp_path / 'in/classes.txt').write_text('# mine\nsky 0 0 200\ncar 200 0 0\nvoid 0 0 0\n')
  same(run('colors', tmp_path / 'in', tmp_path / 'out')['city/a'], [[1, 0, V]])
  assert (tmp_path / 'out/classes.txt').read_text() == 'sky 0 0 200\ncar 200 0 0\n'


def test_colors_of_a_cvat_export(tmp_path):
  """CVAT's background is unannotated; palettes are looked up."""
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in/labelmap.txt').write_text(
    '# label:color_rgb:parts:actions\nbackground:0,0,0::\ncar:200,0,0::\nsky:0,0,200::\n'
  )
  mask = Image.fromarray(np.array([[7, 0, 3]], np.uint8))
  mask.putpalette([*BLACK, 1, 1, 1, 2, 2, 2, *RED, 4, 4, 4, 5, 5, 5, 6, 6, 6, *BLUE])
  (tmp_path / 'in/SegmentationClass').mkdir()
  mask.save(tmp_path / 'in/SegmentationClass/a.png')
  save(tmp_path / 'in/JPEGImages/a.png', np.full((1, 3, 3), 99))
  same(run('colors', tmp_path / 'in', tmp_path / 'void')['a'], [[1, V, 0]])
  same(run('colors', tmp_path / 'in', tmp_path / 'rest', background='rest')['a'], [[2, 0, 1]])
  assert (tmp_path / 'rest/classes.txt').read_text() == 'rest\ncar 200 0 0\nsky 0 0 200\n'


def test_colors_of_voc(tmp_path):
  save(tmp_path / 'in/a.png', [[(0, 0, 0), (64, 0, 0), (224, 224, 192), (0, 64, 128)]])
  same(run('colors', tmp_path / 'in', tmp_path / 'out', classes='voc')['a'], [[0, 8, V, 20]])
  names, colors = read_classes(tmp_path / 'out/classes.txt')
  assert len(names) == 21 and names[8] == 'cat' and colors[20] == (0, 64, 128)


def test_unknown_colors_name_file_color_and_pixel(tmp_path):
  save(tmp_path / 'in/a.png', [[RED, RED], [BLUE, (1, 2, 3)]])
  save(tmp_path / 'in/b.png', [[RED, BLUE]])
  (tmp_path / 'in/classes.txt').write_text('sky 0 0 200\ncar 200 0 0\n')
  assert_says(
    message('colors', tmp_path / 'in', tmp_path / 'out'),
    '1 of 2',
    tmp_path / 'in/a.png',
    'colour 1 2 3 in 1 pixels',
    'row 1, column 1',
    '200 0 0 (car)',
    'void R G B',
  )
  same(read_masks(tmp_path / 'out')['b'], [[1, 0]])


def test_colors_that_cannot_be_right(tmp_path):
  Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / 'a.jpg')
  assert_says(message('colors', tmp_path, tmp_path.parent / 'out'), 'labelmap.txt', '--classes')
  (tmp_path / 'classes.txt').write_text('sky 0 0 0\ncar\n')
  assert_says(message('colors', tmp_path, tmp_path.parent / 'out'), "none for 'car'")
  (tmp_path / 'classes.txt').write_text('sky 0 0 0\ncar 1 1 1\n')
  assert_says(message('colors', tmp_path, tmp_path.parent / 'out'), 'a.jpg', 'JPEG', 'PNG')
  assert_says(message('colors', tmp_path, tmp_path), 'among the masks', 'choose another')


@pytest.mark.parametrize(
  'text, parts',
  [
    ('a 1 2 300\n', ('line 1', '0 to 255')),
    ('a\nb\na\n', ("line 3 repeats 'a'",)),
    ('a:1,1,1::\nb:1,1,1::\n', ('line 2', 'colours must differ')),
  ],
)
def test_malformed_tables(tmp_path, text, parts):
  (tmp_path / 'table.txt').write_text(text)
  with pytest.raises(UserError) as caught:
    class_table.read_class_table(str(tmp_path / 'table.txt'))
  assert_says(str(caught.value), 'table.txt', *parts)


# ------------------------------------------------------------------------ file names


@pytest.mark.parametrize(
  'name',
  [
    '../../x.png',
    '/etc/x.png',
    'a/../../x.png',
    '..\\x.png',
    'C:\\x.png',
    'C:x.png',
    '\\\\host\\x.png',
    '',
    '.',
    '..',
    'a/..',
    'a\0.png',
    'a\nb.png',
    '\ud800.png',
    None,
    7,
  ],
)
def test_names_never_leave_the_directory(name):
  with pytest.raises(UserError, match='; expected '):
    parse_image_name(name)


@pytest.mark.parametrize(
  'name, expected',
  [
    ('a.jpg', 'a'),
    ('a/b.c.JPEG', 'a/b.c'),
    ('a\\b.png', 'a/b'),
    ('./a.tif', 'a'),
    ('frame.007', 'frame.007'),
    ('e\u0301.png', '\u00e9'),
    ('..a.png', '..a'),
  ],
)
def test_names_of_images(name, expected):
  assert parse_image_name(name) == expected


def test_hostile_names_are_refused_and_the_others_converted(tmp_path):
  names = ['../../x.png', str(tmp_path / 'y.png'), 'good.png']
  file = write_coco(tmp_path / 'in/a.json', [], images=[(name, 3, 4) for name in names])
  text = message('coco', file, tmp_path / 'deep/out', background='ground')
  assert_says(text, '2 of 3', '../../x.png', 'y.png', 'refused')
  files = [path for path in tmp_path.rglob('*') if path.is_file()]
  written = {path.relative_to(tmp_path).as_posix() for path in files}
  assert written == {'in/a.json', 'deep/out/classes.txt', 'deep/out/masks.sha256'} | {
    'deep/out/masks/good.png'
  }
  file = write_cvat(tmp_path / 'in/a.xml', ROAD, name='../../x.png')
  assert_says(message('cvat', file, tmp_path / 'deep/out'), '1 of 1', 'refused')


def test_names_and_sizes_of_the_images(tmp_path):
  """Absolute paths of another machine, and records without a size."""
  pytest.importorskip('pycocotools')
  names = ['C:\\\\data\\\\a.png', '../../media/upload/b.png', 'lost.png']
  file = write_coco(tmp_path / 'a.json', [('a', PIXEL)], images=[(n, None, None) for n in names])
  save(tmp_path / 'images/city/a.png', np.zeros((2, 3, 3)))
  save(tmp_path / 'images/b.png', np.zeros((1, 2, 3)))
  assert_says(message('coco', file, tmp_path / 'no', background='g'), '3 of 3', 'Or set --images')
  text = message('coco', file, tmp_path / 'out', background='g', images=tmp_path / 'images')
  assert_says(text, '1 of 3', 'no image lost.png', 'set --images')
  masks = read_masks(tmp_path / 'out')
  same(masks['city/a'], [[1, 0, 0], [0, 0, 0]])
  same(masks['b'], [[0, 0]])
  file = write_cvat(tmp_path / 'a.xml', ROAD, name='/home/x/a.png')
  text = message('cvat', file, tmp_path / 'c', images=tmp_path / 'images')
  assert_says(text, 'the size is 5 x 3', 'city/a.png is 3 x 2', 'correct the size')
  save(tmp_path / 'images/city/a.png', np.zeros((3, 5, 3)))
  assert list(run('cvat', file, tmp_path / 'c', images=tmp_path / 'images')) == ['city/a']


def test_names_in_urls_and_names_without_an_image(tmp_path, capsys):
  pytest.importorskip('pycocotools')
  names = ['https://host/x/my%20road.jpg?size=1', 'lost.png', 'images\\1\\0a1b2c3d-b.jpg']
  file = write_coco(tmp_path / 'a.json', [('a', PIXEL)], images=[(n, 2, 3) for n in names])
  assert_says(message('coco', file, tmp_path / 'no', background='g'), 'is a URL: set --images')
  save(tmp_path / 'images/my road.png', np.zeros((2, 3, 3)))
  save(tmp_path / 'images/b.png', np.zeros((2, 3, 3)))
  masks = run('coco', file, tmp_path / 'out', background='g', images=tmp_path / 'images')
  assert list(masks) == ['b', 'lost', 'my road']
  assert_says(capsys.readouterr().out, 'images has no image for 1 of 3 names: lost.')


def test_two_images_of_one_name(tmp_path):
  file = write_coco(tmp_path / 'a.json', [], images=[('a.png', 3, 4), ('a.jpg', 3, 4)])
  text = message('coco', file, tmp_path / 'out', background='ground')
  assert_says(text, "image 'a.jpg'", "the name 'a'", "image 'a.png'", 'Rename')
  assert list(read_masks(tmp_path / 'out')) == ['a']


# --------------------------------------------------------------------------- output


@pytest.fixture
def source(tmp_path):
  """Two images of classes b and a; class b is white."""
  for name in '12':
    write_labelme(tmp_path / f'in/{name}.json', square('b'), square('a', 3))
  (tmp_path / 'white.txt').write_text('b 255 255 255\na\n')
  return tmp_path / 'in'


def test_masks_are_palette_images_of_eight_bits(source, tmp_path):
  run('labelme', source, tmp_path / 'out')
  with Image.open(tmp_path / 'out/masks/1.png') as image:
    assert image.mode == 'P'
    palette = image.getpalette('RGB')
  assert (tmp_path / 'out/masks/1.png').read_bytes()[24] == 8  # bit depth in the IHDR
  assert palette[:6] == [0, 0, 0, 128, 0, 0] and palette[3 * V :] == [255] * 3
  run('labelme', source, tmp_path / 'white', classes=str(tmp_path / 'white.txt'))
  with Image.open(tmp_path / 'white/masks/1.png') as image:
    palette = image.getpalette('RGB')
  assert palette[:6] == [255, 255, 255, 0, 0, 0] and palette[3 * V :] == [254] * 3


def test_the_file_of_classes_fixes_the_ids(source, tmp_path):
  masks = run('labelme', source, tmp_path / 'out', classes=str(tmp_path / 'white.txt'))
  same(masks['1'][:3], [[0, 0, V, 1, 1]] * 2 + [[V] * 5])
  assert (tmp_path / 'out/classes.txt').read_text() == 'b 255 255 255\na\n'
  ground = run(
    'labelme', source, tmp_path / 'ground', classes=str(tmp_path / 'white.txt'), background='a'
  )
  assert (ground['1'][3] == 1).all()  # it keeps the place that the file gives it
  (tmp_path / 'few.txt').write_text('b\nc\n')
  assert_says(
    message('labelme', source, tmp_path / 'few', classes=str(tmp_path / 'few.txt')),
    '2 of 2',
    "'a'",
    '--classes',
    'add a line',
  )


def test_void_is_no_class(tmp_path):
  write_labelme(
    tmp_path / 'in/1.json',
    square('b', 0, 0, 4, 3),
    square('a', 3),
    square('Void'),
    square('__ignore__', 4, 3),
  )
  mask = run('labelme', tmp_path / 'in', tmp_path / 'out', background='b')['1']
  same(mask, [[V, V, 0, 1, 1]] * 2 + [[0] * 5, [0, 0, 0, 0, V]])
  assert (tmp_path / 'out/classes.txt').read_text() == 'b\na\n'
  assert_says(
    message('labelme', tmp_path / 'in', tmp_path / 'new', background='void'), 'void', 'not a class'
  )


def test_edited_masks_are_kept(source, tmp_path, capsys):
  output = tmp_path / 'out'
  first = run('labelme', source, output)
  corrected = np.full((4, 5), 1, np.uint8)
  save(output / 'masks/1.png', corrected)
  (output / 'masks/2.png').unlink()
  capsys.readouterr()
  second = run('labelme', source, output)
  same(second['1'], corrected)
  same(second['2'], first['2'])
  assert_says(
    capsys.readouterr().out,
    '1 mask written',
    '1 mask existed and was kept, although the annotations differ: 1.',
    '--overwrite',
  )
  same(run('labelme', source, output, overwrite=True)['1'], first['1'])
  assert_says(
    message('labelme', source, output, background='ground'),
    output / 'classes.txt',
    'other classes (a, b)',
    '(ground, a, b)',
    '--classes',
    '--overwrite',
  )
  save(output / 'masks/old.png', corrected)
  capsys.readouterr()
  run('labelme', source, output, overwrite=True)
  assert_says(capsys.readouterr().out, 'has 1 more', 'masks/old.png')


def test_masks_of_changed_annotations_are_painted_again(source, tmp_path, capsys):
  output = tmp_path / 'out'
  run('labelme', source, output)
  record = (output / 'masks.sha256').read_text()
  digest = hashlib.sha256((output / 'masks/1.png').read_bytes()).hexdigest()
  assert record.splitlines()[0] == f'{digest}  masks/1.png'
  capsys.readouterr()
  run('labelme', source, output)
  assert_says(capsys.readouterr().out, '0 masks written', '2 masks existed and are up to date')
  assert (output / 'masks.sha256').read_text() == record
  write_labelme(source / '1.json', square('a'), square('b', 3))
  masks = run('labelme', source, output)
  same(masks['1'][0], [0, 0, V, 1, 1])
  same(masks['2'][0], [1, 1, V, 0, 0])
  assert_says(capsys.readouterr().out, '1 mask was painted again', 'the options changed: 1.')
  write_labelme(source / '2.json', square('b'), square('a', 3), ('a', 'line', [[0, 3], [4, 3]]))
  capsys.readouterr()
  same(run('labelme', source, output, line_width=1)['2'][3], [0] * 5)
  assert_says(capsys.readouterr().out, '1 mask was painted again', '1 mask existed')


def test_masks_of_images_that_get_none_now(source, tmp_path, capsys):
  """Outdated masks are an error; those of another hand are kept with a note."""
  output = tmp_path / 'out'
  run('labelme', source, output)
  write_labelme(source / '2.json')
  text = message('labelme', source, output)
  assert_says(text, '1 mask is outdated: its image gets none now', 'masks/2.png', 'remove what is')
  (source / '2.json').write_text('{')
  assert_says(message('labelme', source, output), 'not JSON', '1 mask is outdated', 'masks/2.png')
  assert set(read_masks(output)) == {'1', '2'}
  write_labelme(source / '2.json')
  save(output / 'masks/2.png', np.zeros((4, 5)))
  capsys.readouterr()
  run('labelme', source, output)
  assert_says(capsys.readouterr().out, '1 mask was kept', 'no region there: 2.')


def test_images_that_failed_are_named_if_their_classes_are_missing(source, tmp_path):
  write_labelme(source / '3.json', square('c'))
  run('labelme', source, tmp_path / 'out')
  (source / '3.json').write_text('{')
  text = message('labelme', source, tmp_path / 'out')
  assert_says(text, 'has other classes (a, b, c)', '1 of 3 images', '3.json: it is not JSON')


def test_classes_of_other_masks_are_not_replaced(source, tmp_path):
  """Ids of masks that the export does not have would get other names."""
  output = tmp_path / 'out'
  run('labelme', source, output)
  (source / '1.json').rename(tmp_path / '1.json')
  write_labelme(source / '2.json', square('b'), square('c', 3))
  text = message('labelme', source, output, overwrite=True)
  assert_says(text, 'has other classes (a, b)', 'remove its 1 other masks', 'masks/1.png')
  assert (output / 'classes.txt').read_text() == 'a\nb\n'
  (output / 'masks/1.png').unlink()
  same(run('labelme', source, output, overwrite=True)['2'][0], [0, 0, V, 1, 1])


def test_incomplete_files_of_a_killed_conversion_are_removed(source, tmp_path):
  output = tmp_path / 'out'
  run('labelme', source, output)
  leftover = output / 'masks/.1.png.123.tmp'
  leftover.write_bytes(b'PNG')
  run('labelme', source, output)
  assert not leftover.exists() and set(read_masks(output)) == {'1', '2'}


def test_a_killed_conversion_resumes(source, tmp_path, capsys):
  """Masks without a complete record are up to date if they have the right pixels."""
  output = tmp_path / 'out'
  run('labelme', source, output)
  (output / 'masks/2.png').unlink()
  (output / 'masks.sha256').write_text((output / 'masks.sha256').read_text()[:30])
  capsys.readouterr()
  run('labelme', source, output)
  assert_says(capsys.readouterr().out, '1 mask written', '1 mask existed and is up to date')
  write_labelme(source / '1.json', square('a'), square('b', 3))  # recorded again, so not edited
  same(run('labelme', source, output)['1'][0], [0, 0, V, 1, 1])


def test_all_bad_files_are_counted_and_ten_listed(source, tmp_path):
  for index in range(12):
    (source / f'bad{index:02}.json').write_text('')
  text = message('labelme', source, tmp_path / 'out')
  assert_says(text, '12 of 14 images', 'bad00.json', 'bad09.json', 'and 2 more')
  assert 'bad10.json' not in text
  assert sorted(read_masks(tmp_path / 'out')) == ['1', '2']
  assert not list((tmp_path / 'out').rglob('*.tmp'))


def test_table_of_classes(source, tmp_path, capsys):
  write_labelme(source / '3.json', square('b', 0, 0, 4, 3))
  run('labelme', source, tmp_path / 'out')
  assert capsys.readouterr().out.splitlines()[4:8] == [  # of 3 x 20 pixels
    'id  class  images   pixels',
    ' 0  a           2   13.33 %',  # 2 x 4
    ' 1  b           3   46.67 %',  # 2 x 4 + 20
    '    void        2   40.00 %',
  ]  # 2 x 12


def test_class_table_that_is_not_text(tmp_path):
  (tmp_path / 'x.txt').write_bytes(b'\xff')
  assert_fails(lambda: class_table.read_class_table(str(tmp_path / 'x.txt')), 'x.txt', 'UTF-8')


def test_coco_ids_that_are_not_integers():
  assert_fails(
    lambda: coco_records.get_id({'id': 1.5}, 'id'), "{'id': 1.5} has id = 1.5", 'an integer'
  )


def test_coco_category_that_the_file_lacks():
  assert_fails(
    lambda: coco_records.get_category_name({'id': 3, 'category_id': 9}, {1: 'car'}),
    'annotation 3 has the category_id 9',
    "not in 'categories'",
  )


def test_coco_panoptic_image_of_another_size(tmp_path):
  save(tmp_path / 'a.png', np.zeros((2, 3, 3)))
  annotation = {'file_name': 'a.png', 'segments_info': []}
  assert_fails(
    lambda: coco_panoptic.read_segments(tmp_path / 'x.json', annotation, {}, (5, 6)),
    'a.png is (3, 2); expected (6, 5)',
  )


def test_labelme_mask_in_colours():
  file = io.BytesIO()
  Image.new('RGB', (2, 2)).save(file, 'PNG')
  shape = {'mask': base64.b64encode(file.getvalue()).decode()}
  stencil = labelme.build_stencil(((0, 0), (1, 1)), shape)
  assert_fails(lambda: stencil.paint(Image.new('L', (4, 4)), 1), 'a colour image', 'grey')


def test_unreadable_annotation_files(tmp_path):
  assert_fails(lambda: parsing.read_json_file(tmp_path / 'no.json'), 'cannot be read (No such file')
  assert_fails(lambda: cvat.parse_xml(tmp_path / 'no.xml'), 'no.xml cannot be read', '--input')


def test_outputs_that_cannot_be_written(tmp_path, monkeypatch):
  deny_writing(monkeypatch)
  assert_fails(
    lambda: class_file.write_class_file(tmp_path / 'new/classes.txt', 'ab', [None] * 2, False),
    'new/classes.txt cannot be written (Permission denied)',
    '--output',
  )
  assert_fails(
    lambda: mask_files.write_mask(b'', tmp_path / 'new/a.png'),
    'new/a.png cannot be written (Permission denied)',
    '--output',
  )
