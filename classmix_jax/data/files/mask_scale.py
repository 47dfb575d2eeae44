"""Proposes which class each value of masks is, if the values are class ids on another scale.

Synopsis:

    advise_scale([0, 128, 255], ('ground', 'box', 'ball'))
    # "... set --config.data.label_map='0:0,128:1,255:2' if this is their order (0 = ground, ..."

Masks to look at spread their ids over black to white, such as 0, 128 and 255, of which 255 is void
by default; others count from 1, or in tens.
"""

from collections.abc import Collection, Mapping, Sequence
import functools
import math

from classmix_jax.types import VOID

WHITE = (255, 65535)  # of 8 and 16 bits
TOLERANCE = 2 / 255  # of the distance from black to white, for rounded values
LEAST_STEP = 8 / 255  # between even values, so that most sets of ids are not even by chance
LEAST_BRIGHT = 64  # of the value before 255, if that is a class, too


def advise_scale(values: Collection[int], class_names: Sequence[str]) -> str:
  """Returns the remedy for values that are class ids on another scale; '' for others.

  Args:
    values: of all masks, with those that are read as classes or void.
    class_names: name of class 0, 1, ...
  """
  ids, num_classes = sorted(values), len(class_names)
  if len(ids) < 2 or num_classes < 2 or ids[0] < 0 or ids[-1] > WHITE[-1]:
    return ''
  if ids[-1] == VOID and 0 < ids[-2] < LEAST_BRIGHT:
    ids = ids[:-1]  # void beside small ids
  for find, finding in (
    (match_from_one, 'look like ids that start at 1'),
    (match_in_order, 'are as many values as there are classes'),
    (match_even, f'look like {num_classes} classes, evenly spread from black to white'),
    (match_steps, f'look like {num_classes} classes in even steps'),
  ):
    label_map = find(ids, num_classes)
    if label_map:
      # Pixels without an annotation are 0 in masks whose ids start at 1.
      option = format_option(label_map, void=0 if find is match_from_one else None)
      void = ' Without it 255 is void.' if VOID in label_map else ''
      return (
        f'{list_values(ids)} {finding}: set {option} if this is their order '
        f'({name_classes(label_map, class_names)}).{void}'
      )
  return advise_one_too_many(ids, class_names) or advise_even(ids, num_classes)


def match_in_order(ids: Sequence[int], num_classes: int) -> dict[int, int]:
  """Returns value -> class if there are as many values as classes, else {}.

  Example: `match_in_order([50, 100, 150], 3) == {50: 0, 100: 1, 150: 2}`.
  """
  if len(ids) != num_classes:
    return {}
  return {raw: label for label, raw in enumerate(ids)}


def match_from_one(ids: Sequence[int], num_classes: int) -> dict[int, int]:
  """Returns value -> class if the values are among 1..C with C and without 0, else {}."""
  if ids[0] < 1 or ids[-1] != num_classes:
    return {}
  return {label + 1: label for label in range(num_classes)}


def match_even(ids: Sequence[int], num_classes: int) -> dict[int, int]:
  """Returns value -> class if the values are among C even ones from black to white, else {}.

  Example: `match_even([0, 85, 255], 4) == {0: 0, 85: 1, 170: 2, 255: 3}`.
  """
  white = WHITE[ids[-1] > WHITE[0]]
  step = white / (num_classes - 1)
  if step < LEAST_STEP * white:
    return {}
  label_map = {round(label * step): label for label in range(num_classes)}
  for raw in ids:
    label = round(raw / step)
    nominal = round(label * step)
    if label >= num_classes or abs(raw - nominal) > TOLERANCE * white:
      return {}
    label_map.pop(nominal, None)
    label_map[raw] = label
  return dict(sorted(label_map.items()))


def match_steps(ids: Sequence[int], num_classes: int) -> dict[int, int]:
  """Returns value -> class if three or more values from 0 are multiples of one step, else {}.

  Example: `match_steps([0, 10, 30], 4) == {0: 0, 10: 1, 20: 2, 30: 3}`.
  """
  step = functools.reduce(math.gcd, ids)
  if len(ids) < 3 or ids[0] or step < 2 or ids[-1] > step * (num_classes - 1) or VOID in ids:
    return {}
  return {step * label: label for label in range(num_classes)}


def advise_one_too_many(ids: Sequence[int], class_names: Sequence[str]) -> str:
  """Returns the remedy for one value more than there are classes, of which 255 may be void."""
  num_classes = len(class_names)
  if len(ids) != num_classes + 1 or (ids[-1] != VOID and not match_even(ids, num_classes + 1)):
    return ''
  if list(ids[:-1]) == list(range(num_classes)):
    return ''  # ids and void
  with_top = {raw: label for label, raw in enumerate(ids)}
  without_top = dict(list(with_top.items())[:-1])
  choices = [
    f'{format_option(without_top, void=ids[-1])} if {ids[-1]} means ignore '
    f'({name_classes(without_top, class_names)})'
  ]
  if num_classes == 2:
    outer = {ids[0]: 0, ids[2]: 1}
    choices.insert(
      0,
      f'{format_option(outer, void=ids[1])} if {ids[1]} means ignore '
      f'({name_classes(outer, class_names)})',
    )
  return (
    f'{list_values(ids)} are one value more than there are classes: set {", or ".join(choices)}; '
    'or add the name of another class to the class file, and set '
    f'{format_option(with_top)}.'
  )


def advise_even(ids: Sequence[int], num_classes: int) -> str:
  """Returns the remedy for even values from black to white of another number than the classes.

  Two classes are left out, since smoothed edges look alike.
  """
  if num_classes == 2 or len(ids) < 3 or VOID not in ids or not match_even(ids, len(ids)):
    return ''
  listing = ','.join(f'{raw}:CLASS' for raw in ids)
  return (
    f'{list_values(ids)} are evenly spread from black to white, so that 255 may be a class, too: '
    f"set --config.data.label_map='{listing}' (CLASS is an id or void)."
  )


def format_option(label_map: Mapping[int, int], void: int | None = None) -> str:
  """Returns the option for value -> class, and for a value that is void."""
  pairs = {raw: str(label) for raw, label in label_map.items()}
  if void is not None:
    pairs[void] = 'void'
  listing = ','.join(f'{raw}:{label}' for raw, label in sorted(pairs.items()))
  return f"--config.data.label_map='{listing}'"


def name_classes(label_map: Mapping[int, int], class_names: Sequence[str]) -> str:
  """Returns for example '0 = ground, 128 = box'."""
  return ', '.join(f'{raw} = {class_names[label]}' for raw, label in label_map.items())


def list_values(ids: Sequence[int]) -> str:
  """Returns for example '0, 128 and 255', or the first and the last of many."""
  if len(ids) > 8:
    return f'{len(ids)} values, {ids[0]} to {ids[-1]},'
  return ', '.join(map(str, ids[:-1])) + f' and {ids[-1]}'
