"""Class files in the formats that people have are read rightly, or refused in one sentence."""

import json

import pytest
from toy import assert_says

from classmix_jax.data.class_files.class_table import color_table, list_notes
from classmix_jax.data.class_files.discovery import find_class_file
from classmix_jax.data.class_files.reader import read_class_file, read_classes
from classmix_jax.data.class_files.words import is_background, is_void
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

ROAD, CAR = (128, 64, 128), (0, 0, 142)
NAMES = ('road', 'traffic light')
CVAT = [
  {'name': 'road', 'id': 17232, 'color': '#804080', 'type': 'any', 'attributes': []},
  {'name': 'traffic light', 'id': 17233, 'color': '#00008e', 'type': 'any', 'attributes': []},
]
SUPERVISELY = {
  'classes': [
    {'title': 'road', 'shape': 'polygon', 'color': '#804080', 'id': 9723},
    {'title': 'traffic light', 'shape': 'bitmap', 'color': '#00008E', 'id': 9724},
  ],
  'tags': [],
}
COCO = {
  'images': [],
  'annotations': [],
  'categories': [
    {'id': 3, 'name': 'traffic light', 'supercategory': 'thing'},
    {'id': 1, 'name': 'road', 'supercategory': 'stuff'},
  ],
}
MAPILLARY = {
  'labels': [
    {'color': [128, 64, 128], 'name': 'construction--flat--road', 'readable': 'road'},
    {'color': [0, 0, 142], 'name': 'object--traffic-light', 'readable': 'traffic light'},
  ]
}
PBTXT = """
item {
  id: 1
  name: '/m/06gfj'
  display_name: "road"
}
item { id: 3, name: 'traffic light' }
"""
CITYSCAPES = (
  'name,id,trainId,category,catId,hasInstances,ignoreInEval,color\n'
  'unlabeled,0,255,void,0,False,True,"(0, 0, 0)"\n'
  'road,7,0,flat,1,False,False,"(128, 64, 128)"\n'
  'traffic light,19,6,object,3,False,False,"(0, 0, 142)"\n'
)


def write(directory, content, name='classes.txt'):
  path = directory / name
  if not isinstance(content, bytes | str):
    content = json.dumps(content)
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return path


