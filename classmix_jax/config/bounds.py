"""Which numbers a config may hold: one table, looked at before anything starts.

Synopsis:

    check_ranges({'steps': 40_000, 'optim.momentum': 0.9, 'data.crop': (512, 512)})
"""

from collections.abc import Mapping
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS, bounds
from classmix_jax.utils.ranges import (
  FRACTION,
  FRACTION_BELOW_ONE,
  NON_NEGATIVE,
  POSITIVE_COUNT,
  Range,
)

RANGES: Mapping[str, Range] = {
  'seed': Range(0, 2**31 - 1),
  'steps': Range(1, 2**31 - 1),
  'batch_size': POSITIVE_COUNT,
  'unlabeled_batch_size': NON_NEGATIVE,
  'accumulate': POSITIVE_COUNT,
  'labels_first': FRACTION_BELOW_ONE,
  'eval_every': NON_NEGATIVE,
  'checkpoint_every': POSITIVE_COUNT,
  'log_every': POSITIVE_COUNT,
  'eval_batch_size': POSITIVE_COUNT,
  'data.split_seed': NON_NEGATIVE,
  'data.val_seed': NON_NEGATIVE,
  'data.val_share': FRACTION_BELOW_ONE,
  'data.mask_threshold': Range(0, 255),
  'data.color_distance': Range(0, 442),
  'data.cache_gb': NON_NEGATIVE,
  'data.scale_step': NON_NEGATIVE,
  'model.output_stride': NON_NEGATIVE,
  'model.stem_stride': NON_NEGATIVE,
  'model.widths': POSITIVE_COUNT,
  'model.scale': Range(0.1, 10.0),
  **{
    f'optim.{name}': NON_NEGATIVE
    for name in (
      'learning_rate',
      'head_multiplier',
      'weight_decay',
      'power',
      'lag',
    )
  },
  'optim.momentum': Range(0, below=1),
  'labeled_loss.ohem_threshold': FRACTION,
  'labeled_loss.ohem_min_kept': NON_NEGATIVE,
  'labeled_loss.balance': Range(0, 2),
  'labeled_loss.dice': NON_NEGATIVE,
  'labeled_loss.class_weights': NON_NEGATIVE,
  'data.size': POSITIVE_COUNT,
  'data.crop': POSITIVE_COUNT,
  'data.scale': NON_NEGATIVE,
  'eval.pad': POSITIVE_COUNT,
  'eval.window': POSITIVE_COUNT,
  'eval.stride': POSITIVE_COUNT,
  'eval.multiple': POSITIVE_COUNT,
  'eval.scales': NON_NEGATIVE,
}
PAIRS = {  # what the two numbers are, and whether () will do
  'data.size': ('(H, W)', True),
  'data.crop': ('(H, W)', True),
  'eval.pad': ('(H, W)', True),
  'eval.window': ('(H, W)', False),
  'eval.stride': ('(H, W)', False),
  'data.scale': ('(smallest, largest)', False),
}
WHOLE = (
  'optim.lag',
  'model.widths',
  'data.mask_threshold',
  'data.size',
  'data.crop',
  'eval.pad',
  'eval.window',
  'eval.stride',
  'eval.multiple',
)


def check_ranges(fields: Mapping[str, Any]) -> None:
  """Checks every number that has a range here or in the fields of the method.

  Args:
    fields: dotted name -> a number, or a sequence of them.

  Raises:
    UserError: the first that is out of range, or no pair if one is expected.

  Example: `check_ranges({'steps': 0})` says 'config.steps is 0; it must be 1 or more.'
  """
  method = fields.get('method.name', '')
  options = bounds(method) if method in METHODS else {}
  ranges = {**RANGES, **{f'method.{name}': limits for name, limits in options.items()}}
  for field, value in fields.items():
    if field not in ranges:
      continue
    several = isinstance(value, tuple | list)
    values = value if several else [value]
    if field in PAIRS and not (len(values) == 2 or PAIRS[field][1] and not values):
      words, optional = PAIRS[field]
      raise UserError(
        f'config.{field} is {value}; it must be {words}{" or ()" if optional else ""}.'
      )
    kinds = (int,) if field in WHOLE else (int, float)
    for number in values:
      if type(number) not in kinds or number not in ranges[field]:
        each = ' each' if several else ''
        whole = 'a whole number, ' if field in WHOLE else ''
        raise UserError(f'config.{field} is {value}; it must be {whole}{ranges[field]}{each}.')
