"""Masks of any depth, smoothed or compressed: classes by a threshold, by near colours, or void."""

import io

import numpy as np
from PIL import Image
import pytest
import tifffile
from toy import assert_says, save

from classmix_jax.data.files.decoding import OTHERS, Decoding, label_table
from classmix_jax.data.files.findings import Finding, group_findings
from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.files.mask_io import count_raw_values, read_mask
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

TWO, THREE = ('ground', 'box'), ('ground', 'box', 'ball')
COLORS = {(0, 0, 0): 0, (200, 80, 60): 1, (70, 80, 210): 2}
IDS = Decoding(THREE, label_table(3))
HALF = Decoding(TWO, label_table(2, threshold=128), threshold=128)
NEAR = Decoding(THREE, label_table(3), COLORS, color_distance=64.0, others_are_void=True)
OTHERS_VOID = Decoding(THREE, label_table(3), others_are_void=True)
BLOCKS = np.kron([[0, 1], [1, 0]], np.ones((16, 16), int))


def error_of(path, decoding):
  with pytest.raises(UserError) as caught:
    read_mask(path, decoding)
  return caught.value


def write_tiff(path, values, dtype):
  tifffile.imwrite(path, np.asarray(values, dtype))
  return path


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int16, np.int32, np.float32, np.float64])
def test_ids_of_any_type_of_tiff(tmp_path, dtype):
  path = write_tiff(tmp_path / 'a.tif', [[0, 1], [2, 255]], dtype)
  assert read_mask(path, IDS).tolist() == [[0, 1], [2, VOID]]
  assert count_raw_values(path, IDS) == {0: 1, 1: 1, 2: 1, 255: 1}
  assert read_mask(path, IDS, size=(4, 4)).tolist()[3] == [2, 2, VOID, VOID]


@pytest.mark.parametrize('suffix', ['bmp', 'gif', 'webp', 'tif', 'pgm', 'jp2'])
def test_ids_in_other_lossless_formats(tmp_path, suffix):
  ids = np.repeat([[0, 1, 2, 255]], 4, 0)
  options = {'webp': {'lossless': True, 'mode': 'RGB'}, 'tif': {'compression': 'tiff_lzw'}}
  path = save(tmp_path / f'a.{suffix}', ids, **options.get(suffix, {}))
  assert read_header(path).lossy == '' and read_mask(path, IDS).tolist() == ids.tolist()


