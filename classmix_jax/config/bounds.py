"""Which numbers a config may hold: one table, looked at before anything starts.

Synopsis:

    check_ranges({'steps': 40_000, 'optim.momentum': 0.9, 'data.crop': (512, 512)})
"""

from collections.abc import Mapping
import math
from typing import Any, NamedTuple

from classmix_jax.errors import UserError


class Range(NamedTuple):
  """At least `low`, finite, at most `high`, less than `below`."""

  low: float = 0
  high: float = math.inf
  below: float = math.inf

  def __str__(self) -> str:
    if not math.isinf(self.below):
      return f'{self.low:,} or more, and less than {self.below:,}'
    return f'{self.low:,} or more' if math.isinf(self.high) else f'{self.low:,} to {self.high:,}'

  def has(self, value: float) -> bool:
    return math.isfinite(value) and self.low <= value <= self.high and value < self.below


SHARE, ANY, ONE = Range(0, 1), Range(0), Range(1)

RANGES: Mapping[str, Range] = {
  'seed': Range(0, 2**31 - 1),
  'steps': Range(1, 2**31 - 1),
  'batch_size': ONE,
  'unlabeled_batch_size': ANY,
  'accumulate': ONE,
  'eval_every': ANY,
  'checkpoint_every': ONE,
  'log_every': ONE,
  'eval_batch_size': ONE,
  'steps_per_dispatch': ONE,
  'data.split_seed': ANY,
  'data.cache_gb': ANY,
  'data.scale_step': ANY,
  'model.output_stride': ANY,
  **{
    f'optim.{name}': ANY
    for name in (
      'learning_rate',
      'head_multiplier',
      'weight_decay',
      'power',
      'discriminator_learning_rate',
      'classifier_learning_rate',
    )
  },
  'optim.momentum': Range(0, below=1),
  'labeled_loss.ohem_threshold': SHARE,
  'labeled_loss.ohem_min_kept': ANY,
  'labeled_loss.dice': ANY,
  'labeled_loss.class_weights': ANY,
  **{
    f'method.{name}': SHARE
    for name in ('threshold', 'max_decay', 'mlmt_decay', 'grey', 'trust', 'lambda_fp')
  },
  **{
    f'method.{name}': ANY
    for name in (
      'distortion',
      'jitter',
      'strength',
      'gamma',
      'semi_start',
      'mlmt_start',
      'lambda_u',
      'lambda_cps',
      'lambda_adv',
      'lambda_semi',
      'lambda_semi_adv',
      'lambda_fm',
      'lambda_st',
    )
  },
  **{
    f'method.{name}': ONE
    for name in ('ramp_steps', 'mlmt_ramp', 'num_views', 'rounds', 'discriminator_width')
  },
  'method.feature_dropout': Range(0, below=1),
  'method.supervised_share': Range(0, below=1),
  'data.size': ONE,
  'data.crop': ONE,
  'data.scale': ANY,
  'eval.pad': ONE,
  'eval.window': ONE,
  'eval.stride': ONE,
  'eval.scales': ANY,
}
PAIRS = {  # what the two numbers are, and whether () will do
  'data.size': ('(H, W)', True),
  'data.crop': ('(H, W)', True),
  'eval.pad': ('(H, W)', True),
  'eval.window': ('(H, W)', False),
  'eval.stride': ('(H, W)', False),
  'data.scale': ('(smallest, largest)', False),
}
WHOLE = ('data.size', 'data.crop', 'eval.pad', 'eval.window', 'eval.stride')


def check_ranges(fields: Mapping[str, Any]) -> None:
  """Looks at every number that the table knows.

  Args:
    fields: dotted name -> a number, or a sequence of them.

  Raises:
    UserError: the first that is out of range, or no pair where one is wanted.

  Example: `check_ranges({'steps': 0})` says 'config.steps is 0; it must be 1 or more.'
  """
  for field, value in fields.items():
    if field not in RANGES:
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
      if type(number) not in kinds or not RANGES[field].has(number):
        each = ' each' if several else ''
        whole = 'a whole number, ' if field in WHOLE else ''
        raise UserError(f'config.{field} is {value}; it must be {whole}{RANGES[field]}{each}.')
