"""Images, masks and label checks on small files whose values are known by hand."""

import os
import pickle

import numpy as np
from PIL import Image
import pytest
from toy import assert_fails, assert_says, save

from classmix_jax.data import label_statistics
from classmix_jax.data.files import image_io, pairs
from classmix_jax.data.files.checks import check_pairs
from classmix_jax.data.files.decoding import UNKNOWN, Decoding, label_table
from classmix_jax.data.files.file_source import image_source, paired_source
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.image_io import read_image
from classmix_jax.data.files.mask_io import count_raw_values, read_mask
from classmix_jax.data.files.open_image import Encoded
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

NAMES = ('road', 'car', 'sky')
IDS = Decoding(NAMES, label_table(3))
COLORS = Decoding(
  NAMES, label_table(3), {(255, 0, 0): 1, (0, 0, 255): 2, (0, 0, 0): 0, (9, 9, 9): VOID}
)


def palette_image(values, colors):
  image = Image.fromarray(np.asarray(values, np.uint8))
  image.putpalette([channel for color in colors for channel in color])
  assert image.mode == 'P'
  return image


def oriented(tag):
  exif = Image.Exif()
  exif[0x0112] = tag
  return exif


def message(call, *args, **kwargs):
  with pytest.raises(UserError) as caught:
    call(*args, **kwargs)
  return str(caught.value)


# ------------------------------------------------------------------------ images


def test_rgb_comes_back_as_it_is(tmp_path):
  values = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
  image = read_image(save(tmp_path / 'a b é.png', values))
  assert image.dtype == np.uint8
  np.testing.assert_array_equal(image, values)


@pytest.mark.parametrize(
  'values, dtype, expected',
  [
    ([[0, 200]], np.uint8, [0, 200]),
    ([[0, 65535]], np.uint16, [0, 255]),
    ([[200, 128 * 257]], np.uint16, [1, 128]),  # rounded, not cut
    ([[False, True]], bool, [0, 255]),
  ],
)
def test_grey_of_any_depth_becomes_three_channels(tmp_path, values, dtype, expected):
  image = read_image(save(tmp_path / 'a.png', values, dtype=dtype))
  np.testing.assert_array_equal(image, np.repeat(np.array(expected)[None, :, None], 3, 2))


@pytest.mark.filterwarnings('error')
def test_alpha_is_dropped_and_palette_looked_up(tmp_path):
  rgba = save(tmp_path / 'rgba.png', [[[10, 20, 30, 0], [40, 50, 60, 255]]])
  np.testing.assert_array_equal(read_image(rgba), [[[10, 20, 30], [40, 50, 60]]])
  palette_image([[1, 0]], [(1, 2, 3), (4, 5, 6)]).save(tmp_path / 'p.png', transparency=b'\x80\xff')
  np.testing.assert_array_equal(read_image(tmp_path / 'p.png'), [[[4, 5, 6], [1, 2, 3]]])


@pytest.mark.parametrize('suffix', ['png', 'tif', 'webp', 'jpg'])
def test_exif_orientation_turns_pixels_and_header_size(tmp_path, suffix):
  values = np.zeros((16, 32, 3), np.uint8)
  values[:, 16:] = 255  # right half white
  path = save(tmp_path / f'a.{suffix}', values, exif=oriented(6))  # 6: turn clockwise to view
  image = read_image(path)
  assert image.shape == (32, 16, 3) and image_io.read_header(path).size == (32, 16)
  assert image[:14].mean() < 20 and image[18:].mean() > 235  # right has become bottom


def test_images_shrink_with_antialiasing_and_masks_by_nearest(tmp_path):
  stripes = np.tile(np.array([0, 200], np.uint8), (8, 4))
  small = read_image(save(tmp_path / 'a.png', stripes), size=(2, 2))
  assert small.shape == (2, 2, 3) and np.all(np.abs(small.astype(int) - 100) < 30)
  quarters = np.kron([[0, 2], [255, 1]], np.ones((4, 4)))
  mask = read_mask(save(tmp_path / 'm.png', quarters), IDS, size=(2, 2))
  np.testing.assert_array_equal(mask, [[0, 2], [255, 1]])
  assert read_image(tmp_path / 'a.png', size=(3, 5)).shape == (3, 5, 3)


