"""Photos in HEIC and AVIF, as phones take them."""

import importlib.util

import numpy as np
from PIL import Image, features
import pytest
import toy

from classmix_jax.data.files.find_images import EXTENSIONS, find_images, readable_extensions
from classmix_jax.data.files.image_io import read_header, read_image
from classmix_jax.data.files.unused import describe_unused
from classmix_jax.errors import UserError

HAS_HEIF = importlib.util.find_spec('pillow_heif') is not None
HEAD = b'\0\0\0\x18ftypheic\0\0\0\0'  # of an iPhone's photo


@pytest.mark.skipif(HAS_HEIF, reason='pillow-heif is installed')
def test_photos_in_heic_are_counted_and_their_package_named(tmp_path):
  for index in range(3):
    (tmp_path / f'IMG_{index}.HEIC').write_bytes(HEAD)
  assert find_images(tmp_path) == {} and '.heic' not in readable_extensions()
  remedy = "pip install 'classmix_jax[heic]', or convert"
  toy.assert_says(describe_unused([tmp_path])[0], '3 files *.HEIC are not read', remedy)
  (tmp_path / 'renamed.jpg').write_bytes(HEAD)
  with pytest.raises(UserError) as caught:
    read_image(tmp_path / 'renamed.jpg')
  toy.assert_says(str(caught.value), 'renamed.jpg is in the format HEIC', remedy)


def gradient():
  return np.linspace(0, 255, 64 * 48 * 3).reshape(64, 48, 3).astype(np.uint8)


@pytest.mark.skipif(not HAS_HEIF, reason='pillow-heif is not installed')
@pytest.mark.parametrize('orientation', [1, 6])
def test_photos_in_heic_are_read_upright(tmp_path, orientation):
  import pillow_heif

  exif = Image.Exif()
  exif[0x0112] = orientation
  path = tmp_path / 'a.HEIC'
  pillow_heif.from_pillow(Image.fromarray(gradient())).save(path, exif=exif.tobytes(), quality=95)
  expected = np.rot90(gradient(), -1) if orientation == 6 else gradient()
  assert find_images(tmp_path) == {'a': path} and readable_extensions() == EXTENSIONS
  assert read_header(path).size == expected.shape[:2]
  assert np.abs(read_image(path).astype(int) - expected).mean() < 3
  path.write_bytes(path.read_bytes()[:200])
  with pytest.raises(UserError, match='a.HEIC does not decode'):
    read_image(path)


@pytest.mark.skipif(not features.check('avif'), reason='this Pillow has no AVIF')
def test_avif_is_read_and_no_mask(tmp_path):
  Image.fromarray(gradient()).save(tmp_path / 'a.avif', quality=95)
  image = read_image(find_images(tmp_path)['a'])
  assert np.abs(image.astype(int) - gradient()).mean() < 4


@pytest.mark.parametrize('name', ['a.jfif', 'a.JPE', 'a.ppm', 'a.gif', 'a.jp2', 'a.pnm'])
def test_other_extensions_of_images_are_read(tmp_path, name):
  kind = {'jfif': 'JPEG', 'JPE': 'JPEG', 'jp2': 'JPEG2000', 'gif': 'GIF'}.get(name[2:], 'PPM')
  Image.new('RGB', (7, 5), (200, 200, 200)).save(tmp_path / name, kind)
  image = read_image(find_images(tmp_path)['a'])
  assert image.shape == (5, 7, 3) and np.abs(image.astype(int) - 200).max() <= 2


@pytest.mark.parametrize('kind', ['GIF', 'WEBP', 'PNG'])
def test_animations_are_refused(tmp_path, kind):
  frames = [Image.new('RGB', (7, 5), (40 * index, 0, 0)) for index in range(3)]
  path = tmp_path / f'a.{kind.lower()}'
  frames[0].save(path, kind, save_all=True, append_images=frames[1:])
  with pytest.raises(UserError, match='is an animation: save the frames'):
    read_image(path)
