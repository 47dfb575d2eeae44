"""Colours, overlays and grids by the pixel."""

import numpy as np
import pytest

from classmix_jax.utils.visualize import (
  CAPTION,
  MARGIN,
  colorize,
  grid,
  legend_height,
  overlay,
  to_bytes,
)

PALETTE = ((255, 0, 0), (0, 255, 0))


def test_to_bytes_rounds_and_clips():
  actual = to_bytes(np.array([[[-1.0, 0.0, 0.5], [0.499 / 255, 0.501 / 255, 2.0]]]))
  assert actual.tolist() == [[[0, 0, 128], [0, 1, 255]]] and actual.dtype == np.uint8
  image = np.full((1, 1, 3), 7, np.uint8)
  assert to_bytes(image) is image


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.int64])
def test_colorize(dtype):
  actual = colorize(np.array([[0, 1], [255, 0]], dtype), PALETTE)
  assert actual.tolist() == [[[255, 0, 0], [0, 255, 0]], [[0, 0, 0], [255, 0, 0]]]
  assert colorize(np.zeros((2, 3, 4), dtype), PALETTE).shape == (2, 3, 4, 3)


def test_overlay():
  image, color = np.full((1, 1, 3), 100, np.uint8), np.full((1, 1, 3), 201, np.uint8)
  assert overlay(image, color, 0.0).tolist() == image.tolist()
  assert overlay(image, color, 1.0).tolist() == color.tolist()
  assert overlay(image, color, 0.25).tolist() == [[[125, 125, 125]]]


def test_grid_places_every_image():
  height, width = 20, 30
  rows = [
    [np.full((height, width, 3), 10 * (2 * y + x + 1), np.uint8) for x in range(2)]
    for y in range(3)
  ]
  rows[0][1] = np.full((height, width, 3), 0.5)  # a float image between the others
  canvas = np.asarray(grid(rows, ('left', 'right')))
  assert canvas.shape == (CAPTION + 3 * (height + MARGIN), MARGIN + 2 * (width + MARGIN), 3)
  for y, row in enumerate(rows):
    for x, image in enumerate(row):
      top, left = CAPTION + y * (height + MARGIN), MARGIN + x * (width + MARGIN)
      np.testing.assert_array_equal(
        canvas[top : top + height, left : left + width], to_bytes(image)
      )
  assert (canvas[CAPTION:, :MARGIN] == 255).all()  # the margin stays white


def test_legend_has_a_square_per_class():
  image = np.zeros((10, 200, 3), np.uint8)
  canvas = np.asarray(grid([[image]], ('a',), ('road', 'a very long class name'), PALETTE))
  bottom = CAPTION + 10 + MARGIN
  assert canvas.shape[0] == bottom + legend_height(('a', 'b'), canvas.shape[1])
  legend = canvas[bottom:].reshape(-1, 3)
  for color in PALETTE:
    assert (legend == color).all(axis=1).sum() >= 100  # ten by ten


def test_legend_height_breaks_lines():
  assert [legend_height('a' * n, 200) for n in (0, 1, 2, 3)] == [0, CAPTION, CAPTION, 2 * CAPTION]
  assert legend_height('aaa', 10) == 3 * CAPTION