def test_image_size_does_not_decode(tmp_path):
  path = save(tmp_path / 'a.png', np.random.default_rng(0).integers(0, 256, (40, 60, 3)))
  path.write_bytes(path.read_bytes()[:200])
  assert image_io.read_header(path).size == (40, 60)
  assert_says(message(read_image, path), path, 'truncated', 'export the file again')


def test_damaged_missing_and_unknown_files(tmp_path):
  text = tmp_path / 'a.png'
  text.write_text('hello')
  for call in (read_image, image_io.read_header, lambda path: read_mask(path, IDS)):
    assert_says(message(call, text), text, 'does not decode', 'export the file again')
    assert_says(message(call, tmp_path / 'b.png'), 'b.png', 'does not exist', 'restore')
  floats = save(tmp_path / 'f.tif', [[1.5, -0.25]], dtype=np.float32)
  assert_says(message(read_image, floats), floats, 'from -0.25 to 1.5', 'value_range=-0.25:1.5')
  lab = tmp_path / 'lab.tif'
  Image.new('LAB', (2, 2)).save(lab)
  assert_says(message(read_image, lab), lab, "'LAB'", '8-bit')
  assert_says(message(read_mask, lab, IDS), lab, "'LAB'", '8-bit')
  assert_says(message(read_mask, floats, IDS), floats, 'holds 1.5', 'whole numbers')


@pytest.mark.parametrize('suffix', ['png', 'jpg'])
def test_images_in_memory_read_like_files(tmp_path, suffix):
  values = np.random.default_rng(0).integers(0, 3, (7, 9, 3))
  for mode in ('RGB', 'L'):
    path = save(tmp_path / f'{mode}.{suffix}', values[..., 0] if mode == 'L' else values, mode)
    data = Encoded(path.read_bytes(), 'record 3', 'Prepare it again.')
    for size in (None, (4, 5)):
      np.testing.assert_array_equal(read_image(data, size), read_image(path, size))
      if (mode, suffix) == ('L', 'png'):
        np.testing.assert_array_equal(read_mask(data, IDS, size), read_mask(path, IDS, size))
  broken = Encoded(data.data[:20], 'record 3', 'Prepare it again.')
  for arguments in ((read_image, broken), (read_mask, broken, IDS)):
    assert_says(message(*arguments), 'record 3 does not decode', '20 bytes', 'Prepare it again.')


# ------------------------------------------------------------------------- masks


def test_ids_in_grey_palette_bit_and_deep_masks(tmp_path):
  ids = [[0, 1], [2, 255]]
  for path in (
    save(tmp_path / 'l.png', ids),
    save(tmp_path / 'i.png', ids, dtype=np.uint16),
    save(tmp_path / 'rgb.png', ids, mode='RGB'),
    save(tmp_path / 'la.png', ids, 'LA'),
  ):
    mask = read_mask(path, IDS)
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, ids)
  palette_image([[2, 0]], [(0, 0, 0), (200, 0, 0), (0, 200, 0)]).save(tmp_path / 'p.png')
  np.testing.assert_array_equal(read_mask(tmp_path / 'p.png', IDS), [[2, 0]])
  bits = save(tmp_path / 'b.png', [[False, True]], dtype=bool)
  np.testing.assert_array_equal(read_mask(bits, IDS), [[0, 1]])


def test_label_table_maps_and_leaves_the_rest():
  table = label_table(3, {255: 1, 7: VOID, 1000: 2})
  assert table[[0, 1, 2, 3, 7, 255, 1000]].tolist() == [0, 1, 2, UNKNOWN, 255, 1, 2]


def test_deep_ids_go_through_the_map(tmp_path):
  path = save(tmp_path / 'a.png', [[0, 1000]], dtype=np.uint16)
  decoding = Decoding(NAMES, label_table(3, {1000: 2}))
  np.testing.assert_array_equal(read_mask(path, decoding), [[0, 2]])
  assert_says(message(read_mask, path, IDS), path, 'value 1000', "label_map='1000:CLASS'")


def test_unknown_ids_name_values_expected_and_remedy(tmp_path):
  path = save(tmp_path / '0007.png', [[0, 9], [7, 255]])
  assert_says(
    message(read_mask, path, IDS),
    path,
    'values 7, 9',
    '0 (road), 1 (car), 2 (sky), 255 (void)',
    "--config.data.label_map='0:0,7:1,9:2' if this is their order (0 = road, 7 = car, 9 = sky)",
    "--config.data.ignore='7,9'",
  )