def refusal(path):
  with pytest.raises(UserError) as caught:
    read_class_file(path)
  assert '\n' not in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize(
  'content',
  [
    'road\ntraffic light\n',
    '# classes\n\nroad  # asphalt\n\t\n// more\ntraffic light',
    'road\r\ntraffic light\r\n'.encode('utf-8-sig'),
    'road\rtraffic light\r',
    '\ufeffroad\r\ntraffic light\r\n'.encode('utf-16-le'),
    '\ufeffroad\ntraffic light\n'.encode('utf-16-be'),
    '"road",\n"traffic light",\n',
    "'road',\n'traffic light',\n",
    'name\nroad\ntraffic light\n',
    'Pixel Value, Class\n0, road\n1, traffic light\n',
    'Class , Pixel Value\ntraffic light, 1\nroad, 0\n',
    'class,label\n0,road\n1,traffic light\n',
    'label,class\n0,road\n1,traffic light\n',
    'class,label\nroad,0\ntraffic light,1\n',
    'id,name,supercategory\n0,road,flat\n1,traffic light,object\n',
    ',name\n0,road\n1,traffic light\n',
    'sep=;\nID;Name;\n0;road;\n1;traffic light;\n',
    '0,road\n1,traffic light\n',
    '0\troad\n1\ttraffic light\n',
    '0: road\n1: traffic light\n',
    '0 road\n1 traffic light\n',
    '0 - road\n1 - traffic light\n',
    'id name\n0 road\n1 traffic light\n',
    'road,0\ntraffic light,1\n',
    'road 0\ntraffic light 1\n',
    'road = 0\ntraffic light = 1\n',
    '0 => road\n1 => traffic light\n',
    '0->road\n1->traffic light\n',
    '[0] road\n[1] traffic light\n',
    '* road\n* traffic light\n',
    'Classes:\nroad\ntraffic light\n',
    '\u200broad\ntraffic light\n',
    {'label_map': {'road': 0, 'traffic light': 1}},
    'road|0\ntraffic light|1\n',
    '0)road\n1)traffic light\n',
    '0.road\n1.traffic light\n',
    '0_road\n1-traffic light\n',
    '0 → road\n1 → traffic light\n',
    '0：road\n1，traffic light\n',
    '0、road\n1、traffic light\n',
    'road，\ntraffic light，\n',
    'road (0)\ntraffic light [1]\n',
    'road -> 0\ntraffic light => 1\n',
    'road # tar\ntraffic light // red\n',
    '“road”\n„traffic light“\n',
    '«road»\n「traffic light」\n',
    '– road\n– traffic light\n',
    'road\x0ctraffic\xa0light\x0b',
    'ro\u200bad\u2028traffic light\u2029',
    'Klasse\nroad\ntraffic light\n',
    'NOMBRE\nroad\ntraffic light\n',
    '类别\nroad\ntraffic light\n',
    'WERT;BEZEICHNUNG\n0;road\n1;traffic light\n',
    'Valeur;Nom\n0;road\n1;traffic light\n',
    '编号,名称\n0,road\n1,traffic light\n',
    {'categories': {'label': {'labels': [{'name': 'road'}, {'name': 'traffic light'}]}}},
    {'features': {'label': {'names': ['road', 'traffic light']}}},
    {'mask_targets': {'0': 'road', '1': 'traffic light'}},
    [{'trainId': 1, 'name': 'traffic light'}, {'trainId': 0, 'name': 'road'}],
    [
      {'id': 99, 'name': 'road', 'attribute_groups': []},
      {'id': 98, 'name': 'traffic light', 'attribute_groups': []},
    ],
    'item { name: "a" label: 0 display_name: "road" }\nitem { name: "traffic light" label: 1 }\n',
    'traffic light,1.0\nroad,0.0\n',
    ['road', 'traffic light'],
    {'0': 'road', '1': 'traffic light'},
    {'traffic light': 1, 'road': 0},
    {'id2label': {'0': 'road', '1': 'traffic light'}, 'label2id': {'road': 0}, 'hidden': [9]},
    {'labels': {'road': 0, 'traffic light': 1}, 'channel_names': {'0': 'CT'}},
    {'categories': [{'id': 0, 'name': 'road'}, {'id': 1, 'name': 'traffic light'}], 'info': {}},
    'train: ../train\nnc: 2\nnames: [\'road\', "traffic light"]\n',
    'names:\n  0: road\n  1: traffic light\n',
    'names:\n- road\n- traffic light\n',
    '- road\n- traffic light\n',
  ],
)
def test_names(tmp_path, content):
  table = read_class_file(write(tmp_path, content))
  assert table.names == NAMES and table.raw_ids == (0, 1)
  assert table.colors == (None, None) and not table.void_names
  assert not list_notes(table, 'classes.txt')
  assert list_notes(table, 'x.csv') == ('The classes are read from x.csv.',)


