"""Backbones with the levels that a head takes: at every stride, or the first and the last.

Synopsis:

    head = HEADS['unet']
    backbone = build_backbone(BACKBONES['resnet18_tv'], head)
    model = build_segmenter(backbone, head, num_classes=11)
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from classmix_jax.errors import UserError


def get_class(entry: Callable[..., nn.Module]) -> Any:
  """Returns the class of an entry of `BACKBONES` or `HEADS`, which may be a partial of it."""
  return getattr(entry, 'func', entry)


def takes_pyramid(head: Callable[..., nn.Module]) -> bool:
  """Returns whether an entry of `HEADS` takes a level at every stride."""
  return getattr(get_class(head), 'pyramid', False)


def build_backbone(
  backbone: Callable[..., nn.Module], head: Callable[..., nn.Module], **options: Any
) -> Any:
  """Builds an entry of `BACKBONES` with the levels that an entry of `HEADS` takes.

  `options` are fields of the backbone.

  Raises:
    UserError: the backbone has no level at every stride, or refuses an option.
  """
  if not takes_pyramid(head):
    return backbone(**options)
  if not hasattr(get_class(backbone), 'pyramid'):
    raise UserError(
      f'config.model.head takes a level at every stride, which {get_class(backbone).__name__} does '
      'not have (its field pyramid); choose another head or backbone.'
    )
  return backbone(pyramid=True, **options)


def check_levels(backbone: nn.Module, head: Callable[..., nn.Module], stem: bool) -> None:
  """Checks that a backbone, with a stem or without, has the levels that a head takes.

  Raises:
    ValueError: the head takes a pyramid, which the backbone does not return.
    UserError: a stem would add levels that a pyramid already has.
  """
  if not takes_pyramid(head):
    return
  if not getattr(backbone, 'pyramid', False):
    raise ValueError(
      f'the head takes a level at every stride: {type(backbone).__name__}(pyramid=True), which '
      'models/pyramid.py builds'
    )
  if stem and hasattr(backbone, 'stem_stride'):
    raise UserError(
      'config.model.stem adds levels of stride 2 and 4 to backbones without them (dinov2_*), but '
      f'{type(backbone).__name__} has a level at every stride; set config.model.stem=False.'
    )
