"""Packed colours keep the order of triples and unpack to the same."""

import numpy as np

from classmix_jax.data.files.colors import hex_color, pack_color, pack_colors, unpack_color


def test_pack_and_unpack():
  colors = [(0, 0, 0), (0, 0, 255), (0, 1, 0), (1, 2, 3), (255, 255, 255)]
  assert [pack_color(color) for color in colors] == [0, 255, 256, 0x010203, 0xFFFFFF]
  assert [unpack_color(pack_color(color)) for color in colors] == colors


def test_arrays_pack_as_single_colors():
  rgb = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
  packed = pack_colors(rgb)
  assert packed.shape == (4, 5) and packed.dtype == np.int32
  assert packed[2, 3] == pack_color(tuple(rgb[2, 3].tolist()))


def test_packing_keeps_the_order_of_triples():
  colors = sorted(map(tuple, np.random.default_rng(1).integers(0, 256, (50, 3)).tolist()))
  assert (np.diff(pack_colors(np.array(colors))) >= 0).all()


def test_hex():
  assert hex_color((128, 64, 255)) == '#8040ff'
