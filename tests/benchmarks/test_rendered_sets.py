"""Rendered sets: images that depend on their number only, crisp masks, all classes, the layout."""

import numpy as np
from PIL import Image
import pytest
from rendered import SETS
from rendered.fields import draw_polygon
import rendered_sets


@pytest.fixture(scope='module')
def examples():
  """Three images of each set."""
  return {
    name: [rendered_sets.render(name, 0, 'train', number) for number in range(3)] for name in SETS
  }


@pytest.mark.parametrize('name', SETS)
def test_masks_are_class_ids_of_the_images_pixels(examples, name):
  for image, mask in examples[name]:
    assert image.dtype == mask.dtype == np.uint8
    assert image.shape[:2] == mask.shape
    assert image.max() > image.min()
  ids = set(np.unique([mask for _, mask in examples[name]]))
  assert ids == set(range(len(SETS[name].classes)))


@pytest.mark.parametrize('name', SETS)
def test_images_differ_in_light_and_content(examples, name):
  images = [image for image, _ in examples[name]]
  assert np.ptp([image.mean() for image in images]) > 3
  masks = [mask for _, mask in examples[name]]
  assert not any(np.array_equal(a, b) for a, b in zip(masks, masks[1:], strict=False))


def test_a_polygon_covers_the_pixels_whose_centres_it_holds():
  corners = np.array([[0.5, 1.5], [0.5, 4.5], [2.5, 4.5], [2.5, 1.5]])  # rows 1, 2; columns 2 to 4
  cover = draw_polygon((4, 6), corners)
  expected = np.zeros((4, 6), bool)
  expected[1:3, 2:5] = True
  np.testing.assert_array_equal(cover >= 0.5, expected)


def test_classes_of_defects_are_rare():
  masks = [rendered_sets.render('defects', 0, 'train', number)[1] for number in range(20)]
  assert np.mean([mask > 0 for mask in masks]) < 0.03


def test_other_counts_change_no_image(tmp_path):
  rendered_sets.write('cells', tmp_path / 'few', seed=0, labeled=1, unlabeled=1, val=1)
  rendered_sets.write('cells', tmp_path / 'more', seed=0, labeled=2, unlabeled=2, val=2)
  rendered_sets.write('cells', tmp_path / 'other', seed=1, labeled=1, unlabeled=0, val=0)
  few = sorted(path.relative_to(tmp_path / 'few') for path in tmp_path.glob('few/**/*.*'))
  assert [str(path) for path in few] == [
    'classes.txt',
    'images/train_0000.png',
    'images/train_0001.png',
    'masks/train_0000.png',
    'val/images/val_0000.png',
    'val/masks/val_0000.png',
  ]
  for path in few:
    assert (tmp_path / 'few' / path).read_bytes() == (tmp_path / 'more' / path).read_bytes()
  assert len(list((tmp_path / 'more/masks').iterdir())) == 2
  first, other = (
    np.asarray(Image.open(tmp_path / seed / 'images/train_0000.png')) for seed in ('few', 'other')
  )
  assert not np.array_equal(first, other)