def test_palettes_of_greys_that_were_reordered(tmp_path):
  def write(greys):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([channel for grey in greys for channel in [grey] * 3])
    image.save(tmp_path / 'a.png')
    return tmp_path / 'a.png'

  for greys in ([0, 1, 2], [0, 90, 255], [255, 0, 0]):  # alike, or colours to look at
    assert read_mask(write(greys), IDS).tolist() == [[0, 1, 2]]
  error = error_of(write([2, 0, 1]), IDS)
  assert_says(str(error), "#020202, the colour of class 2 'ball'", "class 0 'ground'", 'grey PNG')
  two = Image.fromarray(np.array([[0, 2, 2]], np.uint8))  # of which a GIF makes indices 0 and 1
  two.save(tmp_path / 'a.gif')
  assert read_mask(tmp_path / 'a.gif', IDS).tolist() == [[0, 2, 2]]


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_ids_of_few_bits_are_the_values_in_the_file(tmp_path, bits):
  import struct
  import zlib

  def chunk(name, data):
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))

  samples = [0, 1] * 4 if bits == 1 else [0, 1, 2, 0]
  packed = sum(value << bits * (len(samples) - 1 - i) for i, value in enumerate(samples))
  row = b'\0' + packed.to_bytes(len(samples) * bits // 8, 'big')
  head = struct.pack('>IIBBBBB', len(samples), 1, bits, 0, 0, 0, 0)
  path = tmp_path / 'a.png'
  chunks = chunk(b'IHDR', head) + chunk(b'IDAT', zlib.compress(row)) + chunk(b'IEND', b'')
  path.write_bytes(b'\x89PNG\r\n\x1a\n' + chunks)
  assert read_mask(path, IDS).tolist() == [samples]
  grey = [value * 255 // (2**bits - 1) >= 128 for value in samples]
  assert read_mask(path, HALF).tolist() == [[int(bright) for bright in grey]]


def test_colours_and_ids_in_three_channels_of_16_bits(tmp_path):
  colors = np.array([[(0, 0, 0), (200, 80, 60)]], np.uint16) * 257
  path = write_tiff(tmp_path / 'c.tif', colors, np.uint16)
  assert read_mask(path, NEAR).tolist() == [[0, 1]]
  ids = write_tiff(tmp_path / 'i.tif', [[(2, 2, 2), (1, 1, 1)]], np.uint16)
  assert read_mask(ids, IDS).tolist() == [[2, 1]]


@pytest.mark.parametrize(
  'values, dtype',
  [
    ([[0, 127, 128, 255]], np.uint8),
    ([[0, 127 * 257, 128 * 257, 65535]], np.uint16),
    ([[0, 127, 128, 255]], np.uint16),
    ([[0, 127 / 255, 128 / 255, 1]], np.float32),
    ([[[0] * 3, [127, 127, 126], [128, 129, 128], [255] * 3]], np.uint8),
  ],
)
def test_grey_values_from_the_threshold_on_are_class_1(tmp_path, values, dtype):
  path = write_tiff(tmp_path / 'a.tif', values, dtype)
  assert read_mask(path, HALF).tolist() == [[0, 0, 1, 1]]


def test_threshold_of_bits_palettes_and_named_values(tmp_path):
  bits = save(tmp_path / 'b.png', [[False, True]], dtype=bool)
  assert read_mask(bits, HALF).tolist() == [[0, 1]]
  image = Image.fromarray(np.array([[0, 1]], np.uint8))
  image.putpalette([255, 255, 255, 0, 0, 0])  # index 0 is white
  image.save(tmp_path / 'p.png')
  assert read_mask(tmp_path / 'p.png', HALF).tolist() == [[1, 0]]
  void = Decoding(TWO, label_table(2, {127: VOID}, 128), threshold=128)
  assert read_mask(save(tmp_path / 'v.png', [[0, 127, 255]]), void).tolist() == [[0, VOID, 1]]
  red = save(tmp_path / 'r.png', [[(255, 0, 0)]])
  assert_says(str(error_of(red, HALF)), red, 'in colour', 'color_distance')
  nodata = write_tiff(tmp_path / 'n.tif', [[0, np.nan, 1]], np.float32)
  assert error_of(nodata, HALF).kind == 'masks with unknown values'


LOSSY = {
  'a.jpg': {'quality': 90},
  'a.webp': {'quality': 90},
  'a.tif': {'compression': 'jpeg'},
  'a.avif': {'quality': 90},
  'a.jp2': {'irreversible': True, 'quality_mode': 'rates', 'quality_layers': [2]},
}


@pytest.mark.parametrize('name', LOSSY)
def test_lossy_formats_need_a_threshold_or_a_distance(tmp_path, name):
  grey = save(tmp_path / name, BLOCKS * 255, 'RGB', **LOSSY[name])
  error = error_of(grey, Decoding(TWO, label_table(2, {255: 1})))
  assert error.kind == 'lossy masks' and read_header(grey).lossy in str(error)
  assert_says(str(error), grey, 'mask_threshold=128', 'PNG')
  assert read_mask(grey, HALF).tolist() == BLOCKS.tolist()
  colors = save(tmp_path / f'c{name}', np.array(list(COLORS))[BLOCKS * 2], **LOSSY[name])
  error = error_of(colors, Decoding(THREE, label_table(3), COLORS))
  assert_says(str(error), 'color_distance=64', 'others=void')
  label = read_mask(colors, NEAR)
  inside = np.s_[4:12, 4:12]
  assert (label[inside] == 0).all() and (label[:, 16:][inside] == 2).all()
  assert set(np.unique(label)) <= {0, 2, VOID}
  assert_says(str(error_of(grey, IDS)), 'export the masks as PNG')


def test_grey_jpegs_of_several_classes_go_by_the_colours_of_greys(tmp_path):
  greys = {(0, 0, 0): 0, (127, 127, 127): 1, (255, 255, 255): 2}
  decoding = Decoding(THREE, label_table(3), greys, color_distance=40.0)
  path = save(tmp_path / 'a.jpg', np.kron([[0, 127], [127, 255]], np.ones((16, 16))), quality=95)
  expected = np.kron([[0, 1], [1, 2]], np.ones((16, 16)))
  np.testing.assert_array_equal(read_mask(path, decoding), expected)


def test_nearest_colour_within_a_distance(tmp_path):
  row = [(0, 0, 0), (0, 0, 64), (0, 0, 65), (200, 80, 100), (100, 40, 30), (70, 80, 150)]
  path = save(tmp_path / 'a.png', [row])
  assert read_mask(path, NEAR).tolist() == [[0, 0, VOID, 1, VOID, 2]]
  assert count_raw_values(path, NEAR) == {
    (0, 0, 0): 2,
    (200, 80, 60): 1,
    (70, 80, 210): 1,
    OTHERS: 2,
  }
  strict = Decoding(THREE, label_table(3), COLORS, color_distance=64.0)
  assert_says(str(error_of(path, strict)), '#000041', '#64281e', 'in 2 pixels')


def test_values_without_a_class_are_void_if_asked_for(tmp_path):
  path = write_tiff(tmp_path / 'a.tif', [[-1, 0, 2, 9, 70000]], np.int32)
  assert read_mask(path, OTHERS_VOID).tolist() == [[VOID, 0, 2, VOID, VOID]]
  assert count_raw_values(path, OTHERS_VOID) == {0: 1, 2: 1, OTHERS: 3}
  assert_says(str(error_of(path, IDS)), '-1, 9, 70000', '--config.data.others=void')
  fractions = write_tiff(tmp_path / 'f.tif', [[0.5, np.nan, 2]], np.float32)
  assert read_mask(fractions, OTHERS_VOID).tolist() == [[VOID, VOID, 2]]
  assert error_of(fractions, IDS).kind == 'masks of fractions'
  color = save(tmp_path / 'c.png', [[(1, 2, 3), (0, 0, 0)]])
  assert read_mask(color, OTHERS_VOID).tolist() == [[VOID, VOID]]


@pytest.mark.parametrize(
  'shape, options, kind',
  [
    ((4, 5, 6), {'photometric': 'minisblack', 'planarconfig': 'contig'}, 'many channels'),
    ((4, 5, 2), {'photometric': 'minisblack', 'planarconfig': 'contig'}, 'many channels'),
    ((3, 4, 5), {'photometric': 'minisblack'}, 'several pages'),
  ],
)
def test_one_hot_masks_are_refused(tmp_path, shape, options, kind):
  path = tmp_path / 'a.tif'
  tifffile.imwrite(path, np.zeros(shape, np.uint8), **options)
  assert error_of(path, IDS).kind == f'masks with {kind}'


def joined(paths, decoding):
  errors = [error_of(path, decoding) for path in paths]
  pairs = zip(paths, errors, strict=True)
  (group,) = group_findings(Finding.of(path, error) for path, error in pairs)
  return group.sentence


def test_one_remedy_for_all_values_of_all_masks(tmp_path):
  smooth = [save(tmp_path / f'{i}.png', [[0, 5 + i, 250 - i, 255]]) for i in range(6)]
  sentence = joined(smooth, Decoding(TWO, label_table(2, {255: 1})))
  assert_says(sentence, '12 values in 6 masks, from 5 to 250', 'mask_threshold=128')
  assert 'ignore' not in sentence
  few = [save(tmp_path / f'f{i}.png', [[0, 7 + i]]) for i in range(3)]
  assert_says(joined(few, IDS), "label_map='7:CLASS,8:CLASS,9:CLASS'", "ignore='7,8,9'")
  many = [save(tmp_path / f'm{i}.png', [[0, 3 + 3 * i, 4 + 3 * i, 5 + 3 * i]]) for i in range(4)]
  assert_says(joined(many, IDS), '12 values in 4 masks', '--config.data.others=void')


def test_a_missing_class_is_told_from_smoothed_edges(tmp_path):
  table = Decoding(THREE, label_table(3), COLORS)
  rng = np.random.default_rng(0)
  edges = [tuple(map(int, rng.integers(0, 40, 3))) for _ in range(30)]
  smooth = save(tmp_path / 'a.png', [[*COLORS, *edges]])
  assert_says(str(error_of(smooth, table)), 'color_distance=64', 'others=void')
  missing = save(tmp_path / 'b.png', [[(0, 255, 0)] * 30 + edges])
  assert_says(str(error_of(missing, table)), "colors='#00ff00:CLASS'", 'color_distance')
  assert 'color_distance' not in str(error_of(save(tmp_path / 'c.png', [[(0, 255, 0)]]), table))


def test_damaged_lossy_files_end_in_a_sentence(tmp_path):
  buffer = io.BytesIO()
  Image.fromarray(np.zeros((9, 9), np.uint8)).convert('RGB').save(buffer, 'WEBP')
  for cut in range(0, len(buffer.getvalue()), 7):
    path = tmp_path / 'a.webp'
    path.write_bytes(buffer.getvalue()[:cut])
    assert_says(str(error_of(path, HALF)), path)


def test_values_that_all_masks_share_are_named_once(tmp_path):
  """The number of values in all masks is said only if there are more than in the first."""
  sevens = [save(tmp_path / f'{i}.png', [[0, 7]]) for i in range(3)]
  assert 'In all' not in joined(sevens, IDS)
  more = [*sevens, save(tmp_path / '8.png', [[0, 8]])]
  assert_says(joined(more, IDS), 'the value 7;', 'In all: 2 values in 4 masks, from 7 to 8.')
