"""Images of equal content: what is a leak, what contradicts, and what may repeat."""

import numpy as np
import pytest

from classmix_jax.data.duplicates import Content, hash_pixels, pair_equal


def sentences(*contents):
  return [(equal.is_fault, equal.describe()) for equal in pair_equal(contents)]


def test_labelled_and_validation_images_are_a_fault():
  (result,) = sentences(Content('labelled', 'D/a.png', 1, 5), Content('val', 'D/v/b.jpg', 1, 5))
  assert result == (
    True,
    '1 val image has the same content as labelled images, which makes the scores too high: '
    'v/b.jpg = a.png in D. Remove one of each.',
  )


def test_the_same_file_in_both_parts_is_a_fault():
  assert sentences(Content('labelled', 'D/a.png', 1), Content('val', 'D/a.png', 1))[0][0]


@pytest.mark.parametrize('masks, fault', [((5, 5), False), ((5, 6), True), ((5, None), False)])
def test_equal_images_with_other_masks_are_a_fault(masks, fault):
  (result,) = sentences(
    Content('labelled', 'D/a.png', 1, masks[0]), Content('labelled', 'D/b.png', 1, masks[1])
  )
  assert result[0] == fault
  assert ('The masks of this pair differ: keep the right one.' in result[1]) == fault


def test_unlabelled_images():
  labeled, pool = Content('labelled', 'a', 1), Content('unlabelled', 'a', 1)
  assert sentences(labeled, pool) == []  # the pool may have the labelled images, too
  ((fault, text),) = sentences(Content('unlabelled', 'u', 2), Content('val', 'v', 2))
  assert not fault and 'which can make the scores too high: v = u.' in text


def test_blank_images_are_not_compared():
  blank, image = np.full((2, 3, 3), 7, np.uint8), np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
  assert hash_pixels(blank) is None
  assert hash_pixels(image) == hash_pixels(image.copy()) != hash_pixels(image.reshape(3, 2, 3))
  assert sentences(Content('labelled', 'a', None), Content('val', 'b', None)) == []
