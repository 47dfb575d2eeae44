"""Images that EXIF turns: masks that fit either way are counted, and turned if that is set."""

import numpy as np
from PIL import Image
import pytest
from toy import assert_says, config, save, write_folder

from classmix_jax.data.files.checks import check_pairs
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.file_source import paired_source
from classmix_jax.data.files.image_io import read_header, read_image
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.data.files.turning import fits_either_way
from classmix_jax.data.label_check import check_at_start
from classmix_jax.datasets import folder
from classmix_jax.errors import UserError
from classmix_jax.tools.data_check.check_data import check_data

AS_STORED = Decoding(('a', 'b'), label_table(2))
TURNED = Decoding(('a', 'b'), label_table(2), turns_masks=True)
STORED = np.kron([[0, 1, 1], [0, 0, 1]], np.ones((8, 8), int))  # [16, 24]


def with_tag(path, values, orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  return save(path, values, exif=exif)


def pair_of(directory, orientation, suffix='png', mask_orientation=1):
  """An image whose bright pixels are class 1 in its mask, both drawn on the pixels as stored."""
  image = with_tag(directory / f'i.{suffix}', np.stack([STORED * 255] * 3, -1), orientation)
  return Pairs(('x',), (image,), (with_tag(directory / 'm.png', STORED, mask_orientation),))


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'tif', 'webp'])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_masks_are_turned_with_their_images(tmp_path, orientation, suffix):
  pairs = pair_of(tmp_path, orientation, suffix)
  check_pairs(pairs, TURNED)
  source = paired_source(pairs, TURNED)
  bright = read_image(pairs.images[0])[..., 0] > 128
  np.testing.assert_array_equal(source.read_label(0), bright)
  headers = [read_header(part[0]) for part in pairs[1:]]
  assert fits_either_way(*headers) == (orientation in (2, 3, 4))
  if orientation >= 5:
    with pytest.raises(UserError) as error:
      check_pairs(pairs, AS_STORED)
    assert_says(str(error.value), '16x24', '24x16', '--config.data.turn_masks=True')


def test_masks_with_a_tag_of_their_own_are_not_turned_again(tmp_path):
  pairs = pair_of(tmp_path, 6, mask_orientation=6)
  for decoding in (AS_STORED, TURNED):
    check_pairs(pairs, decoding)
    bright = read_image(pairs.images[0])[..., 0] > 128
    np.testing.assert_array_equal(paired_source(pairs, decoding).read_label(0), bright)
  assert not fits_either_way(*(read_header(part[0]) for part in pairs[1:]))


def test_masks_that_fit_turned_are_not_to_be_turned(tmp_path):
  pairs = pair_of(tmp_path, 6)
  save(pairs.masks[0], np.rot90(STORED, -1))
  check_pairs(pairs, AS_STORED)
  with pytest.raises(UserError, match='turn the mask alike or remove the tag'):
    check_pairs(pairs, TURNED)


def test_square_images_fit_either_way(tmp_path):
  image = with_tag(tmp_path / 'i.png', np.zeros((8, 8, 3)), 6)
  assert fits_either_way(read_header(image), read_header(save(tmp_path / 'm.png', STORED[:8, :8])))


def test_a_warning_counts_them(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  root = write_folder(tmp_path / 'data')
  for name in ('0', '2'):
    path = root / f'labeled/images/street/{name}.png'
    with Image.open(path) as image:
      pixels = np.array(image)
    with_tag(path, pixels, 3)
  sentence = '2 of 4 labelled images are turned by their EXIF tag and their masks fit either way'
  assert check_data(config(root), tmp_path / 'out') == []
  assert sentence in (tmp_path / 'out/report.txt').read_text()
  dataset = folder.load(str(root))
  (warning,) = check_at_start(dataset.train, dataset.val, dataset.class_names).warnings
  assert warning.startswith(sentence) and 'turn_masks=True' in warning
  turned = folder.load(str(root), turn_masks=True)
  assert check_at_start(turned.train, turned.val, turned.class_names).warnings == []
  as_stored, with_image = dataset.train.read_label(0), turned.train.read_label(0)
  np.testing.assert_array_equal(with_image, as_stored[::-1, ::-1])
  assert dataset.train.version() != turned.train.version()
