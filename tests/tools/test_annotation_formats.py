"""Exports of Label Studio, Supervisely, VIA and X-AnyLabeling: masks worked out by hand."""

import base64
import csv
import io
import json
import zlib

import numpy as np
from PIL import Image
import pytest
from test_annotations import V, message, read_masks, run, same, write_labelme
from toy import assert_fails, assert_says, save

from classmix_jax.tools.annotations import CONVERTERS, label_studio_rle
from classmix_jax.tools.annotations.detect import detect_kind, read_sample


def write_json(path, content):
  path.parent.mkdir(parents=True, exist_ok=True)
  path.write_text(json.dumps(content))
  return path


# -------------------------------------------------------------------- label studio


def encode_rle(alpha):
  """Run lengths as Label Studio's editor writes them: `[H, W]` uint8 alpha as white RGBA."""
  values = np.stack([np.full_like(alpha, 255)] * 3 + [alpha], -1).ravel()
  values[np.repeat(alpha.ravel() == 0, 4)] = 0
  widths = (3, 4, 8, 16)
  bits = [f'{len(values):032b}', f'{7:05b}', *(f'{width - 1:04b}' for width in widths)]
  place = 0
  while place < len(values):
    same_values = int(np.argmin(np.append(values[place:] == values[place], False)))
    length = same_values if same_values > 1 else min(2, len(values) - place)
    choice = next(i for i, width in enumerate(widths) if length <= 1 << width)
    bits += [f'{same_values > 1:b}', f'{choice:02b}', f'{length - 1:0{widths[choice]}b}']
    bits += [f'{value:08b}' for value in values[place : place + (1 if same_values > 1 else length)]]
    place += length
  stream = ''.join(bits)
  stream += '0' * (-len(stream) % 8)
  return [int(stream[i : i + 8], 2) for i in range(0, len(stream), 8)]


def ls_result(kind, value, labels=(), height=10, width=20, **fields):
  """A result of the export JSON; `kind` as 'polygonlabels'."""
  return {
    'original_width': width,
    'original_height': height,
    'image_rotation': 0,
    'value': {**value, **({kind: list(labels)} if labels else {})},
    'id': fields.pop('id', f'{kind}{value}'),
    'from_name': 'label',
    'to_name': 'image',
    'type': kind,
    'origin': 'manual',
    **fields,
  }


def ls_task(number, image, *annotations, **fields):
  """A task of the export JSON; an annotation is a list of results, or an object."""
  return {
    'id': number,
    'annotations': [
      {
        'id': 10 * number + index,
        'completed_by': 1,
        'result': annotation,
        'was_cancelled': False,
        'ground_truth': False,
        'created_at': f'2024-01-0{index + 1}T08:00:00.000000Z',
        'updated_at': f'2024-01-0{index + 1}T09:00:00.000000Z',
        'lead_time': 3.5,
      }
      if isinstance(annotation, list)
      else annotation
      for index, annotation in enumerate(annotations)
    ],
    'drafts': [],
    'predictions': [{'id': 5, 'result': [ls_result('rectanglelabels', FULL, ['wrong'])]}],
    'data': {'image': image},
    **fields,
  }


FULL = {'x': 0, 'y': 0, 'width': 100, 'height': 100, 'rotation': 0}
LEFT = {'points': [[0, 0], [50, 0], [50, 100], [0, 100]], 'closed': True}