def test_ids_from_one_get_the_shift_spelled_out(tmp_path):
  path = save(tmp_path / 'a.png', [[1, 2, 3]])
  assert_says(message(read_mask, path, IDS), "--config.data.label_map='0:void,1:0,2:1,3:2'")


def test_colors_are_looked_up(tmp_path):
  values = [[[0, 0, 255], [255, 0, 0]], [[9, 9, 9], [0, 0, 0]]]
  path = save(tmp_path / 'a.png', values)
  np.testing.assert_array_equal(read_mask(path, COLORS), [[2, 1], [255, 0]])
  np.testing.assert_array_equal(
    read_mask(save(tmp_path / 'b.png', values, 'RGBA'), COLORS), [[2, 1], [255, 0]]
  )


def test_unknown_color_names_the_pixel(tmp_path):
  path = save(tmp_path / 'a.png', [[[0, 0, 255], [255, 0, 0]], [[0, 0, 0], [255, 0, 1]]])
  assert_says(
    message(read_mask, path, COLORS),
    path,
    'colour #ff0001',
    'in 1 pixels',
    'row 1, column 1',
    "#ff0000 class 1 'car'",
    "--config.data.colors='#ff0001:CLASS'",
  )


def test_colors_without_a_table(tmp_path):
  path = save(tmp_path / 'a.png', [[[0, 0, 255], [255, 0, 0]]])
  assert_says(
    message(read_mask, path, IDS),
    path,
    '#0000ff, #ff0000',
    'no colour table',
    'class file',
    '--config.data.colors=',
  )


@pytest.mark.parametrize(
  'values, dtype, decoding, expected',
  [
    ([[0, 7, 255, 7]], np.uint8, IDS, {0: 1, 7: 2, 255: 1}),
    ([[False, True]], bool, IDS, {0: 1, 1: 1}),
    ([[0, 60000]], np.uint16, IDS, {0: 1, 60000: 1}),
    ([[-2, 70000, 70000]], np.int32, IDS, {-2: 1, 70000: 2}),
    ([[[7, 7, 7], [0, 0, 0]]], np.uint8, IDS, {7: 1, 0: 1}),  # grey in three channels
    ([[[7, 7, 7], [0, 0, 0]]], np.uint8, COLORS, {(7, 7, 7): 1, (0, 0, 0): 1}),
    ([[[255, 0, 9], [255, 0, 9]]], np.uint8, IDS, {(255, 0, 9): 2}),
  ],
)
def test_raw_values_are_counted_known_or_not(tmp_path, values, dtype, decoding, expected):
  path = save(tmp_path / 'a.tif', values, dtype=dtype)
  assert count_raw_values(path, decoding) == expected


def test_raw_values_of_a_palette_are_its_indices(tmp_path):
  palette_image([[1, 1, 2]], [(0, 0, 0), (9, 9, 9), (8, 8, 8)]).save(tmp_path / 'p.png')
  assert count_raw_values(tmp_path / 'p.png', IDS) == {1: 2, 2: 1}
  assert image_io.read_palette(tmp_path / 'p.png')[:3] == [(0, 0, 0), (9, 9, 9), (8, 8, 8)]
  assert image_io.read_palette(save(tmp_path / 'grey.png', [[1]])) == []


def test_meaning_of_raw_values():
  assert [IDS.label_of(raw) for raw in (2, 3, 255, -1, 70000)] == [2, None, VOID, None, None]
  assert [COLORS.label_of(raw) for raw in ((255, 0, 0), (9, 9, 9), (1, 2, 3))] == [1, VOID, None]


def test_reordered_palette_is_refused(tmp_path):
  path = tmp_path / 'a.png'
  palette_image([[0, 1]], [(255, 0, 0), (0, 0, 0)]).save(path)  # 0 in the colour of class 1
  assert_says(
    message(read_mask, path, COLORS),
    path,
    'index 0',
    "class 1 'car'",
    "class 0 'road'",
    'save the mask as RGB',
  )
  palette_image([[0, 1]], [(0, 0, 0), (255, 0, 0)]).save(path)
  np.testing.assert_array_equal(read_mask(path, COLORS), [[0, 1]])


# ------------------------------------------------------------------------- pairs


def test_find_images_walks_nested_directories_and_all_endings(tmp_path):
  for name in ('b/c d/ü.JPG', 'a.b.png', 'z.TIFF', 'k.webp', 'n.bmp', 'm.jpeg'):
    save(tmp_path / name, np.zeros((2, 2, 3)))
  (tmp_path / '._a.png').write_text('what archives from a Mac hold')
  (tmp_path / 'notes.txt').write_text('no image')
  paths = find_images(tmp_path)
  assert list(paths) == ['a.b', 'b/c d/ü', 'k', 'm', 'n', 'z']
  assert paths['z'] == tmp_path / 'z.TIFF'


