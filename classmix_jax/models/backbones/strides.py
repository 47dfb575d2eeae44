"""Strides of a backbone: after its stem and at its last level."""

from collections.abc import Collection, Sequence

from classmix_jax.errors import UserError
from classmix_jax.models.layers.conv_bn import check_output_stride


def choose_strides(
  stem_stride: int,
  stem_strides: Sequence[int],
  output_stride: int,
  output_strides: Collection[int],
  own_output_stride: int,
  backbone: str,
) -> tuple[int, int]:
  """Returns the strides after the stem and of the last level.

  With a finer stem all strides behind it are finer by the same factor.

  Args:
    stem_stride: one of `stem_strides`, 0 for the last of them.
    stem_strides: those that the backbone can have, its own last.
    output_stride: 0 for the backbone's own.
    output_strides: those that the backbone can have with its own stem.
    own_output_stride: the default, with its own stem.
    backbone: its name in a message.

  Raises:
    UserError: the backbone cannot have one of the strides.

  Example:
    >>> choose_strides(0, (1, 2, 4), 0, (8, 16, 32), 32, 'a ResNet')
    (4, 32)
    >>> choose_strides(1, (1, 2, 4), 0, (8, 16, 32), 32, 'a ResNet')
    (1, 8)
  """
  own_stem = stem_strides[-1]
  stem_stride = stem_stride or own_stem
  if stem_stride not in stem_strides:
    raise UserError(
      f'config.model.stem_stride is {stem_stride}, but {backbone} can have '
      f"{' or '.join(map(str, stem_strides))}; 0 is the backbone's own."
    )
  output_stride = output_stride or own_output_stride * stem_stride // own_stem
  allowed = [stride * stem_stride // own_stem for stride in output_strides]
  check_output_stride(output_stride, allowed, backbone)
  return stem_stride, output_stride