def test_label_studio_shapes_in_percent(tmp_path, capsys):
  """Of 10 x 20 pixels: a polygon, a rectangle over it, one turned about its corner, an ellipse."""
  pytest.importorskip('pycocotools')
  results = [
    ls_result('polygonlabels', LEFT, ['wall']),
    ls_result(
      'rectanglelabels', {'x': 25, 'y': 0, 'width': 10, 'height': 40, 'rotation': 0}, ['door']
    ),
    ls_result(
      'rectanglelabels', {'x': 100, 'y': 60, 'width': 20, 'height': 20, 'rotation': 90}, ['door']
    ),
    ls_result(
      'ellipselabels',
      {'x': 75, 'y': 20, 'radiusX': 5, 'radiusY': 10, 'rotation': 0},
      ['window'],
    ),
    {'from_id': 'a', 'to_id': 'b', 'type': 'relation', 'direction': 'right'},
    {'value': {'choices': ['day']}, 'type': 'choices', 'to_name': 'image', 'from_name': 'time'},
  ]
  file = write_json(
    tmp_path / 'project.json', [ls_task(1, '/data/upload/1/0a1b2c3d-street.jpg', results)]
  )
  masks = run('label_studio', file, tmp_path / 'out', background='ground')
  assert (tmp_path / 'out/classes.txt').read_text() == 'ground\ndoor\nwall\nwindow\n'
  expected = np.zeros((10, 20), int)
  expected[:, :10] = 2
  expected[:4, 5:7] = 1
  expected[6:10, 18:20] = 1  # 4 x 2 pixels turned clockwise about (20, 6)
  expected[1:3, 14:16] = 3
  same(masks['street'], expected)


def test_label_studio_brushes(tmp_path):
  alpha = np.zeros((10, 20), np.uint8)
  alpha[2:5, 3:9], alpha[5, 3], alpha[5, 4], alpha[9, 19] = 255, 127, 128, 255
  np.testing.assert_array_equal(label_studio_rle.decode_brush(encode_rle(alpha), (10, 20)), alpha)
  noise = np.random.default_rng(0).integers(0, 256, (10, 20), np.uint8)
  np.testing.assert_array_equal(label_studio_rle.decode_brush(encode_rle(noise), (10, 20)), noise)
  brush = ls_result('brushlabels', {'format': 'rle', 'rle': encode_rle(alpha)}, ['crack'])
  stencil = io.BytesIO()
  Image.fromarray(np.dstack([alpha * 0] * 3 + [np.roll(alpha, 9, 1)])).save(stencil, 'PNG')
  text = f'data:image/png;base64,{base64.b64encode(stencil.getvalue()).decode()}'
  bitmask = ls_result('bitmasklabels', {'imageDataURL': text}, ['stain'])
  file = write_json(tmp_path / 'a.json', [ls_task(1, 's3://bucket/b/a.png', [brush, bitmask])])
  expected = np.where(alpha >= 128, 1, 0)
  expected[np.roll(alpha, 9, 1) >= 128] = 2
  same(run('label_studio', file, tmp_path / 'out', background='ground')['a'], expected)


def test_label_studio_known_bytes():
  """A pixel of one run of the values 255, written bit by bit."""
  #       4 values            8 bits  widths 1, 1, 1, 1     run, width 0
  bits = f'{4:032b}' + '00111' + '0001' * 4 + '1' + '00' + '11' + '11111111'
  data = [int(bits[i : i + 8].ljust(8, '0'), 2) for i in range(0, len(bits), 8)]
  same(label_studio_rle.decode_brush(data, (1, 1)), [[255]])
  assert_fails(lambda: label_studio_rle.decode_brush(data, (1, 2)), '4 values', '2 x 1 pixels')
  assert_fails(lambda: label_studio_rle.decode_brush(data[:-1], (1, 1)), 'cut off')
  assert_fails(lambda: label_studio_rle.decode_brush([300], (1, 1)), 'no list of bytes')


