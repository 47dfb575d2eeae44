"""Images of more than 8 bits or three bands, written by tifffile and imagecodecs, read exactly."""

import struct

import imagecodecs
import numpy as np
from PIL import Image
import pytest
import tifffile
from toy import assert_says

from classmix_jax.data.files import tiff_io
from classmix_jax.data.files.image_io import read_header, read_image
from classmix_jax.data.files.open_image import Encoded
from classmix_jax.data.files.pixel_io import read_layout, read_pixels
from classmix_jax.data.files.reading import Reading, ValueRange, parse_reading
from classmix_jax.errors import UserError


def message(call, *args, **kwargs):
  with pytest.raises(UserError) as caught:
    call(*args, **kwargs)
  return str(caught.value)


def bands_of(count, dtype=np.uint16, size=(32, 48)):
  """Values that differ at every pixel and in every band."""
  values = np.arange(count * size[0] * size[1]) % 3061
  return values.reshape(*size, count).astype(dtype)


def write(path, values, *, planar=False, gdal=(), **options):
  """Writes `[H, W, bands]` as GDAL does: the first band is grey, the others are unspecified."""
  count = values.shape[-1]
  tags = [(code, 's', 0, text, True) for code, text in gdal]
  tifffile.imwrite(
    path,
    np.moveaxis(values, -1, 0) if planar else values if count > 1 else values[..., 0],
    photometric=options.pop('photometric', 'minisblack'),
    planarconfig='separate' if planar else 'contig',
    extrasamples=options.pop('extrasamples', [0] * (count - 1) or None),
    extratags=tags,
    metadata=None,
    **options,
  )
  return path


@pytest.mark.parametrize(
  'options',
  [
    {},
    {'compression': 'zlib', 'predictor': True},
    {'compression': 'lzw', 'planar': True},
    {'compression': 'zstd', 'tile': (16, 16)},
    {'compression': 'packbits', 'byteorder': '>'},
    {'bigtiff': True, 'compression': 'lerc'},
  ],
)
@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.uint32, np.float32, np.float64])
def test_four_bands_are_read_as_they_were_written(tmp_path, dtype, options):
  values = bands_of(4, dtype)
  path = write(tmp_path / 'a.tif', values, **options)
  pixels = read_pixels(path)
  assert pixels.dtype == dtype
  np.testing.assert_array_equal(pixels, values)
  assert read_header(path)[:3] == ((32, 48), 'TIFF', f'4 bands of {np.dtype(dtype)}')
  reading = parse_reading('4,3,2', '0:3060')
  image = read_image(path, reading=reading)
  expected = np.rint(values[..., [3, 2, 1]].astype(float) / 12)  # 3060 / 255
  np.testing.assert_array_equal(image, expected)
  record = Encoded(path.read_bytes(), 'record 3', 'Prepare it again.')
  np.testing.assert_array_equal(read_image(record, reading=reading), image)


def test_bands_that_are_not_rgb_are_refused_with_their_names(tmp_path):
  for count, bands in ((2, '1'), (4, '1,2,3'), (5, '1,2,3')):
    for dtype in (np.uint8, np.uint16):
      path = write(tmp_path / 'a.tif', bands_of(count, dtype))
      assert_says(
        message(read_image, path),
        path,
        f'{count} bands of {np.dtype(dtype)}',
        f'data.bands={bands}',
      )
  items = ''.join(
    f'<Item name="DESCRIPTION" sample="{i}" role="description">{name}</Item>'
    for i, name in enumerate(['B02', 'B03', 'B04', 'B08'])
  )
  path = write(tmp_path / 'a.tif', bands_of(4), gdal=[(42112, f'<GDALMetadata>{items}')])
  assert_says(message(read_image, path), '(1 B02, 2 B03, 3 B04, 4 B08)', 'data.bands=3,2,1')
  assert_says(
    message(read_image, path, reading=parse_reading('1,2,7')), path, '4 bands', 'bands is 1,2,7'
  )


