"""Images that use a small part of their range are named, with the range to set."""

import numpy as np
from PIL import Image
import pytest
import tifffile
from toy import assert_says

from classmix_jax.data.files.file_source import image_source
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.reading import parse_reading
from classmix_jax.data.value_check import value_warnings


def warnings_of(directory, **options):
  return value_warnings([image_source(find_images(directory), reading=parse_reading(**options))])


def tiles(directory, dtype, highest, *, lowest=0, count=3):
  """Tiles of three bands whose values run from `lowest` to `highest`."""
  for index in range(count):
    values = np.linspace(lowest, highest, 30 * 40 * 3).reshape(30, 40, 3).astype(dtype)
    tifffile.imwrite(directory / f'{index}.tif', values, photometric='rgb')


@pytest.mark.parametrize(
  'dtype, lowest, highest, advice',
  [
    (np.uint16, 0, 3060, '0:3060'),
    (np.uint16, 0, 4095, '0:4095'),  # a scanner's 12 bits
    (np.uint16, 4000, 6000, '4000:6000'),  # far from 0, but of little contrast
    (np.int32, 0, 255, '0:255'),
    (np.int16, -2500, 100, '-2500:100'),
    (np.float32, -1, 1, '-1:1'),
    (np.float32, 0, 0.02, '0:0.02'),
    (np.float64, 0, 255, '0:255'),
    (np.uint16, 0, 65535, ''),
    (np.uint16, 0, 20000, ''),
    (np.uint8, 0, 20, ''),
    (np.float32, 0, 1, ''),
  ],
)
def test_small_or_exceeded_ranges_are_named(tmp_path, dtype, lowest, highest, advice):
  tiles(tmp_path, dtype, highest, lowest=lowest)
  found = warnings_of(tmp_path)
  if not advice:
    assert found == []
    return
  assert len(found) == 1
  assert_says(found[0], f'value_range={advice},', np.dtype(dtype).name, '3 looked at')
  assert warnings_of(tmp_path, value_range=advice) == []
  assert warnings_of(tmp_path, value_range='p2:p98') == []


def test_the_share_of_the_range_is_that_of_most_values(tmp_path):
  tiles(tmp_path, np.uint16, 2000)
  values = tifffile.imread(tmp_path / '0.tif')
  values[0, 0] = 60_000  # one hot pixel
  tifffile.imwrite(tmp_path / '0.tif', values, photometric='rgb')
  found = warnings_of(tmp_path)
  assert_says(found[0], 'from 0 to 60000', '3.0 % of 0:65535', 'value_range=0:199')


def test_a_range_that_does_not_fit_is_named(tmp_path):
  tiles(tmp_path, np.uint16, 3060)
  assert_says(
    warnings_of(tmp_path, value_range='0:255')[0], '92 % of which', '0:255', 'value_range=0:3060'
  )
  per_band = warnings_of(tmp_path, value_range='0:3060,0:3060,0:65535')
  assert_says(per_band[0], '0 to 3058, 0 to 3059, 1 to 3060')
  Image.fromarray(np.full((9, 9, 3), 90, np.uint8) + np.arange(9, dtype=np.uint8)[:, None]).save(
    tmp_path / 'photo.png'
  )
  mixed = warnings_of(tmp_path, value_range='0:3060')
  assert len(mixed) == 1  # the photo of 8 bits
  assert_says(mixed[0], 'uint8 from 90 to 98', '0.3 % of 0:3060', 'value_range=p2:p98')
  assert 'value_range=90' not in mixed[0]


def test_unreadable_files_and_other_bands_are_passed_over(tmp_path):
  tiles(tmp_path, np.uint16, 65535)
  (tmp_path / 'a.tif').write_bytes(b'II*\0')
  tifffile.imwrite(tmp_path / 'b.tif', np.zeros((9, 9, 5), np.uint16), photometric='minisblack')
  assert warnings_of(tmp_path) == []
