"""Proposes values for the fields that a config leaves open, by what is known about the data.

The same data gives the same values on every machine: they depend on neither devices nor memory.
docs/results.md has the measurements behind the numbers.

Synopsis:

    values = propose({'model.backbone': None, 'steps': None, ...}, facts)
    lines = describe({**fields, **values}, values, facts)
"""

from collections.abc import Collection, Mapping, Sequence
import math
from typing import Any

from classmix_jax.config.facts import Facts
from classmix_jax.config.networks import DEFAULT, find_recipe
from classmix_jax.types import Size

LEAST_KEPT = 0.9  # mIoU that perfect predictions of the working size must keep
MAX_PIXELS = 640 * 640  # of an image that keeps its own size although it has thin things
CROP = 160  # side of a square with the pixels of a crop
STEPS = 1_000  # at least
MAX_STEPS = 20_000
PASSES = 30  # over the labelled images, at least
EVALUATIONS = 4  # in a training run, so that one lies at its middle


def propose_size(facts: Facts) -> tuple[int, ...]:
  """Returns the working size (H, W): the smallest that keeps thin things, () for the own size.

  Example:
    >>> propose_size(Facts((360, 480), True, 46, 321, {(224, 288): 0.94}))
    (224, 288)
  """
  good = [size for size, kept in facts.kept.items() if kept >= LEAST_KEPT]
  if good:
    return good[0]
  is_large = facts.size[0] * facts.size[1] > MAX_PIXELS
  return list(facts.kept)[-1] if is_large else ()


def propose_crop(size: Size) -> Size:
  """Returns (H, W) of training crops: as many pixels as CROP x CROP, of the image's shape.

  Example:
    >>> propose_crop((224, 288)), propose_crop((120, 120)), propose_crop((64, 300))
    ((144, 184), (120, 120), (64, 300))
  """
  factor = max(1.0, (size[0] * size[1]) ** 0.5 / CROP)
  height, width = (side if factor == 1.0 else 8 * round(side / factor / 8) for side in size)
  return height, width


def propose_steps(fields: Mapping[str, Any], facts: Facts) -> int:
  """Returns the number of steps: more for many images, labelled or not.

  Args:
    fields: batch sizes and the share of steps on labels alone.
    facts: about the data.

  Example:
    >>> fields = {'batch_size': 8, 'unlabeled_batch_size': 4, 'labels_first': 0.5}
    >>> propose_steps(fields, Facts((120, 120), True, labeled=24, unlabeled=456, kept={}))
    1000
    >>> propose_steps(fields, Facts((120, 120), True, labeled=400, unlabeled=456, kept={}))
    1500
  """
  per_step = fields['unlabeled_batch_size'] * (1 - fields['labels_first'])
  labeled = PASSES * facts.labeled / fields['batch_size']
  unlabeled = facts.unlabeled / per_step if per_step else 0
  needed = min(max(STEPS, labeled, unlabeled), MAX_STEPS)
  return EVALUATIONS * math.ceil(needed / EVALUATIONS)


def propose(fields: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
  """Returns field -> value for the fields that are None.

  Args:
    fields: the config by dotted names.
    facts: about the data.
  """
  given = {name: value for name, value in fields.items() if value is not None}
  backbone = given.get('model.backbone', DEFAULT)
  values = {'model.backbone': backbone, **find_recipe(backbone), **given}
  values.setdefault('data.size', propose_size(facts))
  values.setdefault('data.crop', propose_crop(tuple(values['data.size']) or facts.size))
  # The score must not depend on the working size, which is a choice.
  values.setdefault('eval.protocol', 'full' if len(values['data.size']) else 'paper')
  values.setdefault('steps', propose_steps(values, facts))
  values.setdefault('eval_every', max(1, values['steps'] // EVALUATIONS))
  return {name: values[name] for name, value in fields.items() if value is None}


def list_values(fields: Mapping[str, Any], chosen: Collection[str], names: Sequence[str]) -> str:
  """Returns 'NAME=VALUE, ...' of those of the names that were chosen."""
  return ', '.join(f'{name}={fields[name]}' for name in names if name in chosen)


def describe(fields: Mapping[str, Any], chosen: Collection[str], facts: Facts) -> list[str]:
  """Returns a line on each group of chosen fields: their values, and why.

  Args:
    fields: the complete config by dotted names.
    chosen: names of the fields that were open.
    facts: about the data.
  """
  lines = [
    (SIZE_FIELDS, explain_size(fields, facts)),
    (NETWORK_FIELDS, 'the recipe of this network for few labels'),
    (LENGTH_FIELDS, explain_length(facts)),
  ]
  values = [(list_values(fields, chosen, names), reason) for names, reason in lines]
  return [f'chosen: {text} ({reason})' for text, reason in values if text]


SIZE_FIELDS = ('data.size', 'data.crop')
NETWORK_FIELDS = (
  'model.backbone',
  'model.head',
  'optim.rule',
  'optim.learning_rate',
  'labeled_loss.balance',
)
LENGTH_FIELDS = ('steps', 'batch_size', 'unlabeled_batch_size', 'labels_first')


def explain_size(fields: Mapping[str, Any], facts: Facts) -> str:
  """Returns why images are trained at a size."""
  height, width = facts.size
  size, crop = tuple(fields['data.size']), tuple(fields['data.crop'])
  images = f'images are {height}x{width}' + ('' if facts.equal else ' in the middle')
  if size in facts.kept:
    images += f', made smaller, perfect masks keep {100 * facts.kept[size]:.0f} % mIoU'
  working = size or facts.size
  share = min(1.0, crop[0] * crop[1] / (working[0] * working[1])) if crop else 1.0
  return f'{images}; a crop is {100 * share:.0f} % of an image'


def explain_length(facts: Facts) -> str:
  """Returns why a training has this length."""
  return (
    f'at least {STEPS:,} steps, {PASSES} passes over {facts.labeled:,} labelled images and one '
    f'over {facts.unlabeled:,} unlabelled ones'
  )
