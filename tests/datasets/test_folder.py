"""The user's own directory: every encoding that is read and every message that is printed."""

import numpy as np
from PIL import Image
import pytest
from toy import assert_says, save

from classmix_jax.data import label_statistics
from classmix_jax.data.class_files.reader import read_classes
from classmix_jax.data.files.colors import voc_palette
from classmix_jax.datasets import folder
from classmix_jax.datasets.folder.options import parse_colors, parse_label_map
from classmix_jax.errors import UserError

NAMES = ('road', 'traffic light')


@pytest.fixture
def root(tmp_path):
  """Two labelled pairs of unequal sizes, one of them nested; one pair to validate."""
  (tmp_path / 'classes.txt').write_text('road 128 64 128\ntraffic light\n')
  save(tmp_path / 'labeled/images/b é.JPG', np.zeros((4, 6, 3)))
  save(tmp_path / 'labeled/masks/b é.png', [[0, 0, 0, 1, 1, 255]] * 4)
  save(tmp_path / 'labeled/images/a/x.png', np.full((2, 3, 3), 7))
  save(tmp_path / 'labeled/masks/a/x.PNG', [[1, 1, 0]] * 2)
  save(tmp_path / 'val/images/v.jpeg', np.zeros((2, 2)))
  save(tmp_path / 'val/masks/v.bmp', np.zeros((2, 2)))
  return tmp_path


def message(root, **options):
  with pytest.raises(UserError) as caught:
    folder.load(str(root), **options)
  return str(caught.value)


def read_message(root, **options):
  with pytest.raises(UserError) as caught:
    folder.load(str(root), **options).train.read_label(0)
  return str(caught.value)


# ------------------------------------------------------------------------ layout


def test_names_images_and_labels(root):
  dataset = folder.load(str(root))
  assert dataset.name == 'folder' and dataset.class_names == NAMES
  assert dataset.train.names == ('a/x', 'b é') and dataset.val.names == ('v',)
  assert dataset.unlabeled is None
  np.testing.assert_array_equal(dataset.train.read_image(0), np.full((2, 3, 3), 7))
  np.testing.assert_array_equal(dataset.train.read_label(0), [[1, 1, 0]] * 2)
  np.testing.assert_array_equal(dataset.train.read_label(1), [[0, 0, 0, 1, 1, 255]] * 4)
  assert dataset.val.read_image(0).shape == (2, 2, 3)


def test_size_makes_all_alike(root):
  train = folder.load(str(root), size=(2, 3)).train
  assert {train.read_image(i).shape for i in range(2)} == {(2, 3, 3)}
  np.testing.assert_array_equal(train.read_label(1), [[0, 1, 255]] * 2)


def test_masks_of_unlabelled_images_are_never_opened(root):
  save(root / 'unlabeled/images/u.png', np.zeros((5, 5, 3)))
  (root / 'unlabeled/masks').mkdir()
  (root / 'unlabeled/masks/u.png').write_text('garbage')
  unlabeled = folder.load(str(root), size=(3, 3)).unlabeled
  assert unlabeled.names == ('u',) and unlabeled.read_label is None
  assert unlabeled.read_image(0).shape == (3, 3, 3)


def test_unlabelled_images_without_a_directory_of_their_own(root):
  save(root / 'unlabeled/u.png', np.zeros((5, 5, 3)))
  assert folder.load(str(root)).unlabeled.names == ('u',)
  (root / 'unlabeled/images').mkdir()
  assert_says(message(root), root / 'unlabeled/images', 'no images', 'remove the directory')


def test_missing_directories(tmp_path):
  (tmp_path / 'labeled/images').mkdir(parents=True)
  assert_says(message(tmp_path), tmp_path / 'labeled/images', 'holds no images')
  save(tmp_path / 'labeled/images/a.png', np.zeros((5, 5, 3)))
  assert_says(
    message(tmp_path),
    'None of 1 images for training',
    'labeled/images/a.png',
    'masks were not found',
    "--config.data.masks='masks/{name}_mask.png'",
  )
  assert_says(message(''), 'empty', '--config.data.root=DIR')
  assert_says(
    message(tmp_path / 'no'), tmp_path / 'no', 'not a directory', '--config.data.root=DIR'
  )


def test_images_without_a_mask_have_no_label(root):
  for name in 'cdef':
    save(root / f'labeled/images/{name}.png', np.zeros((2, 2, 3)))
  dataset = folder.load(str(root))
  assert dataset.unlabeled.names == tuple('cdef') and dataset.unlabeled.read_label is None
  assert dataset.notes[1:] == (
    '4 of 6 images have no mask and are used without labels: c.png, d.png, e.png and 1 more.',
  )