def test_alpha_is_no_color(tmp_path):
  values = bands_of(4) * 20
  path = write(tmp_path / 'a.tif', values, photometric='rgb', extrasamples=[2])
  np.testing.assert_array_equal(read_image(path), np.rint(values[..., :3] / 257.0))
  small = values.astype(np.uint8)
  path = write(tmp_path / 'b.tif', small, photometric='rgb', extrasamples=[2])
  assert read_layout(path) is None  # PIL reads it, as ever
  np.testing.assert_array_equal(read_image(path), small[..., :3])
  near_infrared = read_image(path, reading=parse_reading('4'))
  np.testing.assert_array_equal(near_infrared, np.repeat(small[..., 3:], 3, axis=2))


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_rgb_with_a_fourth_band_that_no_tag_describes_is_rgba(tmp_path, dtype):
  """As OpenCV writes it, and PIL reads it with 8 bits; tag 338 is ExtraSamples."""
  values = bands_of(4, dtype)
  path = write(tmp_path / 'a.tif', values, photometric='rgb', extrasamples=[2])
  extra_samples, private = (struct.pack('<HH', tag, 3) for tag in (338, 65000))
  path.write_bytes(path.read_bytes().replace(extra_samples, private))
  expected = np.rint(values[..., :3] / (257.0 if dtype == np.uint16 else 1))
  np.testing.assert_array_equal(read_image(path), expected)


@pytest.mark.parametrize('encode', ['png', 'tif', 'jp2'])
def test_rgb_of_sixteen_bits_keeps_its_lower_byte(tmp_path, encode):
  values = bands_of(3)  # at most 3060: PIL would give 0 to 11
  path = tmp_path / f'a.{encode}'
  if encode == 'tif':
    write(path, values, photometric='rgb', extrasamples=None)
  else:
    encoder = imagecodecs.png_encode if encode == 'png' else imagecodecs.jpeg2k_encode
    path.write_bytes(encoder(values, **({'level': 0} if encode == 'jp2' else {})))
  np.testing.assert_array_equal(read_pixels(path), values)
  np.testing.assert_array_equal(
    read_image(path, reading=parse_reading('', '0:3060')), np.rint(values / 12.0)
  )
  assert read_image(path).max() == 12  # without an option: of 0..65535


def test_pages_of_one_size_are_bands_that_need_a_choice(tmp_path):
  values = bands_of(5, np.uint8)
  path = tmp_path / 'stack.tif'
  tifffile.imwrite(path, np.moveaxis(values, -1, 0), photometric='minisblack', metadata=None)
  assert_says(message(read_image, path), path, '5 bands of uint8 in 5 pages', 'bands=1,2,3')
  image = read_image(path, reading=parse_reading('5,1,2'))
  np.testing.assert_array_equal(image, values[..., [4, 0, 1]])
  with tifffile.TiffWriter(path) as file:  # overviews, as GDAL adds them
    file.write(values[..., :3], photometric='rgb')
    file.write(values[::2, ::2, :3], photometric='rgb', subfiletype=1)
  np.testing.assert_array_equal(read_image(path), values[..., :3])


def test_pixels_without_data_are_black(tmp_path):
  values = np.array([[[-9999], [np.nan], [10], [20]]], np.float32)
  path = write(tmp_path / 'a.tif', values, gdal=[(42113, '-9999')])
  image = read_image(path, reading=parse_reading('', '0:40'))
  assert image[0, :, 0].tolist() == [0, 0, 64, 128]
  percentiles = read_image(path, reading=parse_reading('', 'p0:p100'))
  assert percentiles[0, :, 0].tolist() == [0, 0, 0, 255]
  assert_says(message(read_image, path), 'from 10 to 20', 'value_range=10:20')
  empty = write(tmp_path / 'b.tif', values[:, :1], gdal=[(42113, '-9999')])
  assert read_image(empty, reading=parse_reading('', 'p2:p98')).tolist() == [[[0, 0, 0]]]
  assert read_image(empty).tolist() == [[[0, 0, 0]]]