def test_label_studio_annotations_of_a_task(tmp_path, capsys):
  pytest.importorskip('pycocotools')
  left, full = ls_result('polygonlabels', LEFT, ['a']), ls_result('rectanglelabels', FULL, ['b'])
  truth = {'result': [left], 'ground_truth': True, 'updated_at': '2020'}
  cancelled = {'result': [full], 'was_cancelled': True, 'updated_at': '2030'}
  file = write_json(
    tmp_path / 'a.json',
    [
      ls_task(1, 'http://host/x/latest%20one.jpg?token=1', [left], [full]),
      ls_task(2, '/data/local-files/?d=x/truth.jpg', truth, [full]),
      ls_task(3, 'y/cancelled.jpg', cancelled),
      ls_task(4, 'y/none.jpg'),
      ls_task(5, 'y/empty.jpg', []),
    ],
  )
  save(tmp_path / 'images/empty.png', np.zeros((2, 3, 3)))
  masks = run(
    'label_studio', file, tmp_path / 'out', background='ground', images=tmp_path / 'images'
  )
  assert set(masks) == {'latest one', 'truth', 'empty'}  # what has no annotation has no mask
  same(masks['latest one'], np.full((10, 20), 2))
  same(masks['truth'][0], [1] * 10 + [0] * 10)
  same(masks['empty'], np.zeros((2, 3)))
  assert_says(
    capsys.readouterr().out,
    '2 tasks have several annotations',
    '2 images are not annotated and got no mask: cancelled, none.',
  )
  text = message('label_studio', file, tmp_path / 'new', background='ground')
  assert_says(text, '1 of 5 images', 'task 5', '--images')


def test_label_studio_uncertain_shapes(tmp_path, capsys):
  """Keypoints and open lines are void without a width; so are regions without one label."""
  pytest.importorskip('pycocotools')
  place = {'x': 50, 'y': 50, 'width': 1}
  results = [
    ls_result('polygon', LEFT, id='r'),
    ls_result('labels', LEFT, ['a'], id='r'),  # the label of the same region
    ls_result('rectanglelabels', {**FULL, 'x': 90}),
    ls_result('rectanglelabels', {**FULL, 'x': 80, 'width': 10}, ['a', 'b']),
    ls_result('keypointlabels', place, ['tip']),
  ]
  file = write_json(tmp_path / 'a.json', [ls_task(1, 'a.jpg', results)])
  mask = run('label_studio', file, tmp_path / 'out', background='ground', line_width=1)['a']
  expected = np.array([[1] * 10 + [0] * 6 + [V] * 4] * 10)
  expected[5, 10] = 2
  same(mask, expected)
  assert_says(capsys.readouterr().out, '1 region with 2 labels, 1 region with no labels')
  run('label_studio', file, tmp_path / 'void', background='ground')
  assert_says(capsys.readouterr().out, '1 keypoint', '--line-width=N')


def test_label_studio_regions_without_an_outline(tmp_path, capsys):
  """They may be anywhere in the image, so that nothing of it is background."""
  pytest.importorskip('pycocotools')
  lost = ls_result('labels', {'labels': ['a']}, id='lost')
  shape = ls_result('polygonlabels', LEFT, ['a'])
  file = write_json(tmp_path / 'a.json', [ls_task(1, 'a.jpg', [shape, lost])])
  assert run('label_studio', file, tmp_path / 'out', background='ground') == {}
  assert_says(capsys.readouterr().out, '1 region without an outline', 'would be background: a.')


def test_label_studio_json_min(tmp_path):
  pytest.importorskip('pycocotools')
  size = {'original_width': 20, 'original_height': 10}
  task = {
    'id': 1,
    'image': '/data/upload/1/0a1b2c3d-a.jpg',
    'label': [{**LEFT, 'polygonlabels': ['a'], **size}, {**FULL, 'x': 90, **size}],
    'annotator': 1,
    'annotation_id': 7,
    'updated_at': '2024-01-02',
    'lead_time': 3.1,
  }
  old = {**task, 'label': [{**FULL, 'rectanglelabels': ['a'], **size}], 'updated_at': '2024-01-01'}
  file = write_json(tmp_path / 'a.json', [task, old])
  masks = run('label_studio', file, tmp_path / 'out', background='ground')
  same(masks['a'], [[1] * 10 + [0] * 8 + [V] * 2] * 10)