@pytest.mark.parametrize(
  'content',
  [
    'road 128 64 128\ntraffic light 0 0 142\n',
    'road,128,64,128\ntraffic light,0,0,142\n',
    'road, 128 64 128\ntraffic light, 0 0 142\n',
    'road 128,64,128\ntraffic light 0,0,142\n',
    'road (128, 64, 128)\ntraffic light (0, 0, 142)\n',
    'road: [128, 64, 128]\ntraffic light: [0, 0, 142]\n',
    '0: road 128 64 128\n1: traffic light 0 0 142\n',
    '1: traffic light: #00008e\n0: road: #804080\n',
    {'classes': NAMES, 'colors': {'traffic light': [0, 0, 142], 'road': [128, 64, 128]}},
    'road: 128 64 128\ntraffic light: 0 0 142\n',
    'road: 128, 64, 128\ntraffic light: 0, 0, 142\n',
    'road;#804080\ntraffic light;#00008e\n',
    'road #804080\ntraffic light #00008E\n',
    '#804080 road\n#00008e traffic light\n',
    '128 64 128\troad\n0 0 142\ttraffic light\n',
    '128 64 128 road\n0 0 142 traffic light\n',
    '0 road 128 64 128\n1 traffic light 0 0 142\n',
    'road 0 128 64 128\ntraffic light 1 0 0 142\n',
    '0,128,64,128,road\n1,0,0,142,traffic light\n',
    '0 128 64 128 road\n1 0 0 142 traffic light\n',
    '128 64 128\t\troad\n0 0 142\ttraffic light\n',
    'road 128 64 128 255\ntraffic light 0 0 142 255\n',
    'road,128,64,128,255\ntraffic light,0,0,142,255\n',
    '# Color table\n0 road 128 64 128 0\n1 traffic light 0 0 142 255\n',
    '0,road,128,64,128,255\n1,traffic light,0,0,142,255\n',
    'road rgb(128,64,128)\ntraffic light RGB(0, 0, 142)\n',
    'road rgba(128,64,128,1)\ntraffic light rgba(0, 0, 142, 0.5)\n',
    '0: road, (128, 64, 128)\n1: traffic light, (0, 0, 142)\n',
    'road - #804080\ntraffic light - 0 0 142\n',
    'ID;NAME;FARBE\n0;road;#804080\n1;traffic light;#00008e\n',
    'id;name;Farbton\n0;road;#804080\n1;traffic light;#00008e\n',
    'Klasse;Rot;Grün;Blau\nroad;128;64;128\ntraffic light;0;0;142\n',
    'Nr.;Name;Farbe (RGB)\n0;road;128,64,128\n1;traffic light;0,0,142\n',
    'name,rgb_values\nroad,"[128, 64, 128]"\ntraffic light,"[0, 0, 142]"\n',
    {
      '0': {'class-name': 'road', 'hex-color': '#804080'},
      '1': {'class-name': 'traffic light', 'hex-color': '#00008e'},
    },
    {'names': NAMES, 'palette': [*ROAD, *CAR]},
    {'id2label': {'0': 'road', '1': 'traffic light'}, 'palette': {'0': ROAD, '1': CAR}},
    '  0  128 64 128  0   0 0 "road"\n  1  0 0 142  1.0 1 1 "traffic light"\n',
    'name,r,g,b\nroad,128,64,128\ntraffic light,0,0,142\n',
    'id,name,r,g,b\n1,traffic light,0,0,142\n0,road,128,64,128\n',
    'name r g b\nroad 128 64 128\ntraffic light 0 0 142\n',
    'name,color\nroad,"128,64,128"\ntraffic light,"(0, 0, 142)"\n',
    '# label:color_rgb:parts:actions\nroad:128,64,128::\ntraffic light:0,0,142::\n',
    CVAT,
    SUPERVISELY,
    MAPILLARY,
    {'names': NAMES, 'palette': [ROAD, CAR]},
    {'road': [128, 64, 128], 'traffic light': [0, 0, 142]},
    {'road': '#804080', 'traffic light': '#00008e'},
    {'traffic light': {'id': 1, 'color': [0, 0, 142]}, 'road': {'id': 0, 'color': '#804080'}},
  ],
)
def test_names_and_colors(tmp_path, content):
  path = write(tmp_path, content)
  table = read_class_file(path)
  assert read_classes(path) == (NAMES, (ROAD, CAR)) and table.raw_ids == (0, 1)
  assert color_table(table, path) == {ROAD: 0, CAR: 1}