def test_unequal_sizes_are_found_before_resizing(root):
  save(root / 'labeled/masks/a/x.PNG', np.zeros((4, 6)))
  assert_says(message(root, size=(2, 3)), 'masks/a/x.PNG is 6x4', 'images/a/x.png is 3x2', 'Export')


def test_two_images_of_one_name(root):
  save(root / 'labeled/images/a/x.jpg', np.zeros((2, 3, 3)))
  assert_says(message(root), 'x.jpg', 'x.png', "name 'a/x'", 'rename')


def test_file_that_is_no_image(root):
  (root / 'labeled/images/a/x.png').write_text('no image')
  assert_says(message(root), 'images/a/x.png', 'does not decode', 'remove it')


# ------------------------------------------------------------------------ classes


def test_class_file_lines(tmp_path):
  path = tmp_path / 'names.txt'
  text = '# comment\n\nroad 128 64 128\nline 7\nroute à 4 voies 1 2 3\r\n'
  path.write_text(text, 'utf-8-sig')
  assert read_classes(path) == (
    ('road', 'line 7', 'route à 4 voies'),
    ((128, 64, 128), None, (1, 2, 3)),
  )


@pytest.mark.parametrize('classes', ['names/my.txt', 'absolute'])
def test_class_file_elsewhere(root, classes):
  (root / 'names').mkdir()
  (root / 'names/my.txt').write_text('a\nb\nc\n')
  path = str(root / 'names/my.txt') if classes == 'absolute' else classes
  assert folder.load(str(root), classes=path).class_names == ('a', 'b', 'c')


def test_ids_of_a_class_file_are_values_of_masks(root):
  """Ids 1 and 3 are classes 0 and 1, 7 is void; 0 has no meaning."""
  (root / 'classes.txt').unlink()
  (root / '_classes.csv').write_text('Pixel Value, Class\n3, car\n1, road\n7, unlabeled\n')
  for path in (root / 'labeled/masks').rglob('*.*'):
    with Image.open(path) as mask:
      shape = mask.size[::-1]
    save(path, np.resize([1, 3, 7, 3], shape))
  dataset = folder.load(str(root))
  assert dataset.class_names == ('road', 'car')
  assert dataset.train.read_label(0).ravel()[:4].tolist() == [0, 1, 255, 1]
  assert any('gives the ids 1, 3' in note for note in dataset.notes)
  assert any('names unlabeled (id 7)' in note for note in dataset.notes)
  save(path, np.resize([1, 0], shape))
  with pytest.raises(UserError, match=r'value 0; expected are 1 \(road\), 3 \(car\), 7 \(void\)'):
    [dataset.train.read_label(index) for index in range(len(dataset.train))]


def test_missing_class_file(root):
  (root / 'classes.txt').unlink()
  assert_says(
    message(root),
    root / 'classes.txt',
    'one class name per line',
    "'road 128 64 128'",
    '--config.data.classes=FILE',
  )


@pytest.mark.parametrize(
  'text, parts',
  [
    ('road\n', ('1 class name', '2 to 254', 'background')),
    ('road\ncar\nroad\n', ("'road' twice", 'rename')),
    ('road 1 2 300\ncar\n', ('line 1', 'road 1 2 300', '0 to 255')),
    ('road\nimg/1.png\ncar\n', ('line 2', 'a file name', 'name of a class')),
    ('road 1 2 3\ncar 1 2 3\n', ('1 2 3', 'classes 0 and 1', 'differ')),
  ],
)
def test_malformed_class_files(root, text, parts):
  (root / 'classes.txt').write_text(text)
  assert_says(message(root), root / 'classes.txt', *parts)


def test_class_file_in_another_encoding(root):
  (root / 'classes.txt').write_bytes('straße\nauto\n'.encode('latin-1'))
  assert_says(message(root), root / 'classes.txt', 'UTF-8', 'save')


def test_palette_of_class_file_option_mask_and_map(root):
  assert folder.load(str(root)).palette == ((128, 64, 128), (128, 0, 0))
  colored = folder.load(str(root), colors='#010203:1,#ff0000:0')
  assert colored.palette == ((128, 64, 128), (1, 2, 3))
  mask = Image.fromarray(np.zeros((2, 3), np.uint8))
  mask.putpalette([9, 9, 9, 8, 8, 8])
  mask.save(root / 'labeled/masks/a/x.PNG')
  assert folder.load(str(root)).palette == ((128, 64, 128), (8, 8, 8))