@pytest.mark.parametrize(
  'result, parts',
  [
    (ls_result('brushlabels', {'rle': [0, 0, 0, 4]}, ['a']), ('4 values', '20 x 10')),
    (ls_result('polygonlabels', {'points': [[0, None]]}, ['a']), ('None', 'number')),
    (ls_result('polygonlabels', {'points': 7}, ['a']), ('7', 'pairs [x, y]')),
    (ls_result('polygonlabels', LEFT, ['a'], height=9.5), ('9.5', 'positive integers')),
    (ls_result('polygonlabels', LEFT, ['a'], image_rotation=90), ('turned by 90 degrees',)),
    (ls_result('polygonlabels', LEFT, ['a'], width=30), ('different sizes', '(10, 30)')),
    (ls_result('polygonlabels', LEFT, ['a'], to_name='other'), ('several images',)),
    (ls_result('polygonlabels', LEFT, ['a'], item_index=1), ('several pages',)),
  ],
)
def test_malformed_label_studio_results_are_named(tmp_path, result, parts):
  pytest.importorskip('pycocotools')
  good = ls_result('polygonlabels', LEFT, ['a'])
  file = write_json(
    tmp_path / 'a.json', [ls_task(1, 'a.jpg', [good]), ls_task(2, 'b.jpg', [good, result])]
  )
  text = message('label_studio', file, tmp_path / 'out', background='ground')
  assert_says(text, '1 of 2 images', 'task 2', *parts)
  assert list(read_masks(tmp_path / 'out')) == ['a']


# --------------------------------------------------------------------- supervisely


def sly_bitmap(pixels, left, top, **fields):
  """A bitmap object as Supervisely's SDK writes it: a compressed palette PNG."""
  image = Image.fromarray(np.asarray(pixels, np.uint8))
  image.putpalette([0, 0, 0, 255, 255, 255])
  buffer = io.BytesIO()
  image.save(buffer, 'PNG', transparency=0, optimize=0)
  data = base64.b64encode(zlib.compress(buffer.getvalue())).decode()
  return {
    'geometryType': 'bitmap',
    'classTitle': 'car',
    'bitmap': {'data': data, 'origin': [left, top]},
    **fields,
  }


def sly_object(kind, exterior, interior=(), title='road'):
  points = {'exterior': exterior, 'interior': list(interior)}
  return {'id': 1, 'geometryType': kind, 'classTitle': title, 'tags': [], 'points': points}


def write_sly(root, *objects, name='ds0/ann/a.jpg.json', classes=('car', 'road')):
  write_json(
    root / 'meta.json',
    {
      'classes': [
        {'title': title, 'shape': 'any', 'color': f'#0000{index:02X}', 'geometry_config': {}}
        for index, title in enumerate(classes)
      ],
      'tags': [],
    },
  )
  content = {
    'description': '',
    'tags': [],
    'size': {'height': 6, 'width': 8},
    'objects': list(objects),
  }
  return write_json(root / name, content)


def test_supervisely_objects_in_the_order_of_the_file(tmp_path):
  """Outlines belong to polygons, those of holes to the holes."""
  write_sly(
    tmp_path / 'in',
    sly_object('polygon', [[0, 0], [6, 0], [6, 5], [0, 5]], [[[2, 2], [4, 2], [4, 3], [2, 3]]]),
    sly_bitmap([[1, 0], [1, 1]], 3, 0),
    sly_object('rectangle', [[7, 5], [6, 4]], title='car'),
  )
  masks = run('supervisely', tmp_path / 'in', tmp_path / 'out')
  same(
    masks['ds0/a'],
    [
      [1, 1, 1, 0, 1, 1, 1, V],
      [1, 1, 1, 0, 0, 1, 1, V],
      [1, 1, V, V, V, 1, 1, V],
      [1, 1, V, V, V, 1, 1, V],
      [1, 1, 1, 1, 1, 1, 0, 0],
      [1, 1, 1, 1, 1, 1, 0, 0],
    ],
  )
  assert (tmp_path / 'out/classes.txt').read_text() == 'car 0 0 0\nroad 0 0 1\n'
  assert list(run('supervisely', tmp_path / 'in/ds0', tmp_path / 'set')) == ['a']
  assert list(run('supervisely', tmp_path / 'in/ds0/ann', tmp_path / 'ann')) == ['a']


