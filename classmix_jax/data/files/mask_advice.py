"""Remedies for masks whose values, colours or format have no meaning: the options to set.

Synopsis:

    advise_ids({5: 12, 250: 40}, decoding)          # 'Set --config.data.mask_threshold=128 ...'
    advise_colors({0x804080: 12}, decoding)
    advise_lossy(decoding)
"""

from collections.abc import Collection, Mapping, Sequence
import itertools
import math

from classmix_jax.data.files.colors import pack_color, unpack_color, voc_palette
from classmix_jax.data.files.decoding import RAW_VALUES, Decoding
from classmix_jax.data.files.mask_scale import LEAST_BRIGHT, advise_scale
from classmix_jax.types import VOID

FEW = 8  # values that can be classes of their own; smoothed edges have more
NEAR_BLACK = 32  # in grey values, also from white, after compression
SAFE_DISTANCE = 64  # in RGB, between a smoothed colour and that of its class
CLASS_SHARE = 0.25  # of the pixels of unknown colours: a colour of its own

_OTHERS = '--config.data.others=void'


def advise_ids(values: Mapping[int, int], decoding: Decoding, present: Collection[int] = ()) -> str:
  """Returns the remedy for ids without a class.

  Args:
    values: id without a class -> number of pixels in all masks.
    decoding: of the masks.
    present: all ids in these masks, if they are known.
  """
  if decoding.advice:
    return decoding.advice
  num_classes, ids = len(decoding.class_names), sorted(values)
  if num_classes == 2 and len(present) > 2 and _are_black_and_white(present):
    return _threshold(decoding)
  scale = advise_scale({*values, *present}, decoding.class_names)
  if scale:
    ignore = f" Or set --config.data.ignore='{','.join(map(str, ids))}' to leave such pixels out."
    return scale + (ignore if ids[0] >= num_classes and ids[-1] < LEAST_BRIGHT else '')
  if num_classes == 2 and ids[0] >= 0 and (len(ids) > FEW or len(ids) > 1 and ids[-1] >= 128):
    return _threshold(decoding)
  if len(ids) > FEW or ids[0] < 0 or ids[-1] >= RAW_VALUES:
    usable = next((raw for raw in ids if 0 <= raw < RAW_VALUES), None)
    classes = f", or --config.data.label_map='{usable}:CLASS,...' for classes among them"
    return (
      f'Set {_OTHERS} to read values without a class as void{classes if usable is not None else ""}'
      '; if the masks were smoothed or resized, export them again without that.'
    )
  advice = (
    f"Set --config.data.label_map='{','.join(f'{raw}:CLASS' for raw in ids)}' (CLASS is an id or "
    f"void), or --config.data.ignore='{','.join(map(str, ids))}' to leave such pixels out."
  )
  if ids == [num_classes]:
    shift = ','.join(f'{raw}:{raw - 1}' for raw in range(1, num_classes + 1))
    advice += f" If your ids start at 1: --config.data.label_map='0:void,{shift}'."
  if ids == list(range(num_classes, num_classes + len(ids))):
    advice += ' If the class file lacks the names of these ids, add them.'
  return advice


def _are_black_and_white(values: Collection[int]) -> bool:
  """Returns whether grey values are black and white but for compression."""
  dark = [0 <= raw <= NEAR_BLACK for raw in values]
  bright = [VOID - NEAR_BLACK <= raw <= VOID for raw in values]
  return any(dark) and any(bright) and sum(dark) + sum(bright) == len(values)


def _threshold(decoding: Decoding) -> str:
  return (
    f'If these are smoothed or compressed edges, set --config.data.mask_threshold=128: grey '
    f'values from 128 on are class 1 ({decoding.class_names[1]}).'
  )


def advise_colors(values: Mapping[int, int], decoding: Decoding) -> str:
  """Returns the remedy for packed colours without a class, colour -> number of pixels."""
  if decoding.advice:
    return decoding.advice
  ranked = sorted(values, key=lambda key: (-values[key], key))
  if not decoding.colors and len(ranked) == len(decoding.class_names):
    return _colors_in_order(ranked, decoding)
  if not decoding.colors:
    listing = ','.join(f'#{key:06x}:CLASS' for key in ranked[:FEW])
    more = (
      ''
      if len(ranked) <= FEW
      else (
        f' These are the most frequent of {len(ranked):,} colours; with '
        f'--config.data.color_distance={SAFE_DISTANCE} --config.data.others=void the others take '
        'the class of a colour near them, or are void.'
      )
    )
    return (
      "Write its colour behind every name in the class file ('road 128 64 128'), or set "
      f"--config.data.colors='{listing}'.{more}"
    )
  smoothed = f'If these are smoothed or compressed edges, set {_tolerance(decoding)}.'
  # A colour of its own has many pixels; those of smoothed edges have few each.
  least = CLASS_SHARE * sum(values.values())
  own = [key for key in ranked if values[key] >= least and not _is_near(key, decoding)]
  if not own and len(ranked) > FEW:
    return smoothed
  listing = ','.join(f'#{key:06x}:CLASS' for key in ranked[:FEW] if key in own or not own)
  advice = f"Set --config.data.colors='{listing}' (CLASS is an id or void)."
  return advice if len(ranked) == len(own) else f'{advice} {smoothed}'


def _colors_in_order(ranked: Sequence[int], decoding: Decoding) -> str:
  """Returns the remedy for as many colours as classes: in VOC's order, or else by frequency."""
  voc = [pack_color(color) for color in voc_palette(len(ranked))]
  order = voc if set(voc) == set(ranked) else sorted(ranked, key=bool)  # black first
  names = decoding.class_names
  listing = ','.join(f'#{key:06x}:{label}' for label, key in enumerate(order))
  named = ', '.join(f'#{key:06x} = {name}' for key, name in zip(order, names, strict=True))
  return (
    f"These are as many colours as there are classes: set --config.data.colors='{listing}' if this "
    f'is their order ({named}), or exchange the ids. They can also stand behind the names in the '
    "class file ('road 128 64 128')."
  )


def _tolerance(decoding: Decoding) -> str:
  distance = safe_distance(decoding)
  return (
    f'--config.data.color_distance={distance} {_OTHERS}: colours within {distance} of a class in '
    'RGB are that class, all others void'
  )


def _is_near(packed: int, decoding: Decoding) -> bool:
  color = unpack_color(packed)
  return min(math.dist(color, other) for other in decoding.colors) <= safe_distance(decoding)


def safe_distance(decoding: Decoding) -> int:
  """Returns half of the smallest distance between colours of two classes, at most 64."""
  pairs = itertools.combinations(decoding.colors.items(), 2)
  distances = [math.dist(a, b) for (a, label), (b, other) in pairs if label != other]
  return max(1, min(SAFE_DISTANCE, int(min(distances, default=2 * SAFE_DISTANCE) / 2)))


def advise_lossy(decoding: Decoding) -> str:
  """Returns the remedy for masks in a lossy format, as the end of a sentence."""
  if decoding.advice:
    return f'export the masks as PNG. {decoding.advice}'
  threshold = (
    'set --config.data.mask_threshold=128 to read grey values from 128 on as class 1'
    if len(decoding.class_names) == 2
    else ''
  )
  if decoding.colors:
    grey = f', or if they are grey {threshold}' if threshold else ''
    return f'set {_tolerance(decoding)}{grey}; or export the masks as PNG.'
  if threshold:
    return f'{threshold} ({decoding.class_names[1]}), or export the masks as PNG.'
  return (
    'export the masks as PNG. Only colours that are far apart survive it: with colours behind the '
    'names in the class file --config.data.color_distance reads them.'
  )