def test_voc_palette():
  assert voc_palette(9)[4:] == (
    (0, 0, 128),
    (128, 0, 128),
    (0, 128, 128),
    (128, 128, 128),
    (64, 0, 0),
  )
  assert voc_palette(21)[20] == (0, 64, 128)  # tvmonitor
  assert len(set(voc_palette(254))) == 254


# -------------------------------------------------------------------- label options


def test_label_map_and_ignore(root):
  save(root / 'labeled/masks/a/x.PNG', [[255, 7, 9], [0, 1, 9]])
  train = folder.load(str(root), label_map='255:1, 7:0', ignore='9').train
  np.testing.assert_array_equal(train.read_label(0), [[1, 0, 255], [0, 1, 255]])
  shifted = folder.load(str(root), label_map='0:void,1:0,9:1,7:void').train
  np.testing.assert_array_equal(shifted.read_label(0), [[255, 255, 1], [255, 0, 1]])
  ignoring = folder.load(str(root), ignore='0, 7,9').train
  np.testing.assert_array_equal(ignoring.read_label(0), [[255, 255, 255], [255, 1, 255]])


def test_parsed_options():
  assert parse_label_map('', '', NAMES) == {}
  assert parse_label_map('255:1,7:void', '3', NAMES) == {255: 1, 7: 255, 3: 255}
  assert parse_colors('#FF0010:1,000000:void', NAMES) == {(255, 0, 16): 1, (0, 0, 0): 255}


@pytest.mark.parametrize(
  'options, parts',
  [
    ({'label_map': '255'}, ("label_map='255'", "'255:1,7:void'")),
    ({'label_map': '255:2'}, ("'255:2'", '0 to 1, their names, or void')),
    ({'label_map': 'x:1'}, ("'x:1'",)),
    ({'label_map': '7:1,7:0'}, ('maps 7 twice', 'remove')),
    ({'label_map': '7:1', 'ignore': '7'}, ('both name 7', 'remove')),
    ({'ignore': '0;3'}, ("'0;3'", "'0,3'")),
    ({'colors': 'red:1'}, ("'red:1'", '#804080:0')),
    ({'colors': '#80408:1'}, ("'#80408:1'", '#804080:0')),
  ],
)
def test_malformed_options(root, options, parts):
  assert_says(message(root, **options), '--config.data.', *parts)


def test_values_that_are_no_class(root):
  save(root / 'labeled/masks/a/x.PNG', [[0, 7, 9]] * 2)
  assert_says(
    read_message(root),
    'labeled/masks/a/x.PNG',
    'values 7, 9',
    '1 (traffic light)',
    "--config.data.label_map='7:CLASS,9:CLASS'",
    "--config.data.ignore='7,9'",
  )


def test_rgb_masks_by_class_file_and_option(root):
  save(root / 'labeled/masks/a/x.PNG', [[[128, 64, 128], [1, 2, 3], [0, 0, 0]]] * 2)
  train = folder.load(str(root), colors='#010203:1,#000000:void').train
  np.testing.assert_array_equal(train.read_label(0), [[0, 1, 255]] * 2)
  assert_says(
    read_message(root, colors='#000000:void'),
    'masks/a/x.PNG',
    '#010203',
    'row 0, column 1',
    "--config.data.colors='#010203:CLASS'",
  )
  (root / 'classes.txt').write_text('road\ncar\n')
  assert_says(read_message(root), 'masks/a/x.PNG', 'no colour table', 'class file')


def test_binary_masks_are_found_by_the_label_check(root):
  for name, size in (('a/x.PNG', (2, 3)), ('b é.png', (4, 6))):
    save(root / 'labeled/masks' / name, np.arange(size[0] * size[1]).reshape(size) % 2 * 255)
  dataset = folder.load(str(root))
  counts = label_statistics.label_counts(dataset.train, range(2), dataset.class_names)
  assert_says(
    label_statistics.binary_finding(dataset.train.names, counts, dataset.class_names),
    "'a/x'",
    'values 0, 255',
    '(0 road, 1 traffic light)',
    "--config.data.label_map='255:1'",
  )
  mapped = folder.load(str(root), label_map='255:1')
  counts = label_statistics.label_counts(mapped.train, range(2), mapped.class_names)
  pixels, images = label_statistics.class_counts(counts, 2)
  assert pixels.tolist() == [15, 15] and images.tolist() == [2, 2]