def test_supervisely_polygons_as_in_its_sdk(tmp_path):
  """The pixels of `cv2.fillPoly`, of the outline and then of the hole."""
  hole = [[2, 2], [5.9, 1], [4, 3]]
  polygon = sly_object('polygon', [[0, 1], [7, 0.7], [5, 5], [1, 3]], [hole])
  write_sly(tmp_path / 'in', polygon)
  same(
    run('supervisely', tmp_path / 'in', tmp_path / 'out', background='ground')['ds0/a'] == 2,
    [
      [0, 0, 0, 0, 1, 1, 1, 1],
      [1, 1, 1, 1, 0, 0, 1, 1],
      [1, 1, 0, 0, 0, 1, 1, 0],
      [0, 1, 1, 1, 0, 1, 1, 0],
      [0, 0, 0, 1, 1, 1, 0, 0],
      [0, 0, 0, 0, 0, 1, 0, 0],
    ],
  )


def test_supervisely_lines_and_old_objects(tmp_path, capsys):
  old = sly_bitmap([[1]], 7, 5)
  del old['geometryType']  # written before 2019, as is the polygon
  polygon = sly_object(None, [[0, 4], [2, 4], [2, 5], [0, 5]])
  line = sly_object('line', [[0, 0], [7, 0]], title='lane')
  graph = {'geometryType': 'graph', 'classTitle': 'car', 'nodes': {'a': {'loc': [4, 2]}}}
  write_sly(tmp_path / 'in', old, {**polygon, 'bitmap': None}, line, graph)
  mask = run('supervisely', tmp_path / 'in', tmp_path / 'out', line_width=1, background='ground')
  same(mask['ds0/a'][0], [3] * 8)
  same(mask['ds0/a'][2], [0] * 4 + [V] + [0] * 3)
  same(mask['ds0/a'][5], [2, 2, 2, 0, 0, 0, 0, 1])
  assert_says(
    capsys.readouterr().out, 'shapes without a certain outline or class are void: 1 graph'
  )


@pytest.mark.parametrize(
  'record, parts',
  [
    (sly_object('spiral', [[0, 0]]), ("'spiral'", 'polygon')),
    (sly_object('polygon', []), ('0 points',)),
    ({**sly_bitmap([[1]], 0, 0), 'bitmap': {'data': 'AAAA', 'origin': [0, 0]}}, ('decode',)),
    ({**sly_bitmap([[1]], 0, 0), 'bitmap': {'data': '?', 'origin': [0, 0]}}, ('base64',)),
    (7, ('an object is 7',)),
  ],
)
def test_malformed_supervisely_objects_are_named(tmp_path, record, parts):
  write_sly(tmp_path / 'in', sly_object('rectangle', [[0, 0], [1, 1]]))
  write_sly(tmp_path / 'in', record, name='ds0/ann/b.jpg.json')
  text = message('supervisely', tmp_path / 'in', tmp_path / 'out', background='ground')
  assert_says(text, '1 of 2 images', 'b.jpg.json', *parts)
  assert list(read_masks(tmp_path / 'out')) == ['ds0/a']


# ----------------------------------------------------------------------------- via


def via_region(attributes, name, **shape):
  return {'shape_attributes': {'name': name, **shape}, 'region_attributes': attributes}


def via_square(attributes, left, top, right, bottom):
  xs, ys = [left, right, right, left], [top, top, bottom, bottom]
  return via_region(attributes, 'polygon', all_points_x=xs, all_points_y=ys)


def via_images(regions, **others):
  """The images of exported annotations: a.jpg with regions, and others."""
  return {
    f'{name}123': {'filename': name, 'size': 123, 'regions': list(values), 'file_attributes': {}}
    for name, values in {'a.jpg': regions, **others}.items()
  }


REGIONS = [
  via_square({'type': 'wall', 'note': ''}, 0, 0, 4, 10),
  via_region({'type': 'door'}, 'rect', x=2, y=2, width=3, height=4),
  via_region({'type': {'door': True, 'wall': False}}, 'circle', cx=15, cy=5, r=1.2),
  via_region({'type': 'wall'}, 'ellipse', cx=10, cy=5, rx=3, ry=1, theta=1.5707963),
  via_region({'type': 'crack'}, 'polyline', all_points_x=[7, 12], all_points_y=[0, 0]),
  via_region({'type': 'crack'}, 'point', cx=19, cy=9),
]


