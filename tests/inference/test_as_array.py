"""An image has the same pixels as a file, a PIL image and an array of any usual type."""

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.data.files.image_io import read_image
from classmix_jax.data.files.reading import parse_reading
from classmix_jax.inference.as_array import as_array

RGB = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
GREY = RGB[..., 0]


def test_types_of_arrays():
  rgba = np.dstack([RGB, GREY])
  for array in (RGB, rgba, RGB / 255, (RGB / 255).astype(np.float16), np.uint16(RGB) * 257):
    np.testing.assert_array_equal(as_array(array), RGB)
  grey = np.dstack([GREY] * 3)
  for array in (GREY, GREY[..., None], np.dstack([GREY, GREY]), np.float32(GREY / 255)):
    np.testing.assert_array_equal(as_array(array), grey)
  np.testing.assert_array_equal(as_array(GREY > 99)[..., 1], 255 * (GREY > 99))


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'L', 'LA', '1', 'P', 'CMYK'])
def test_pil_images_are_read_as_their_files(tmp_path, mode):
  image = Image.fromarray(RGB).convert(mode)
  path = tmp_path / f'x.{"tif" if mode == "CMYK" else "png"}'
  image.save(path)
  expected = read_image(path)
  for one in (image, Image.open(path), path, str(path)):
    np.testing.assert_array_equal(as_array(one), expected)


@pytest.mark.parametrize('kind', ['png', 'tif'])
def test_pil_images_are_turned_as_their_files(tmp_path, kind):
  exif = Image.Exif()
  exif[0x112] = 6  # by a quarter
  Image.fromarray(RGB).save(tmp_path / f'x.{kind}', exif=exif)
  expected = read_image(tmp_path / f'x.{kind}')
  assert expected.shape == (7, 5, 3)
  image = Image.open(tmp_path / f'x.{kind}')
  for _ in range(2):  # the image of the caller is not turned
    np.testing.assert_array_equal(as_array(image), expected)


def test_deep_grey_images(tmp_path):
  """16 bits are the whole range of their type, as in files; PIL would clip them to 255."""
  deep = Image.fromarray(np.full((2, 3), 200 * 257, np.uint16))
  assert as_array(deep).max() == 200
  deep.save(tmp_path / 'x.png')
  np.testing.assert_array_equal(as_array(tmp_path / 'x.png'), as_array(deep))
  with pytest.raises(ValueError, match='floats from 300 to 300; expected are 0 to 1'):
    as_array(Image.fromarray(np.full((2, 3), 300, np.float32)))
  with pytest.raises(ValueError, match='is int32 of shape'):
    as_array(Image.fromarray(np.full((2, 3), 300, np.int32)))


def test_bands_and_ranges_of_a_run_hold_for_all_kinds(tmp_path):
  reading = parse_reading('3,2,1', '0:100')
  path = toy.save(tmp_path / 'x.png', RGB)
  expected = np.clip(np.rint(RGB[..., ::-1] * 2.55), 0, 255).astype(np.uint8)
  for image in (RGB, RGB.astype(int), RGB.astype(float), Image.fromarray(RGB), path):
    np.testing.assert_array_equal(as_array(image, reading), expected)
  five = np.dstack([RGB, RGB])[..., :5]
  assert as_array(five, parse_reading('5', '')).shape == (5, 7, 3)


@pytest.mark.parametrize(
  'array, part',
  [
    (RGB.astype(int), 'int64 of shape'),
    (RGB.transpose(2, 0, 1), r'\(3, 5, 7\)'),
    (RGB[None], r'\(1, 5, 7, 3\)'),
    (RGB[:0], r'\(0, 7, 3\)'),
    (None, 'object of shape'),
    (RGB.astype(float), 'floats from .* expected are 0 to 1: divide'),
  ],
)
def test_other_arrays_are_refused(array, part):
  with pytest.raises(ValueError, match=part):
    as_array(array)
