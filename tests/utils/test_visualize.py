"""Colours, overlays and grids by the pixel."""

import numpy as np
import pytest

from classmix_jax.utils.fonts import LINE
from classmix_jax.utils.visualize import (
  CAPTION,
  MARGIN,
  VISIBLE,
  colorize,
  grid,
  overlay,
  thumbnail,
  to_bytes,
  void_color,
)

PALETTE = ((255, 0, 0), (0, 255, 0))


def test_to_bytes_rounds_and_clips():
  actual = to_bytes(np.array([[[-1.0, 0.0, 0.5], [0.499 / 255, 0.501 / 255, 2.0]]]))
  assert actual.tolist() == [[[0, 0, 128], [0, 1, 255]]] and actual.dtype == np.uint8
  image = np.full((1, 1, 3), 7, np.uint8)
  assert to_bytes(image) is image


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.int64])
def test_colorize(dtype):
  actual = colorize(np.array([[0, 1], [255, 2]], dtype), PALETTE)
  void = [224, 224, 192]  # as in the figures of PASCAL VOC
  assert actual.tolist() == [[[255, 0, 0], [0, 255, 0]], [void, void]]
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


@pytest.mark.parametrize('color', [(0, 0, 0), (224, 224, 192), (230, 230, 200), (128, 128, 128)])
def test_no_class_looks_like_void(color):
  """Class 0 without a colour is black."""
  void = np.array(void_color([color, (255, 255, 255)]))
  assert np.abs(void - color).max() >= 32
  label = np.array([[-1, 0, 1, 2, 255, 256]])
  expected = [void.tolist(), list(color), [255, 255, 255]] + [void.tolist()] * 3
  assert colorize(label, [color, (255, 255, 255)])[0].tolist() == expected


@pytest.mark.parametrize(
  'size, expected', [((32, 32), (96, 96)), ((64, 48), (128, 96)), ((100, 1300), (34, 434))]
)
def test_thumbnails_have_a_visible_size(size, expected):
  label = np.arange(size[0] * size[1]).reshape(size)
  result = thumbnail(label, VISIBLE)
  assert result.shape == expected
  assert set(result.ravel()) <= set(label.ravel())  # ids are not blended


def test_captions_of_narrow_columns_are_broken():
  captions = ('mixed image', 'prediction of the mixed image', 'pseudo-label of the mixed image')
  images = [np.full((8, 8, 3), 50 * x, np.uint8) for x in range(3)]
  canvas = np.asarray(grid([images], captions))
  width = (canvas.shape[1] - MARGIN) // 3
  lines = (canvas.shape[0] - 8 - MARGIN) // CAPTION
  assert lines >= 3 and width > 8 + MARGIN  # as wide as the longest word
  for x in range(3):
    left = MARGIN + width * x
    column = canvas[: CAPTION * lines, left : left + width]
    assert column.min() < 100 and (column[:, width - MARGIN :] == 255).all()  # nothing overlaps
    np.testing.assert_array_equal(canvas[CAPTION * lines + 4, left + 4], images[x][0, 0])


def test_a_figure_has_its_legend_below():
  image = np.zeros((10, 400, 3), np.uint8)
  canvas = np.asarray(grid([[image]], ('a',), ('road', 'car'), PALETTE, void=True))
  legend = canvas[CAPTION + 10 + MARGIN :].reshape(-1, 3)
  assert len(canvas) == CAPTION + 10 + MARGIN + LINE
  for color in (*PALETTE, void_color(PALETTE)):
    assert (legend == color).all(axis=1).sum() >= 64  # its square, perhaps without the edge