def via_expected():
  expected = np.zeros((10, 20), int)
  expected[:, :4] = 3
  expected[2:6, 2:5] = expected[4:6, 14:16] = 2
  expected[2:8, 9:11] = 3
  expected[0, 7:13] = expected[9, 19] = 1
  return expected


@pytest.mark.parametrize('kind', ['project', 'export', 'old', 'csv'])
def test_via_shapes_in_the_order_of_the_file(tmp_path, capsys, kind):
  pytest.importorskip('pycocotools')
  save(tmp_path / 'in/a.png', np.zeros((10, 20, 3)))  # the file says a.jpg
  images = via_images(REGIONS)
  if kind == 'project':
    images = {'_via_settings': {}, '_via_img_metadata': images, '_via_attributes': {}}
  if kind == 'old':
    images['a.jpg123']['regions'] = {str(i): region for i, region in enumerate(REGIONS)}
  if kind == 'csv':
    with open(tmp_path / 'in/via.csv', 'w', newline='', encoding='utf-8') as file:
      rows = csv.writer(file)
      rows.writerow(
        [
          '#filename',
          'file_size',
          'file_attributes',
          'region_count',
          'region_id',
          'region_shape_attributes',
          'region_attributes',
        ]
      )
      for index, region in enumerate(REGIONS):
        shape, attributes = map(json.dumps, region.values())
        rows.writerow(['a.jpg', 123, '{}', len(REGIONS), index, shape, attributes])
  else:
    write_json(tmp_path / 'in/via.json', images)
  masks = run('via', tmp_path / 'in', tmp_path / 'out', background='ground', line_width=1)
  same(masks['a'], via_expected())
  assert (tmp_path / 'out/classes.txt').read_text() == 'ground\ncrack\ndoor\nwall\n'
  assert_says(capsys.readouterr().out, "the class of a region is its attribute 'type'")


def test_via_images_elsewhere_and_missing(tmp_path):
  pytest.importorskip('pycocotools')
  region = via_square({'class': 'b', 'color': 'red'}, 0, 0, 1, 1)
  file = write_json(tmp_path / 'in/via.json', via_images([region], **{'b.jpg': [region]}))
  save(tmp_path / 'images/city/a.jpg.png', np.zeros((2, 3, 3)))
  save(tmp_path / 'images/city/a.png', np.zeros((2, 3, 3)))
  text = message('via', file, tmp_path / 'out', background='g', images=tmp_path / 'images')
  assert_says(text, '1 of 2 images', "'b.jpg'", '--images')
  same(read_masks(tmp_path / 'out')['city/a'], [[1, 0, 0], [0, 0, 0]])
  assert_says(message('via', file, tmp_path / 'new', background='g'), '2 of 2', '--images')


def test_via_attributes(tmp_path, capsys):
  pytest.importorskip('pycocotools')
  save(tmp_path / 'in/a.png', np.zeros((2, 4, 3)))
  both = [via_square({'kind': 'x', 'state': 'old'}, 0, 0, 1, 1)]
  file = write_json(tmp_path / 'in/via.json', via_images(both))
  text = message('via', file, tmp_path / 'out', background='g')
  assert_says(text, 'attributes kind, state', '--attribute')
  same(run('via', file, tmp_path / 'k', background='g', attribute='state')['a'][0], [1, 0, 0, 0])
  assert_says(message('via', file, tmp_path / 'o', attribute='no'), 'no region', 'kind, state')
  plain = [via_square({}, 0, 0, 1, 1), via_square({}, 2, 0, 3, 1)]
  write_json(file, via_images(plain))
  same(run('via', file, tmp_path / 'plain', background='g')['a'][0], [1, 0, 1, 0])
  assert_says(capsys.readouterr().out, "no region has an attribute: all are of the class 'object'")
  write_json(file, via_images([*both, *plain]))
  mask = run('via', file, tmp_path / 'void', background='g', attribute='kind')['a']
  same(mask[0], [1, 0, V, 0])  # a region without a class lies below the others
  assert_says(capsys.readouterr().out, '2 region without a class')