@pytest.mark.parametrize(
  'values, dtype, expected',
  [
    ([[0, 65535]], np.uint16, [0, 255]),
    ([[0, 32767]], np.int16, [0, 255]),
    ([[0, 65535]], np.int32, [0, 255]),
    ([[0, 255]], np.uint32, [0, 1]),  # of 0..65535; `value_warnings` names the range to set
    ([[0, 1]], np.float32, [0, 255]),
    ([[-1, 5]], np.int16, None),
    ([[0, 65536]], np.uint32, None),
    ([[0, 255]], np.float32, None),
  ],
)
def test_the_range_of_a_type_is_never_exceeded_in_silence(tmp_path, values, dtype, expected):
  path = write(tmp_path / 'a.tif', np.array(values, dtype)[..., None])
  if expected is None:
    assert_says(
      message(read_image, path),
      path,
      f'value_range={values[0][0]}:{values[0][1]}',
      str(dtype(0).dtype),
    )
  else:
    assert read_image(path)[0, :, 0].tolist() == expected


def test_options_work_on_images_of_eight_bits(tmp_path):
  values = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
  path = tmp_path / 'a.png'
  Image.fromarray(values).save(path)
  np.testing.assert_array_equal(read_image(path, reading=parse_reading('3,2,1')), values[..., ::-1])
  ranges = read_image(path, reading=parse_reading('', '0:51, 0:51, 0:5'))
  np.testing.assert_array_equal(ranges[..., :2], values[..., :2] * 5)
  assert ranges[0, 0].tolist() == [0, 5, 102] and ranges[1, 3, 2] == 255
  Image.fromarray(values[..., 0]).save(path)
  assert_says(message(read_image, path, reading=parse_reading('1,2,3')), path, '1 band of uint8')
  assert_says(message(read_image, path, reading=parse_reading('', '0:1,0:1,0:2')), 'give one')


def test_options_are_parsed_or_refused():
  assert parse_reading() == Reading()
  assert parse_reading('(4, 3, 2)', 'p2:p98').bands == (4, 3, 2)
  assert parse_reading('1', '-2.5:1e3').ranges == (ValueRange(-2.5, 1000),)
  for bands in ('0,1,2', '1,2', 'r,g,b', '1,2,3,4', '1;2;3'):
    assert_says(message(parse_reading, bands), 'config.data.bands', bands)
  for text in ('3060', '5:5', '9:1', 'p2:98', 'p2:p101', '0:1,0:1', 'a:b', '0:inf'):
    assert_says(message(parse_reading, '', text), 'config.data.value_range', text)


@pytest.mark.parametrize('tag', range(1, 9))
def test_orientation_turns_deep_images_as_pil_turns_others(tmp_path, tag):
  exif = Image.Exif()
  exif[0x0112] = tag
  values = bands_of(3, np.uint8, (3, 5))
  Image.fromarray(values).save(tmp_path / 'a.png', exif=exif)
  orientation = [(274, 'H', 1, tag, True)]
  tifffile.imwrite(
    tmp_path / 'a.tif', values * np.uint16(257), photometric='rgb', extratags=orientation
  )
  expected = read_image(tmp_path / 'a.png')
  np.testing.assert_array_equal(read_image(tmp_path / 'a.tif'), expected)
  assert read_header(tmp_path / 'a.tif').size == expected.shape[:2]


def test_bombs_and_odd_types_are_refused_by_their_headers(tmp_path, monkeypatch):
  path = tmp_path / 'a.tif'
  write(path, bands_of(4, np.complex64))
  assert_says(message(read_image, path), path, 'complex64')
  write(path, bands_of(4))
  monkeypatch.setattr(tiff_io, 'MAX_BYTES', 12_000)
  assert_says(message(read_image, path), path, '4 bands of 48x32', 'fewer bands')
  monkeypatch.setattr(Image, 'MAX_IMAGE_PIXELS', 100)
  assert_says(message(read_image, path), path, 'more than 200 pixels')


def test_remedies_are_options_that_the_data_set_has(tmp_path):
  """Of data sets without `config.data.bands` and `value_range` the files are to be changed."""
  plain = Reading(has_options=False)
  bands = write(tmp_path / 'a.tif', bands_of(5))
  values = write(tmp_path / 'b.tif', bands_of(3, np.float32) + 2)
  for path, advice in ((bands, 'save it as an RGB image.'), (values, 'an RGB image of 8 bits.')):
    sentence = message(read_image, path, reading=plain)
    assert_says(sentence, path, advice)
    assert 'config.data' not in sentence
