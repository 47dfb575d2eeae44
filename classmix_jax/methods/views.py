"""What a method shows of a batch, in the order of the columns of RUN/training.png.

Synopsis:

    return (
      *super().views(state, batch, key),
      View('image without label', image, valid),
      view_label('its pseudo-label', label, valid, counts=confident),
    )
"""

from collections.abc import Callable
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from classmix_jax.core.encoded import Image, get_pixels
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.types import VOID, Array, Example


class View(flax.struct.PyTreeNode):
  """Images, labels or predictions of a batch, under words for the user."""

  heading: str = flax.struct.field(pytree_node=False)  # differs from those of the other views
  pixels: Any  # [b, H, W, 3] float32 in 0..1, or [b, H, W] class ids, `VOID` if unknown
  valid: Any  # [b, H, W] bool, False on padding


def view_label(heading: str, label: Array, valid: Array, counts: Array) -> View:
  """Returns a view of a label, with `VOID` for pixels that no loss counts.

  Args:
    heading: of the view.
    label: `[b, H, W]` class ids.
    valid: `[b, H, W]` bool, False on padding.
    counts: `[b, H, W]` bool.

  Example:
    >>> valid = jnp.array([[[True, True]]])
    >>> view_label('its label', jnp.array([[[1, 2]]]), valid, ~valid).pixels.tolist()
    [[[255, 255]]]
  """
  return View(heading, jnp.where(counts, label, VOID), valid)


def view_mixing(
  heading: str,
  unlabeled: Example,
  images: PseudoLabel,
  mixed: PseudoLabel,
  counts: Array,
  predict: Callable[[Image], Array],
) -> tuple[View, ...]:
  """Returns views of pseudo-labels and of their mixing, of the first micro-batch.

  Args:
    heading: of the mixed images.
    unlabeled: `[A, b, ...]`.
    images: with pseudo-labels, `[A b, ...]`.
    mixed: images and pseudo-labels, `[A b, ...]`.
    counts: `[A b, H, W]` bool, the mixed pixels that the loss counts.
    predict: returns the student's classes `[b, H, W]` of images.
  """
  first = unlabeled.image.shape[1]
  images, mixed, counts = jax.tree.map(lambda x: x[:first], (images, mixed, counts))
  valid = unlabeled.valid[0]
  return (
    View('image without label', get_pixels(images.image), valid),
    View('its pseudo-label, by the teacher', images.label, valid),
    View(heading, get_pixels(mixed.image), mixed.valid),
    view_label('its pseudo-label', mixed.label, mixed.valid, counts),
    View('its prediction, by the student', predict(mixed.image), mixed.valid),
  )