# -------------------------------------------------------------------------- labelme


def test_labelme_sizes_that_are_not_in_the_file(tmp_path):
  square = ('a', 'rectangle', [[0, 0], [1, 1]])
  stored = io.BytesIO()
  Image.new('RGB', (3, 2)).save(stored, 'JPEG')
  data = base64.b64encode(stored.getvalue()).decode()
  none = {'height': None, 'width': None}
  write_labelme(tmp_path / 'in/data.json', square, imageData=data, **none)
  write_labelme(tmp_path / 'in/beside.json', square, imagePath='..\\img\\b.png', **none)
  write_labelme(tmp_path / 'in/given.json', square, imagePath='D:\\x\\c.png', **none)
  write_labelme(tmp_path / 'in/floats.json', square, height=2.0, width='5')
  write_labelme(tmp_path / 'in/lost.json', square, imagePath='lost.png', **none)
  save(tmp_path / 'img/b.png', np.zeros((2, 4, 3)))
  save(tmp_path / 'images/c.png', np.zeros((2, 6, 3)))
  text = message(
    'labelme', tmp_path / 'in', tmp_path / 'out', background='g', images=tmp_path / 'images'
  )
  assert_says(text, '1 of 5 images', 'lost.json', 'no image lost.png', '--images')
  masks = read_masks(tmp_path / 'out')
  for name, width in {'data': 3, 'beside': 4, 'given': 6, 'floats': 5}.items():
    same(masks[name], [[1, 1] + [0] * (width - 2)] * 2)


def test_labelme_numbers_as_labels(tmp_path):
  """A class file has no names of digits only."""
  write_labelme(
    tmp_path / 'in/1.json', (3, 'rectangle', [[0, 0], [1, 1]]), (4.0, 'rectangle', [[3, 0], [4, 1]])
  )
  run('labelme', tmp_path / 'in', tmp_path / 'out')
  assert (tmp_path / 'out/classes.txt').read_text() == 'class_3\nclass_4\n'


def test_x_anylabeling_shapes(tmp_path):
  corners = [[1, 0], [3, 0], [3, 2], [1, 2]]
  diamond = [[2, 0], [4, 2], [2, 4], [0, 2]]
  write_labelme(tmp_path / 'in/1.json', ('a', 'rectangle', corners), height=5)
  write_labelme(tmp_path / 'in/2.json', ('b', 'rotation', diamond, {'direction': 0.785}), height=5)
  masks = run('labelme', tmp_path / 'in', tmp_path / 'out', background='g')
  same(masks['1'], [[0, 1, 1, 1, 0]] * 3 + [[0] * 5] * 2)
  same(
    masks['2'],
    [[0, 0, 2, 0, 0], [0, 2, 2, 2, 0], [2, 2, 2, 2, 2], [0, 2, 2, 2, 0], [0, 0, 2, 0, 0]],
  )
  write_labelme(tmp_path / 'in/3.json', ('b', 'rectangle', diamond[:3]))
  text = message('labelme', tmp_path / 'in', tmp_path / 'out', background='g')
  assert_says(text, '3.json', 'a rectangle has 3 points; expected 2 or 4')


def test_background_of_labelme(tmp_path, capsys):
  hole = ('_background_', 'rectangle', [[1, 1], [2, 2]])
  write_labelme(tmp_path / 'in/1.json', ('crane', 'rectangle', [[0, 0], [3, 3]]), hole)
  (tmp_path / 'labels.txt').write_text('__ignore__\n_background_\ncrane\ntruck\n')
  labels = str(tmp_path / 'labels.txt')
  expected = np.array([[1, 1, 1, 1, 0]] * 4)
  expected[1:3, 1:3] = 0
  same(run('labelme', tmp_path / 'in', tmp_path / 'a', classes=labels)['1'], expected)
  assert (tmp_path / 'a/classes.txt').read_text() == '_background_\ncrane\ntruck\n'
  same(run('labelme', tmp_path / 'in', tmp_path / 'b')['1'], expected)
  assert_says(capsys.readouterr().out, "'_background_' is the class of shapes of this name")
  same(run('labelme', tmp_path / 'in', tmp_path / 'c', background='ground')['1'], expected)
  assert (tmp_path / 'c/classes.txt').read_text() == 'ground\ncrane\n'
  assert_says(capsys.readouterr().out, "shapes of '_background_' are of the class 'ground'")
  run('labelme', tmp_path / 'in', tmp_path / 'd', background='ground', classes=labels)
  assert (tmp_path / 'd/classes.txt').read_text() == 'ground\ncrane\ntruck\n'