def test_names_match_across_unicode_forms(tmp_path):
  save(tmp_path / 'images' / 'e\u0301.png', [[0]])
  save(tmp_path / 'masks' / '\xe9.png', [[0]])
  images, masks = (find_images(tmp_path / kind) for kind in ('images', 'masks'))
  assert pairs.pair(images, masks).names == ('\xe9',)


def test_one_name_for_two_files(tmp_path):
  save(tmp_path / 'a.png', [[0]])
  save(tmp_path / 'a.jpg', [[0]])
  assert_says(message(find_images, tmp_path), 'a.jpg', 'a.png', "name 'a'", 'rename')


def test_missing_masks_are_counted(tmp_path):
  images = {name: tmp_path / f'{name}.jpg' for name in 'abcdef'}
  masks = {'a': tmp_path / 'a.png', 'b_mask': tmp_path / 'b_mask.png'}
  text = message(pairs.pair, images, masks, 'Add them.')
  assert_says(
    text,
    '5 of 6 images have no mask',
    'b.jpg',
    'd.jpg',
    'and 2 more',
    'Add them.',
    'Unused mask',
    'b_mask.png',
  )
  assert 'e.jpg' not in text


def test_unequal_sizes_name_both_files_and_sizes(tmp_path):
  for name, height in (('a', 4), ('b', 5), ('c', 6)):
    save(tmp_path / f'images/{name}.jpg', np.zeros((4, 8, 3)))
    save(tmp_path / f'masks/{name}.png', np.zeros((height, 8)))
  images, masks = (find_images(tmp_path / kind) for kind in ('images', 'masks'))
  assert_says(
    message(check_pairs, pairs.pair(images, masks), IDS),
    'masks/b.png is 8x5',
    'images/b.jpg is 8x4',
    'Export the mask again',
    '2 of 3 pairs',
    'b, c.',
  )


def test_turned_image_and_jpeg_mask(tmp_path):
  image = save(tmp_path / 'i.jpg', np.zeros((4, 8, 3)), exif=oriented(8))
  mask = save(tmp_path / 'm.png', np.zeros((4, 8)))
  turned = message(check_pairs, pairs.Pairs(('i',), (image,), (mask,)), IDS)
  assert_says(turned, '8x4', '4x8', 'EXIF', '--config.data.turn_masks=True')
  check_pairs(pairs.Pairs(('i',), (image,), (save(mask, np.zeros((8, 4))),)), IDS)
  jpeg = save(tmp_path / 'm.jpg', np.zeros((8, 4)))
  lossy = message(check_pairs, pairs.Pairs(('i',), (image,), (jpeg,)), IDS)
  assert_says(lossy, jpeg, 'JPEG', 'PNG')


def test_source_reads_by_index_and_can_be_pickled(tmp_path):
  image = save(tmp_path / 'i.png', np.full((2, 4, 3), 7))
  mask = save(tmp_path / 'm.png', [[1] * 4] * 2)
  source = pickle.loads(
    pickle.dumps(paired_source(pairs.Pairs(('i',), (image,), (mask,)), IDS, size=(1, 2)))
  )
  assert len(source) == 1 and source.names == ('i',)
  np.testing.assert_array_equal(source.read_image(np.int64(0)), np.full((1, 2, 3), 7))
  np.testing.assert_array_equal(source.read_label(0), [[1, 1]])
  assert image_source({'i': image}).read_label is None


# ------------------------------------------------------------------------- checks


def labels_source(*labels):
  names = tuple(f'n{index}' for index in range(len(labels)))
  return Source(names, lambda i: None, lambda i: np.array(labels[i], np.uint8))


def test_class_counts_are_pixels_and_images():
  source = labels_source([[0, 0, 1]], [[255, 0, 2]], [[9, 9, 9]])
  pixels, images = label_statistics.class_counts(
    label_statistics.label_counts(source, [0, 1], NAMES), 3
  )
  assert pixels.dtype == images.dtype == np.int64
  assert pixels.tolist() == [3, 1, 1] and images.tolist() == [2, 1, 1]


