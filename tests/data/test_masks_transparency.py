"""Transparency of masks: read where colours repeat it, refused elsewhere, and what was chosen."""

import numpy as np
from PIL import Image
import pytest
from toy import assert_says, save

from classmix_jax.data.files.decoding import TRANSPARENT, Decoding, label_table
from classmix_jax.data.files.findings import Finding, group_findings
from classmix_jax.data.files.mask_io import count_raw_values, read_mask
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

NAMES = ('ground', 'box')
COLORS = {(0, 0, 0): 0, (200, 80, 60): 1}
BLACK, RED, WHITE = (0, 0, 0), (200, 80, 60), (255, 255, 255)


def decoding(choice=None, colors=None, **options):
  return Decoding(NAMES, label_table(2, options), colors or {}, transparent=choice)


def rgba(path, colors, alphas):
  return save(path, [[(*color, alpha) for color, alpha in zip(colors, alphas, strict=True)]])


def gray_alpha(path, values, alphas):
  return save(path, [list(zip(values, alphas, strict=True))], 'LA')


def palette(path, indices, transparency):
  image = Image.fromarray(np.asarray([indices], np.uint8))
  image.putpalette([*BLACK, *RED, *WHITE])
  image.save(path, transparency=transparency)
  return path


def grey_key(path, values, key):
  return save(path, [values], transparency=key)


def deep_key(path, values, key):
  return save(path, [values], dtype=np.uint16, transparency=key)


def error_of(path, choice=None, colors=None):
  with pytest.raises(UserError) as caught:
    read_mask(path, decoding(choice, colors))
  return caught.value


@pytest.mark.parametrize(
  'write, values, alpha, colors',
  [
    (rgba, (BLACK, RED, RED), (0, 255, 255), COLORS),  # painted on an empty canvas
    (rgba, (BLACK, RED, RED), (0, 127, 127), COLORS),  # as a translucent overlay
    (rgba, (BLACK, RED, RED), (9, 9, 9), COLORS),  # all alike
    (rgba, (BLACK, RED, RED), (200, 180, 255), COLORS),  # more opaque than not
    (gray_alpha, (0, 1, 1), (0, 255, 255), {}),
    (palette, (0, 1, 1), b'\0\xff', {}),
    (palette, (0, 1, 1), 0, {}),
    (grey_key, (0, 1, 1), 0, {}),
    (deep_key, (0, 1, 1), 0, {}),
  ],
)
def test_transparency_that_repeats_the_background(tmp_path, write, values, alpha, colors):
  path = write(tmp_path / 'a.png', values, alpha)
  for choice in (None, 'color', 0):
    assert read_mask(path, decoding(choice, colors)).tolist() == [[0, 1, 1]]
  label = read_mask(path, decoding(VOID, colors)).tolist()
  assert label == ([[VOID, 1, 1]] if alpha not in ((9, 9, 9), (200, 180, 255)) else [[0, 1, 1]])


def test_an_object_free_mask_is_background(tmp_path):
  path = rgba(tmp_path / 'a.png', (BLACK, BLACK), (0, 0))
  assert read_mask(path, decoding(None, COLORS)).tolist() == [[0, 0]]
  assert read_mask(path, decoding('alpha')).tolist() == [[0, 0]]
  assert read_mask(path, decoding(VOID, COLORS)).tolist() == [[VOID, VOID]]


RUBBED_OUT = ((RED, RED, BLACK), (0, 255, 255))
WHOLLY_RUBBED_OUT = ((RED, BLACK, BLACK), (0, 255, 255))
BLACK_PAINT = ((BLACK, BLACK, BLACK), (0, 255, 0))
WHITE_PAINT = ((WHITE, WHITE, WHITE), (0, 255, 0))
UNKNOWN_BELOW = ((WHITE, RED, BLACK), (0, 255, 255))
SMOOTHED = ((BLACK, BLACK, BLACK), (100, 255, 140))


