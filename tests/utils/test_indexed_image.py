"""Palette images keep the ids, and show the colours of the classes."""

import numpy as np
from PIL import Image
import pytest

from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.datasets.folder.palette import voc_palette
from classmix_jax.utils.atomic_write import write_png
from classmix_jax.utils.indexed_image import to_indexed
from classmix_jax.utils.visualize import void_color


@pytest.mark.parametrize('count', [1, 2, 3, 17, 254])
def test_ids_survive_the_file(tmp_path, count):
  label = np.array([[0, count - 1, 255]], np.uint8)
  palette = voc_palette(count)
  write_png(tmp_path / 'x.png', to_indexed(label, palette))
  assert (tmp_path / 'x.png').read_bytes()[24:26] == b'\x08\x03'  # 8 bits, a palette
  with Image.open(tmp_path / 'x.png') as image:
    assert image.mode == 'P'
    np.testing.assert_array_equal(np.asarray(image), label)
    colors = np.asarray(image.convert('RGB'))[0].tolist()
  assert colors == [list(palette[0]), list(palette[-1]), list(void_color(palette))]
  decoding = Decoding(tuple(map(str, range(count))), label_table(count))
  np.testing.assert_array_equal(read_mask(tmp_path / 'x.png', decoding), label)