@pytest.mark.parametrize(
  'content, raw_ids',
  [
    ('1,road\n3,traffic light\n', (1, 3)),
    ('3,traffic light\n1,road\n', (1, 3)),
    ('traffic light,255\nroad,0\n', (0, 255)),
    ('1. road\n2. traffic light\n', (1, 2)),
    ('0 road\n65535 traffic light\n', (0, 65535)),
    ('Idx\tRatio\tName\n1\t0.15\troad\n2\t0.1\ttraffic light\n', (1, 2)),
    ('id,name\n-1,__ignore__\n0,traffic light\n7,road\n', None),
    ([{'label_id': 1, 'label': 'road'}, {'label_id': 3, 'label': 'traffic light'}], (1, 3)),
    ([{'Id': 1, 'Name': 'road'}, {'Id': 3, 'Name': 'traffic light'}], (1, 3)),
    (
      [{'category_id': 1, 'category': 'road'}, {'category_id': 3, 'category': 'traffic light'}],
      (1, 3),
    ),
    (COCO, (1, 3)),
    (COCO['categories'], (1, 3)),
    (PBTXT, (1, 3)),
    ({'1': 'road', '2': 'traffic light'}, (1, 2)),
    ({'traffic light': [2, 2, 2], 'road': [1, 1, 1]}, (1, 2)),
    ('labels:\n  10: "road"\n  40: "traffic light"\ncolor_map:\n  10: [0, 0, 0]\n', (10, 40)),
  ],
)
def test_ids_are_values_of_masks(tmp_path, content, raw_ids):
  suffix = '.yaml' if 'color_map' in content else '.txt'
  table = read_class_file(write(tmp_path, content, f'classes{suffix}'))
  if raw_ids is None:
    assert (table.names, table.raw_ids) == (NAMES[::-1], (0, 7)) and table.void_ids == ()
  else:
    assert (table.names, table.raw_ids) == (NAMES, raw_ids)
    assert table.label_map() == {raw_ids[0]: 0, raw_ids[1]: 1}
  (*_, note) = list_notes(table, 'a.csv')
  assert raw_ids is None or note == (
    f'a.csv gives the ids {raw_ids[0]}, {raw_ids[1]}: in masks they are classes 0 to 1, in this '
    'order.'
  )


@pytest.mark.parametrize(
  'content, names, raw_ids, void_ids',
  [
    ('0,unlabeled\n1,road\n2,car\n255,ignore\n', ('road', 'car'), (1, 2), (0, 255)),
    ('void\nroad\ncar\n', ('road', 'car'), (1, 2), (0,)),
    ('road\ncar\nVoid\n', ('road', 'car'), (0, 1), (2,)),
    ('__ignore__\n_background_\ncar\n', ('_background_', 'car'), (0, 1), ()),
    (CITYSCAPES, NAMES, (7, 19), (0,)),
    ('0,road\n1,car\n255,sky\n255,ego vehicle\n', ('road', 'car'), (0, 1), (255, 255)),
    ('background\nobject\n', ('background', 'object'), (0, 1), ()),
  ],
)
def test_void(tmp_path, content, names, raw_ids, void_ids):
  table = read_class_file(write(tmp_path, content))
  assert (table.names, table.raw_ids, table.void_ids) == (names, raw_ids, void_ids)
  assert table.label_map() == {
    **dict(zip(raw_ids, range(len(names)), strict=True)), **dict.fromkeys(void_ids, VOID)
  }  # fmt: skip
  assert any('are void' in note for note in list_notes(table, 'x')) == bool(table.void_names)


def test_colour_of_void(tmp_path):
  path = write(tmp_path, 'road 1 2 3\nvoid 0 0 0\ncar 4 5 6\n')
  assert color_table(read_class_file(path), path) == {
    (1, 2, 3): 0, (4, 5, 6): 1, (0, 0, 0): VOID
  }  # fmt: skip
  write(tmp_path, 'road 1 2 3\nvoid 4 5 6\ncar 4 5 6\n')
  with pytest.raises(UserError, match=r"4 5 6 to class 1 and to 'void'"):
    color_table(read_class_file(path), path)


