"""Proposes values for the fields that a config leaves open, by what is known about the data.

The same data gives the same values on every machine: they depend on neither devices nor memory.
docs/results.md has the measurements behind the numbers.

Synopsis:

    values = propose({'model.backbone': None, 'steps': None, ...}, facts)
    lines = describe(values, facts)
"""

from collections.abc import Mapping
from typing import Any

from classmix_jax.config.facts import Facts
from classmix_jax.config.networks import PRETRAINED, find_recipe
from classmix_jax.types import Size

LEAST_KEPT = 0.9  # mIoU that perfect predictions of the working size must keep
MAX_PIXELS = 512 * 512  # of a working image
CROP = 160  # side of a square with the pixels of a crop
STEPS = 1_500


def propose_size(facts: Facts) -> tuple[int, ...]:
  """Returns the working size (H, W): the smallest that keeps thin things, () for the own size.

  Example:
    >>> propose_size(Facts((360, 480), True, 46, 321, {(224, 288): 0.94, (320, 416): 0.98}))
    (224, 288)
  """
  sizes = [size for size in facts.kept if size[0] * size[1] <= 1.1 * MAX_PIXELS]
  good = [size for size in sizes if facts.kept[size] >= LEAST_KEPT]
  if good:
    return good[0]
  return sizes[-1] if len(sizes) < len(facts.kept) else ()


def propose_crop(size: Size) -> Size:
  """Returns (H, W) of training crops: as many pixels as CROP x CROP, of the image's shape.

  Example:
    >>> propose_crop((224, 288)), propose_crop((120, 120)), propose_crop((64, 300))
    ((144, 184), (120, 120), (64, 300))
  """
  factor = max(1.0, (size[0] * size[1]) ** 0.5 / CROP)
  height, width = (side if factor == 1.0 else 8 * round(side / factor / 8) for side in size)
  return height, width


def propose(fields: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
  """Returns field -> value for the fields that are None.

  Args:
    fields: the config by dotted names.
    facts: about the data.
  """
  given = {name: value for name, value in fields.items() if value is not None}
  backbone = given.get('model.backbone', PRETRAINED)
  values = {'model.backbone': backbone, **find_recipe(backbone), **given}
  if 'data.size' not in given:
    values['data.size'] = propose_size(facts)
  if 'data.crop' not in given:
    values['data.crop'] = propose_crop(tuple(values['data.size']) or facts.size)
  if 'eval.protocol' not in given:
    # The score must not depend on the working size, which is a choice.
    values['eval.protocol'] = 'full' if len(values['data.size']) else 'paper'
  if 'steps' not in given:
    values['steps'] = STEPS
  if 'eval_every' not in given:
    values['eval_every'] = max(1, values['steps'] // 4)
  return {name: values[name] for name, value in fields.items() if value is None}


def percent(part: float) -> str:
  return f'{100 * part:.0f} %'


def describe(fields: Mapping[str, Any], facts: Facts) -> list[str]:
  """Returns four lines on what was chosen, and why.

  Args:
    fields: the complete config by dotted names.
    facts: about the data.
  """
  return [
    describe_size(fields, facts),
    describe_network(fields, facts),
    describe_length(fields, facts),
  ]


def describe_size(fields: Mapping[str, Any], facts: Facts) -> str:
  """Returns the line on working size and crops."""
  images = f'{facts.size[0]}x{facts.size[1]}' + ('' if facts.equal else ' (median)')
  size, crop = tuple(fields['data.size']), tuple(fields['data.crop'])
  working = size or facts.size
  share = percent(min(1.0, crop[0] * crop[1] / (working[0] * working[1]))) if crop else 'all'
  if not size:
    where = 'are trained at their own size'
  elif size in facts.kept:
    kept = percent(facts.kept[size])
    where = f'are made smaller to {size[0]}x{size[1]}, where perfect masks keep {kept} mIoU'
  else:
    where = f'are resized to {size[0]}x{size[1]}'
  crops = f'crops of {crop[0]}x{crop[1]} ({share} of an image)' if crop else 'whole images'
  return f'size      images of {images} {where}; {crops}'


def describe_network(fields: Mapping[str, Any], facts: Facts) -> str:
  """Returns the line on network, weights and optimizer."""
  backbone, head = fields['model.backbone'], fields['model.head']
  rule, rate = fields['optim.rule'], fields['optim.learning_rate']
  weights = fields['model.pretrained']
  start = f'from weights {weights}' if weights else 'from scratch'
  return f'network   {backbone} + {head} {start}, {rule} at {rate:g}'


def describe_length(fields: Mapping[str, Any], facts: Facts) -> str:
  """Returns the line on steps and batches."""
  steps, batch = fields['steps'], fields['batch_size']
  passes = steps * batch / facts.labeled
  line = (
    f'length    {steps:,} steps of {batch} labelled images: each is seen about {passes:,.0f} times'
  )
  return f'{line}, evaluated every {fields["eval_every"]:,}'
