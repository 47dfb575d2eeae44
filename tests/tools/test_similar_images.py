"""Validation images that look like labelled ones: frames of a film, not images of one kind."""

import numpy as np

from classmix_jax.tools.data_check.similar_images import describe_similar, make_thumbnail

NAMES = [f'n{index}' for index in range(10)]


def draw(count, seed=0):
  """Images of 8x8 random blocks, enlarged to 64x64."""
  small = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), np.uint8)
  return np.repeat(np.repeat(small, 8, 1), 8, 2)[..., None] * np.ones(3, np.uint8)


def warn(labeled, val):
  thumbnails = [[make_thumbnail(image) for image in images] for images in (labeled, val)]
  return describe_similar(NAMES, thumbnails[0], NAMES, thumbnails[1])


def test_a_thumbnail_has_norm_1_and_blank_images_have_none():
  thumbnail = make_thumbnail(draw(1)[0])
  assert thumbnail.shape == (1024,) and abs(np.linalg.norm(thumbnail) - 1) < 1e-5
  assert make_thumbnail(np.full((64, 64, 3), 7, np.uint8)) is None


def test_neighbouring_frames_are_a_warning():
  labeled = draw(6)
  frame = np.clip(labeled[3].astype(int) + 5, 0, 255).astype(np.uint8)  # a little brighter
  (text,) = warn(labeled, [draw(1, seed=1)[0], frame])
  assert text.startswith('1 of 2 val images looks almost the same as a labelled image (n1 like n3)')


def test_other_images_and_images_of_one_kind_are_none():
  assert warn(draw(6), draw(3, seed=1)) == []
  pose = draw(1)[0].astype(int)
  alike = [np.clip(pose + noise // 16, 0, 255).astype(np.uint8) for noise in draw(6, seed=2)]
  assert warn(alike[:4], alike[4:]) == []
  assert warn(draw(2), draw(2)) == []  # too few to compare
