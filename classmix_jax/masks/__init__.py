"""Masks of the pixels that are pasted on the next image.

A mask is a function `(key, label, num_classes, ignore=()) -> mask` of one image: `label` is the
teacher's `[H, W]` integer prediction, `mask` is `[H, W]` bool, True where the image itself is kept.
Ids in `ignore` are void, as are those outside of 0..C-1; only the class mask reads ids.
To add a mask: a file here and a line in `MASKS`.
"""

from collections.abc import Callable, Mapping

import jax
from jaxtyping import Bool, Integer

from classmix_jax.core.collectives import ONE_DEVICE, GlobalBatch
from classmix_jax.masks.box_mask import any_box_mask, half_box_mask
from classmix_jax.masks.class_mask import class_mask
from classmix_jax.masks.cow_mask import cow_mask
from classmix_jax.masks.cut_mask import cut_mask
from classmix_jax.masks.no_mask import no_mask
from classmix_jax.masks.small_box_mask import small_box_mask
from classmix_jax.types import Array

MASKS: Mapping[str, Callable[..., Array]] = {
  'class': class_mask,
  'cut': cut_mask,
  'cow': cow_mask,
  'none': no_mask,
  'half_box': half_box_mask,
  'any_box': any_box_mask,
  'small_box': small_box_mask,
}


def draw_masks(
  name: str,
  key: Array,
  label: Integer[Array, 'B H W'],
  num_classes: int,
  global_batch: GlobalBatch = ONE_DEVICE,
) -> Bool[Array, 'B H W']:
  """Returns `[B, H, W]` bool: a mask of `MASKS` for each of the labels `[B, H, W]`.

  Example:
    >>> draw_masks('none', jax.random.key(0), jax.numpy.zeros((2, 1, 1), int), 5).tolist()
    [[[True]], [[True]]]
  """
  keys = global_batch.keys(key, len(label))
  return jax.vmap(MASKS[name], in_axes=(0, 0, None))(keys, label, num_classes)