def test_label_counts_lists_all_bad_masks(tmp_path):
  source = labels_source([[0]], [[3]], [[4]], [[5, 6]], [[7]])
  assert_says(
    message(label_statistics.label_counts, source, range(5), NAMES),
    "'n1'",
    'values 3',
    '0 to 2 and 255',
    "label_map='3:CLASS'",
    '4 of 5 masks',
    'n1, n2, n3, ...',
  )
  path = save(tmp_path / 'a.png', [[8]])
  files = paired_source(pairs.Pairs(('a',), (path,), (path,)), IDS)
  assert_says(message(label_statistics.label_counts, files, [0], NAMES), path, 'value 8')


def binary_finding(labels, class_names):
  source = labels_source(*labels)
  counts = label_statistics.label_counts(source, range(len(source)), class_names)
  return label_statistics.binary_finding(source.names, counts, class_names)


def test_binary_masks_of_255_are_never_guessed():
  text = binary_finding([[[0]], [[0, 255]]], ('ok', 'defect'))
  assert_says(
    text,
    "'n1'",
    'values 0, 255',
    '2 classes (0 ok, 1 defect)',
    "255 means 'ignore' here",
    "--config.data.label_map='255:1'",
  )
  assert_says(binary_finding([[[255]]], ('a', 'b')), 'value 255')
  text = binary_finding([[[0, 255]]], ('a', 'b', 'c'))
  assert_says(text, 'none of 1 masks holds 1 to 2', "'255:1' if it marks 'b'", "show 'b' or others")


@pytest.mark.parametrize(
  'labels, names',
  [
    ([[[0, 255]], [[1, 255]]], ('a', 'b')),  # one mask holds class 1: 255 is void
    ([[[0, 0]], [[0, 0]]], ('a', 'b')),  # no 255 at all
    ([[[0, 255]], [[2, 255]]], ('a', 'b', 'c')),  # another class of three
    ([[[1, 255]]], ('a', 'b', 'c')),
  ],
)
def test_255_is_void_elsewhere(labels, names):
  assert not binary_finding(labels, names)


def test_label_warnings():
  assert label_statistics.label_warnings(np.array([30, 1, 0]), 30, ('road', 'car', 'train')) == [
    "class 2 'train' occurs in 0 of 30 labelled images: its IoU cannot rise above 0."
  ]
  assert label_statistics.label_warnings([1, 1], 1, ('a', 'b')) == []


# ------------------------------------------------------------------ files and directories


def test_unreadable_file(tmp_path, monkeypatch):
  path = save(tmp_path / 'x.png', np.zeros((2, 3)))

  def deny(*_, **__):
    raise PermissionError(13, 'Permission denied')

  monkeypatch.setattr(Image, 'open', deny)
  assert_fails(lambda: read_image(path), path, 'may not be read', 'permissions')


@pytest.mark.parametrize(
  'create, parts',
  [
    (
      lambda path: path.symlink_to('x.png'),
      ['Too many levels of symbolic links', 'replace the file'],
    ),
    (lambda path: path.mkdir(), ['is a directory', 'rename or remove']),
    (os.mkfifo, ['is no regular file']),
  ],
)
def test_not_a_file(tmp_path, create, parts):
  path = tmp_path / 'x.png'
  create(path)
  assert_fails(lambda: read_image(path), path, *parts)


@pytest.mark.parametrize('name', [b'a\nb.png', b'\xff.png'])
def test_names_that_no_list_can_hold(tmp_path, name):
  (tmp_path / os.fsdecode(name)).touch()
  assert_fails(lambda: find_images(tmp_path), 'control characters, or in another encoding')


def test_directories_that_link_to_themselves_are_read_once(tmp_path):
  for name in ('a', 'b'):
    save(tmp_path / name / 'x.png', np.zeros((2, 3)))
  (tmp_path / 'a/up').symlink_to('..')
  (tmp_path / 'a/self').symlink_to('.')
  (tmp_path / 'a/other').symlink_to('../b')
  (tmp_path / 'b/other').symlink_to('../a')
  assert list(find_images(tmp_path / 'a')) == ['other/x', 'x']


def test_unreadable_list(tmp_path):
  (tmp_path / 'train.txt').write_bytes(b'\xff\xfe')
  assert_fails(lambda: pairs.read_list(tmp_path / 'train.txt'), 'train.txt', 'not text in UTF-8')
  assert_fails(lambda: pairs.read_list(tmp_path / 'no.txt'), 'no.txt', 'No such file')