# ------------------------------------------------------------------------ detection


def write_samples(root):
  """One export of each kind, in a directory of its name."""
  pixel = [[0, 0, 1, 0, 1, 1, 0, 1]]
  tables = {
    'images': [{'id': 1, 'file_name': 'a.jpg', 'height': 10, 'width': 20}],
    'categories': [{'id': 1, 'name': 'a'}],
  }
  annotation = {'id': 1, 'image_id': 1, 'category_id': 1, 'segmentation': pixel}
  write_json(root / 'coco/a.json', {**tables, 'annotations': [annotation]})
  segments = {'image_id': 1, 'file_name': 'a.png', 'segments_info': [{'id': 1, 'category_id': 1}]}
  write_json(root / 'coco_panoptic/a.json', {**tables, 'annotations': [segments]})
  save(root / 'coco_panoptic/a.png', np.full((10, 20, 3), (1, 0, 0)))
  write_labelme(root / 'labelme/a.json', ('a', 'rectangle', [[0, 0], [1, 1]]))
  (root / 'cvat').mkdir()
  (root / 'cvat/a.xml').write_text(
    '<annotations><image name="a.jpg" width="20" height="10">'
    '<polygon label="a" points="0,0;4,0;4,4;0,4"/></image></annotations>'
  )
  write_json(
    root / 'label_studio/a.json', [ls_task(1, 'a.jpg', [ls_result('polygonlabels', LEFT, ['a'])])]
  )
  write_sly(root / 'supervisely', sly_object('rectangle', [[0, 0], [1, 1]]))
  write_json(root / 'via/a.json', via_images(REGIONS))
  save(root / 'via/a.png', np.zeros((10, 20, 3)))
  (root / 'colors').mkdir()
  (root / 'colors/classes.txt').write_text('a 0 0 0\nb 1 1 1\n')
  save(root / 'colors/a.png', np.zeros((10, 20, 3)))


def test_every_kind_is_detected(tmp_path, capsys):
  write_samples(tmp_path)
  for kind in CONVERTERS:
    assert detect_kind(read_sample(tmp_path / kind), CONVERTERS) == kind
  run('', tmp_path / 'labelme', tmp_path / 'out', background='ground')
  assert_says(capsys.readouterr().out, 'labelme is read as labelme (--from=labelme)')


def test_exports_of_another_kind(tmp_path):
  write_samples(tmp_path)
  for kind in ('labelme', 'supervisely', 'via', 'coco', 'cvat'):
    for other in ('label_studio', 'coco_panoptic', 'labelme', 'via'):
      if kind != other and (kind, other) != ('coco', 'coco_panoptic'):
        text = message(kind, next((tmp_path / other).glob('*.json')), tmp_path / f'{kind}{other}')
        assert_says(text, f'This looks like {CONVERTERS[other].title}: --from={other}.')
  (tmp_path / 'x').mkdir()
  write_json(tmp_path / 'x/a.json', {'project': {}, 'config': {}, 'attribute': {}, 'metadata': {}})
  assert_says(message('', tmp_path / 'x', tmp_path / 'out'), 'VIA 3', 'COCO', 'coco, coco_panoptic')
  assert_says(
    message('yolo', tmp_path / 'x', tmp_path / 'out'), "'yolo' is not known", 'supervisely'
  )
  (tmp_path / 'x/a.json').write_text('{}')
  assert_says(message('', tmp_path / 'x', tmp_path / 'out'), 'no known format', 'Set --from')
