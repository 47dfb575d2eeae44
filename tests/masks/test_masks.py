"""The contract of every mask, and what each of them promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from classmix_jax.masks import MASKS, class_mask, cow_mask, cut_mask
from classmix_jax.masks.cow_mask import smoothing_matrix
from classmix_jax.types import VOID

CLASSES = 7


def keys(count, seed=0):
  return jax.random.split(jax.random.key(seed), count)


@functools.cache
def drawer(mask_fn, num_classes):
  return jax.jit(jax.vmap(lambda key, label: mask_fn(key, label, num_classes), (0, None)))


def draw(mask_fn, label, count, num_classes=CLASSES):
  """`[count, H, W]` masks of one label."""
  return np.asarray(drawer(mask_fn, num_classes)(keys(count), jnp.asarray(label)))


# ---------------------------------------------------------------------- contract


@pytest.fixture(params=MASKS)
def mask_fn(request):
  return MASKS[request.param]


def test_contract(mask_fn):
  label = jnp.asarray(np.random.default_rng(0).integers(0, CLASSES, (3, 16, 32), np.uint8))
  eager = [mask_fn(key, x, CLASSES) for key, x in zip(keys(3), label, strict=True)]
  for mask in eager:
    assert mask.shape == (16, 32) and mask.dtype == bool
  np.testing.assert_array_equal(eager[0], mask_fn(keys(3)[0], label[0], CLASSES))  # pure
  batched = jax.jit(jax.vmap(lambda key, x: mask_fn(key, x, CLASSES)))
  np.testing.assert_array_equal(np.stack(eager), batched(keys(3), label))
  others = np.asarray(batched(keys(3, seed=1), label))
  assert (others != np.stack(eager)).any() or mask_fn is MASKS['none']  # the key counts


# ------------------------------------------------------------------------- class


def label_with(present):
  """`[8, 8]`: the classes in stripes of unequal width, then void."""
  row = np.full(8, VOID, np.uint8)
  row[: len(present)] = present
  label = np.tile(row, (8, 1))
  label[:3, 0] = VOID
  return label


@pytest.mark.parametrize('count', range(1, CLASSES + 1))
def test_class_mask_draws_half_of_the_classes(count):
  present = np.random.default_rng(count).permutation(CLASSES)[:count]
  label = label_with(present)
  masks = draw(class_mask, label, 400)
  assert not masks[:, label == VOID].any()
  parts = np.stack([masks[:, label == c].all(axis=1) for c in present], axis=1)
  touched = np.stack([masks[:, label == c].any(axis=1) for c in present], axis=1)
  np.testing.assert_array_equal(parts, touched)  # whole classes or nothing of them
  np.testing.assert_array_equal(parts.sum(axis=1), count // 2)
  share = (count // 2) / count
  deviation = np.sqrt(max(400 * share * (1 - share), 1e-9))
  assert (np.abs(parts.sum(axis=0) - 400 * share) <= 4 * deviation).all()


def test_class_mask_of_void_alone_is_empty():
  assert not draw(class_mask, np.full((8, 8), VOID, np.uint8), 5).any()


def test_values_beyond_the_classes_are_void():
  """`chosen[C]` would be clamped to the last class."""
  label = np.full((8, 8), CLASSES, np.uint8)
  label[:4], label[0] = CLASSES - 1, 0
  masks = draw(class_mask, label, 50)
  assert masks[:, 1:4].all(axis=(1, 2)).any() and not masks[:, 4:].any()


# --------------------------------------------------------------------------- cut


@pytest.mark.parametrize('size', [(33, 48), (5, 7), (321, 321)])
def test_cut_mask_is_a_box_of_half_the_area(size):
  inside = ~draw(cut_mask, np.zeros(size, np.uint8), 400)
  rows, columns = inside.any(axis=2), inside.any(axis=1)
  np.testing.assert_array_equal(inside, rows[:, :, None] & columns[:, None, :])
  for line in (rows, columns):  # one piece: it starts once
    assert (np.diff(line.astype(int), axis=1, prepend=0) == 1).sum(axis=1).max() == 1
  height, width = rows.sum(axis=1), columns.sum(axis=1)
  assert width.min() >= size[1] // 2 and width.max() <= size[1] and height.max() <= size[0]
  half = size[0] * size[1] / 2
  # Half of 321 is 160, which asks for 322 of 321 rows (1 in 162 masks): clamped.
  fits = half / width <= size[0]
  assert (np.abs(height * width - half)[fits] <= width[fits] / 2).all()
  assert (height[~fits] == size[0]).all()


# --------------------------------------------------------------------------- cow


def test_cow_mask_is_smooth_and_half():
  masks = draw(cow_mask, np.zeros((64, 128), np.uint8), 100)
  assert abs(masks.mean() - 0.5) < 0.02
  shares = masks.mean(axis=(1, 2))
  assert shares.min() > 0.25 and shares.max() < 0.75
  # A Gaussian of 8 pixels changes sign every 1 / (pi sqrt(2) 8) pixels, white noise every second.
  transitions = (masks[:, :, 1:] != masks[:, :, :-1]).mean()
  assert 0.005 < transitions < 0.03


@pytest.mark.parametrize('size, sigma', [(24, 8.0), (96, 8.0), (64, 32.0), (33, 17.5)])
def test_smoothing_matrix_is_scipys_filter(size, sigma):
  matrix = smoothing_matrix(size, jnp.array(sigma))
  np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-5)
  expected = ndimage.gaussian_filter1d(np.eye(size), sigma, axis=0, mode='reflect', truncate=10)
  np.testing.assert_allclose(matrix, expected, atol=1e-5)


# -------------------------------------------------------------------------- none


def test_no_mask_keeps_everything():
  assert draw(MASKS['none'], np.zeros((5, 6), np.uint8), 3).all()


# ------------------------------------------------------------------------- boxes


def boxes(masks, inside):
  """(height, width, top, left) of each box; everything in it is `inside`, the rest is not."""
  result = []
  for mask in masks == inside:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1, rows[0], columns[0]
    assert mask.sum() == box[0] * box[1]
    result.append(box)
  return np.array(result)


def test_half_box_has_half_of_the_area_and_any_aspect():
  """In logarithms the height is uniform between half of the image and all of it."""
  result = boxes(draw(MASKS['half_box'], np.zeros((40, 60), np.uint8), 400), True)
  height, width, top, left = result.T
  np.testing.assert_allclose(height * width, 40 * 60 / 2, rtol=0.045)
  assert height.min() <= 21 and height.max() >= 39
  np.testing.assert_allclose(np.log(height / 40).mean(), np.log(0.5) / 2, atol=0.05)
  # Both ends of the free play are reached.
  free = height < 36
  assert (top[free] == 0).any() and (top + height == 40)[free].any() and (left == 0).any()


def test_any_box_has_any_area():
  masks = draw(MASKS['any_box'], np.zeros((40, 60), np.uint8), 400)
  share = masks.mean(axis=(1, 2))
  np.testing.assert_allclose(np.quantile(share, (0.25, 0.5, 0.75)), (0.25, 0.5, 0.75), atol=0.08)
  boxes(masks[share > 0.01], True)


def test_small_box_is_there_half_of_the_time():
  """2 to 40 % of the area, sides in a ratio of at most 0.3, always within the image."""
  masks = draw(MASKS['small_box'], np.zeros((60, 80), np.uint8), 400)
  cut = ~masks.all(axis=(1, 2))
  assert 0.4 < cut.mean() < 0.6
  height, width, top, left = boxes(masks[cut], False).T
  share, aspect = height * width / (60 * 80), height / width
  assert 0.015 < share.min() < 0.05 and 0.33 < share.max() <= 0.4
  assert 0.27 < aspect.min() < 0.6 and 2 < aspect.max() < 3.7
  assert top.min() == 0 and (top + height).max() == 60 and (left + width).max() == 80


def test_a_small_box_that_does_not_fit_is_drawn_again():
  """In a low image most boxes would be too high: cut off, they would all be of its height."""
  masks = draw(MASKS['small_box'], np.zeros((16, 160), np.uint8), 400)
  height, width, _, _ = boxes(masks[~masks.all(axis=(1, 2))], False).T
  assert (height == 16).mean() < 0.35 and (height * width).max() <= 0.4 * 16 * 160