@pytest.mark.parametrize(
  'names',
  [
    ('route à 4 voies', '路', 'Straße', "driver's seat"),
    ('road/street', 'car (parked)', 'bus, coach', 'C++'),
    ('3 doors', '5 doors'),
    ('class 1', 'class 2'),
    ('boeing 737', 'airbus 320'),
    ('St. Bernard', 'dog'),
    ('wall', 'building, edifice', 'floor, flooring'),
    ('yes', 'no', 'null'),
  ],
)
def test_names_that_stay_whole(tmp_path, names):
  assert read_classes(write(tmp_path, '\n'.join(names)))[0] == names
  assert read_classes(write(tmp_path, list(names)))[0] == names
  text = 'names:\n' + ''.join(f'- {json.dumps(name)}\n' for name in names)
  assert read_classes(write(tmp_path, text, 'data.yaml'))[0] == names
  text = ''.join(f'{index},"{name}"\n' for index, name in enumerate(names))
  assert read_classes(write(tmp_path, text))[0] == names


@pytest.mark.parametrize(
  'content, parts',
  [
    ('', ('holds 0 class names', '2 to 254')),
    ('Pixel Value, Class\n', ('holds 0 class names',)),
    ('road\n', ('holds 1 class name,', 'background')),
    ('0,road\n1,car\nx,tree\n', ("line 3 is 'x,tree'", 'columns id,name')),
    ('0,road\n1,car\ntree\n', ("line 3 is 'tree'", 'columns id,name')),
    ('0 road\n1 car\ntree\n', ("line 3 is 'tree'", "'0 road'")),
    ('0,car, van\n1,road\n', ("line 1 is '0,car, van'", 'quote')),
    ('0,road\n0,car\n', ("line 2 gives 'car' the id 0", "'road' has in line 1", 'differ')),
    ('0,road\n1,road\n', ("'road' twice", 'line 2', 'line 1', 'rename')),
    ('0,road\n70000,car\n', ('line 2', 'the id 70000', '65535')),
    ('-1,license plate\n0,car\n1,a\n', ('line 1', 'the id -1')),
    ('0,void\n0,road\n1,car\n', ("gives 'road' the id 0", "'void'")),
    ('0\n1\n2\n', ("line 1 is '0'", 'a number without a name')),
    ('3\nroad\ncar\ntree\n', ("line 1 is '3'", 'a number without a name')),
    ('0,1\n1,2\n', ('line 1', 'columns id,name')),
    ('road,128,64,300\ncar,0,0,1\n', ('line 1', '0 to 255')),
    ('name,r,g,b\nroad,128,64\ncar,0,0,142\n', ('line 2', 'name,red,green,blue')),
    ('a:1,2,3::\nb:1,2,3,4::\nc:::\n', ("line 2 is 'b:1,2,3,4::'", 'NAME:R,G,B')),
    ('img1.png\nimg2.png\n', ("line 1 is 'img1.png'", 'a file name')),
    ('frame_0001\nframe_0002\n', ("line 1 is 'frame_0001'", 'names of files')),
    ('a/x.jpg b/x.png\na/y.jpg b/y.png\n', ('line 1', 'a file name')),
    ('filename,car,road\nimg1.jpg,1,0\nimg2.jpg,0,1\n', ("line 1 is 'filename,car,road'", 'a row')),
    ('image_id,class\na1,road\na2,car\n', ("line 1 is 'image_id,class'", 'a row of a table')),
    ('a\tb\nc\td\n', ('line 1', 'a row of a table')),
    ('a;b\nc;d\n', ('line 1', 'a row of a table')),
    ('class 0: road\nclass 1: car\n', ('line 1', 'a row of a table')),
    ('Label 0 - road\nLabel 1 - car\n', ("line 1 is 'Label 0 - road'", "'0,road'", 'quotes')),
    ('road 7\ncar 26\n', ("line 1 is 'road 7'", "'7,road'", 'quotes')),
    ('road 7 #804080\ncar 26 #00008e\n', ("line 1 is 'road 7 #804080'", "'7,road'")),
    ('road 0\ncar 1\ntree\n', ("line 1 is 'road 0'", "'0,road'")),
    ('road 0\ncar 0\n', ("line 1 is 'road 0'", "'0,road'")),
    ('0x00 road\n0x01 car\n', ("line 1 is '0x00 road'", 'a row of a table')),
    ('№1 road\n№2 car\n', ('line 1', 'a row of a table')),
    ('1º road\n2º car\n', ('line 1', 'a row of a table')),
    ('① road\n② car\n', ('line 1', 'a row of a table')),
    ('a) road\nb) car\n', ('line 1', 'unpaired bracket')),
    ("['road',\n 'car',\n 'tree']\n", ('line 1', 'unpaired bracket')),
    ('road 0.25\ncar 0.75\n', ('line 1', 'a row of a table')),
    ('road: 0.25\ncar: 0.75\n', ('line 1', 'a row of a table')),
    ('road 128 64\ncar 0 0\n', ('line 1', 'a row of a table')),
    ('road: red\ncar: blue\n', ("line 1 is 'road: red'", 'a row of a table')),
    ('0 road ; tar\n1 car ; x\n', ('line 1', 'a row of a table')),
    ('road\ncar\nTotal: 2\n', ("line 3 is 'Total: 2'", 'a row of a table')),
    ('road\ncar\nnote: masks have 8 bits\n', ('line 3', 'a sentence')),
    ('Ba\u0308ume\nB\u00e4ume\n', ("'B\u00e4ume' twice", 'line 2')),
    ('{"names": ["a", "b"], "palette": [[1, 2, 3]]}', ('1 colours', '2 classes')),
    ('{"a": {"labels": []}, "b": {"x": 1}}', ("'a'", 'expected are')),
    ('road::\ncar::\n', ('line 1', 'a row of a table')),
    ('# Data\n\nWe took these images in the summer of 2020.\nroad\n', ('line 3', 'a sentence')),
    ('this file of our group lists all that we found\nx\n', ('line 1', 'a sentence')),
    ('https://example.org/a\nroad\n', ('line 1', 'a file name')),
    ('<!DOCTYPE html>\n<html>\n', ('line 1', 'markup')),
    ('<View>\n<Label value="road"/>\n</View>\n', ('line 1', 'markup')),
    ("CLASSES = ['road', 'car']\n", ('line 1', 'markup or code')),
    ('| 0 | road |\n| 1 | car |\n', ('line 1', 'markup')),
    ('-----\nroad\n', ('line 1', 'no letters')),
    ('x' * 200 + '\nroad\n', ('line 1', '200 characters')),
    ('a\x00\nroad\n', ('binary', 'UTF-8')),
    ('a\x07\nroad\n', ('line 1', 'control characters')),
    ('straße\n'.encode('latin-1'), ('UTF-8', 'save')),
    (b'PK\x03\x04\x14\x00\x06\x00', ('binary', 'UTF-8')),
    ('{"a": 0, "a": 1}', ("the key 'a' twice",)),
    ('["a",\n"b"', ('line 2', 'not valid JSON')),
    ('[]', ('holds no classes',)),
    ('{"shapes": [], "imagePath": "a.png"}', ("'shapes'", 'expected are')),
    ('{"0": "road", "x": "car"}', ("'0': 'road'", 'expected are')),
    ('[{"id": 1.5, "name": "a"}, {"id": 2, "name": "b"}]', ("the id '1.5'", 'an integer')),
    ('[{"id": 1, "name": "a"}, {"name": "b"}]', ("gives 'b' no id", 'entry 1')),
    ('[{"name": "a", "color": "red"}]', ('entry 1', "the colour 'red'")),
    ('[{"name": "a", "color": [1, 2, 256]}]', ('entry 1', '0 to 255')),
    ('{"a":' * 9000, ('JSON',)),
    ('nc: 3\nnames: [a, b]\n', ('nc: 3', '2 entries')),
    ('names:\n  0: a\n  0: b\n', ("the key '0' twice",)),
    ('names: [a\n', ('line 2', 'not valid YAML')),
    ('names: &a [*a, b]\n', ('entry 1',)),
    ("item { id: 1 name: 'a' }\nitem { name: 'b' }\n", ('line 2', 'without an id')),
    ("item { id: 1 name: 'a' }\nroad\n", ("'road'", 'outside of its items')),
  ],
)
def test_refusals(tmp_path, content, parts):
  path = write(tmp_path, content)
  assert_says(refusal(path), path, *parts)