@pytest.mark.parametrize(
  'case, colors, options, expected',
  [
    (RUBBED_OUT, COLORS, (0, 'color', VOID), ([0, 1, 0], [1, 1, 0], [VOID, 1, 0])),
    (WHOLLY_RUBBED_OUT, COLORS, (0, 'color', VOID), ([0, 0, 0], [1, 0, 0], [VOID, 0, 0])),
    (UNKNOWN_BELOW, COLORS, (0, VOID), ([0, 1, 0], [VOID, 1, 0])),
    (BLACK_PAINT, {}, ('alpha', 'inverse_alpha', 1), ([0, 1, 0], [1, 0, 1], [1, 0, 1])),
    (WHITE_PAINT, {}, ('alpha', 0), ([0, 1, 0], [0, VOID, 0])),
    (SMOOTHED, {}, ('alpha',), ([0, 1, 1],)),
  ],
)
def test_transparency_that_colours_do_not_repeat(tmp_path, case, colors, options, expected):
  path = rgba(tmp_path / 'a.png', *case)
  error = error_of(path, colors=colors)
  assert error.kind == 'masks with transparency'
  assert_says(str(error), path, '--config.data.transparent=0', '=void', '=color', '=alpha')
  for choice, label in zip(options, expected, strict=True):
    assert read_mask(path, decoding(choice, colors)).tolist() == [label]


@pytest.mark.parametrize(
  'write, values, alpha',
  [
    (gray_alpha, (1, 1, 0), (0, 255, 255)),
    (gray_alpha, (0, 0, 0), (0, 255, 0)),
    (palette, (1, 0, 0), b'\xff\0'),  # the transparent index would be the object
    (grey_key, (1, 0, 0), 1),
    (deep_key, (1, 0, 0), 1),
  ],
)
def test_transparency_of_other_pixel_types(tmp_path, write, values, alpha):
  path = write(tmp_path / 'a.png', values, alpha)
  assert error_of(path).kind == 'masks with transparency'
  hidden = [[True, False, False]] if values[0] else [[True, False, True]]
  expected = np.where(hidden, VOID, [values])
  np.testing.assert_array_equal(read_mask(path, decoding(VOID)), expected)


def test_a_fourth_channel_without_a_name_is_transparency(tmp_path):
  path = tmp_path / 'a.tif'
  pixels = np.array([[[*RED, 0], [*RED, 255], [*BLACK, 255]]], np.uint8)
  import tifffile

  tifffile.imwrite(path, pixels, photometric='rgb', extrasamples=['unspecified'])
  assert error_of(path, colors=COLORS).kind == 'masks with transparency'
  assert read_mask(path, decoding(0, COLORS)).tolist() == [[0, 1, 0]]


def test_the_likely_remedy_comes_first_and_one_serves_all_files(tmp_path):
  flat = [rgba(tmp_path / f'{i}.png', *BLACK_PAINT) for i in range(3)]
  findings = [Finding.of(path, error_of(path)) for path in flat]
  (group,) = group_findings(findings)
  assert 'Set --config.data.transparent=alpha if opaque pixels are class 1 (box)' in group.sentence
  other = rgba(tmp_path / 'b.png', *RUBBED_OUT)
  (group,) = group_findings([*findings, Finding.of(other, error_of(other, colors=COLORS))])
  assert 'Set --config.data.transparent=0 if' in group.sentence and len(group.files) == 4


def test_values_are_counted_without_those_below_transparency(tmp_path):
  path = rgba(tmp_path / 'a.png', *RUBBED_OUT)
  assert count_raw_values(path, decoding(None, COLORS)) == {RED: 2, BLACK: 1}
  assert count_raw_values(path, decoding(0, COLORS)) == {TRANSPARENT: 1, RED: 1, BLACK: 1}
  assert count_raw_values(path, decoding('alpha')) == {TRANSPARENT: 1, 'opaque': 2}
  assert (
    decoding('alpha').label_of('opaque') == decoding('inverse_alpha').label_of(TRANSPARENT) == 1
  )
  assert decoding(VOID).label_of(TRANSPARENT) == VOID


def test_a_mask_without_transparency_among_others(tmp_path):
  path = save(tmp_path / 'a.png', [[0, 1]])
  assert read_mask(path, decoding(0)).tolist() == [[0, 1]]
  assert_says(str(error_of(path, 'alpha')), path, 'no transparency', 'transparent=alpha')