def test_quotes_keep_a_name_whole(tmp_path):
  assert read_classes(write(tmp_path, '"a,b"\n"c,d"\n'))[0] == ('a,b', 'c,d')
  text = '"3 doors" 1 2 3\n"2 windows"\n"#1"\n"name"\n"line 7"\n'
  table = read_class_file(write(tmp_path, text))
  assert table.names == ('3 doors', '2 windows', '#1', 'name', 'line 7')
  assert table.colors[:2] == ((1, 2, 3), None) and table.raw_ids == (0, 1, 2, 3, 4)


def test_number_of_classes(tmp_path):
  names = [chr(0x4E00 + index) for index in range(255)]
  assert len(read_classes(write(tmp_path, '\n'.join(names[:254])))[0]) == 254
  assert_says(refusal(write(tmp_path, '\n'.join(names))), '255 class names', '2 to 254')
  assert read_class_file(write(tmp_path, 'road\n'), least=1).names == ('road',)


def test_missing_file(tmp_path):
  with pytest.raises(UserError, match=r'There is no file .*no\.txt.*--classes=FILE'):
    read_class_file(tmp_path / 'no.txt', option='--classes')
  assert_says(refusal(tmp_path), 'There is no file', '--config.data.classes=FILE')


def test_words_of_programs():
  assert all(map(is_void, ['void', 'Void', '__ignore__', 'unlabelled', 'ignore_region']))
  assert not any(map(is_void, ['background', '_background_', 'road', 'avoid', 'other']))
  assert all(map(is_background, ['background', '_background_', '__background__', 'Background']))
  assert not any(map(is_background, ['ground', 'void', '']))


# ------------------------------------------------------------------------ discovery


def test_class_file_of_a_directory(tmp_path):
  assert find_class_file(tmp_path) is None
  csv = write(tmp_path, 'Pixel Value, Class\n0, road\n1, car\n', '_classes.csv')
  write(tmp_path, {'split': 3}, 'meta.json')  # holds no classes
  assert find_class_file(tmp_path) == csv
  colors = write(tmp_path, 'road:1,2,3::\ncar:4,5,6::\n', 'LabelMap.txt')
  assert find_class_file(tmp_path) == colors  # the same classes, with colours


def test_class_files_that_disagree(tmp_path):
  write(tmp_path, 'road\ncar\n', 'classes.txt')
  other = write(tmp_path, 'road\ncar\nsky\n', 'labels.txt')
  for content, difference in [
    ('road\ncar\nsky\n', '2 and 3 classes'),
    ('car\nroad\n', "class 0 is 'road' and 'car'"),
    ('1,road\n2,car\n', 'ids are 0, 1 and 1, 2'),
  ]:
    other.write_text(content)
    with pytest.raises(UserError) as caught:
      find_class_file(tmp_path)
    assert_says(
      str(caught.value),
      'classes.txt and',
      'labels.txt disagree',
      difference,
      '.classes=/',
      'remove',
    )


def test_class_files_of_several_directories(tmp_path):
  for name, content in [('train', '0,road\n1,car\n'), ('valid', '0,road\n1,car\n')]:
    (tmp_path / name).mkdir()
    write(tmp_path / name, content, '_classes.csv')
  places = [tmp_path, tmp_path / 'train', tmp_path / 'valid', tmp_path / 'none']
  write(tmp_path, 'a.png\nb.png\n', 'labels.txt')
  assert find_class_file(*places) == tmp_path / 'train/_classes.csv'
  write(tmp_path / 'valid', '0,car\n1,road\n', '_classes.csv')
  with pytest.raises(UserError, match=r'train/_classes.csv and .*valid/_classes.csv disagree'):
    find_class_file(*places)


def test_malformed_class_file_of_a_directory(tmp_path):
  write(tmp_path, 'img1.png\nimg2.png\n', 'labels.txt')
  with pytest.raises(UserError, match='a file name'):
    find_class_file(tmp_path)
  (tmp_path / 'labels.txt').unlink()
  write(tmp_path, {'split': 3}, 'meta.json')
  assert find_class_file(tmp_path) is None
