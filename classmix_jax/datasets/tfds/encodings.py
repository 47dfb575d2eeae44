"""Maps the values of masks to classes, by a table, the builder's description, or a sample.

Synopsis:

    encoding = KNOWN['oxford_iiit_pet', 'segmentation_mask']
    encoding = read_encoding('my_builder', feature, masks)
    decoding = make_decoding(encoding, MaskOptions(ignore='3'))
"""

from collections.abc import Mapping, Sequence
import functools
from typing import Any, NamedTuple

from classmix_jax.data.files.colors import Color, voc_palette
from classmix_jax.data.files.decoding import UNKNOWN, Decoding, label_table
from classmix_jax.data.files.mask_io import count_raw_values
from classmix_jax.data.files.open_image import File
from classmix_jax.data.label_statistics import spread
from classmix_jax.datasets.cityscapes import classes as cityscapes
from classmix_jax.datasets.folder.mask_options import MaskOptions, build_decoding
from classmix_jax.datasets.tfds import scene_parse150
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.text import listed, plural

SAMPLE_SIZE = 50  # masks that are read if the builder declares no classes
FEWEST_CLASSES = 2


class Encoding(NamedTuple):
  """How the masks of a builder hold classes.

  Attributes:
    class_names: name of class 0, 1, ...
    palette: one colour per class.
    label_map: value of a mask -> class id, `VOID` or `UNKNOWN`, where it is not the identity.
    channel: the channel with the classes if masks are RGB, else None.
  """

  class_names: tuple[str, ...]
  palette: tuple[Color, ...]
  label_map: Mapping[int, int] = {}
  channel: int | None = None


def shift_labels(num_classes: int, zero: int) -> dict[int, int]:
  """Returns the map of masks whose classes are the values 1, 2, ...

  Args:
    num_classes: number of classes.
    zero: what the value 0 is, `VOID` or `UNKNOWN`.

  Example:
    >>> shift_labels(2, zero=255)
    {0: 255, 1: 0, 2: 1}
  """
  return {0: zero, **{label + 1: label for label in range(num_classes)}}


def _make_shifted(class_names: tuple[str, ...], zero: int, channel: int | None = None) -> Encoding:
  num_classes = len(class_names)
  return Encoding(class_names, voc_palette(num_classes), shift_labels(num_classes, zero), channel)


# By builder and feature, for builders that do not declare the classes of their masks.
KNOWN: Mapping[tuple[str, str], Encoding] = {
  # The trimap: 1 pet, 2 background, 3 the unclassified border between them.
  ('oxford_iiit_pet', 'segmentation_mask'): _make_shifted(('pet', 'background', 'border'), UNKNOWN),
  ('scene_parse150', 'annotation'): _make_shifted(scene_parse150.CLASS_NAMES, VOID, channel=0),
  ('cityscapes', 'segmentation_label'): Encoding(
    cityscapes.CLASS_NAMES,
    cityscapes.PALETTE,
    {
      **dict.fromkeys(range(cityscapes.NUM_LABEL_IDS), VOID),
      **{label_id: train_id for train_id, label_id in enumerate(cityscapes.RAW_IDS)},
    },
  ),
}


def read_encoding(builder: str, feature: Any, masks: Sequence[File]) -> Encoding:
  """Returns the encoding of a builder that is not in `KNOWN`.

  The classes are those of a `LabeledImage`. Other features declare none; then a sample of masks
  is read: values from 0 are class ids, values from 1 are one more than class ids, and 255 is void.
  What was read is printed.

  Args:
    builder: its name, for messages.
    feature: the mask's feature.
    masks: the encoded masks of the training split.

  Raises:
    UserError: masks are RGB images, or their values do not look like classes.

  Example: `read_encoding('my_builder', features['mask'], masks).class_names == ('a', 'b')`.
  """
  if getattr(feature, 'num_classes', None):
    names = getattr(feature, 'names', None) or number_names(feature.num_classes)
    return Encoding(tuple(names), voc_palette(len(names)))
  indices = spread(len(masks), SAMPLE_SIZE)
  values = sorted(sample_values([masks[index] for index in indices]))
  labels = [value for value in values if value != VOID]
  start = f'{builder} declares no classes; {len(indices)} of its masks hold the {_spell(values)}'
  if not labels or not looks_like_classes(labels):
    example = f'{VOID}:1' if values == [0, VOID] else 'VALUE:CLASS,...'
    raise UserError(
      f'{start}, which are not consecutive class ids. Set --config.data.classes=FILE, one name a '
      f"line, and --config.data.label_map='{example}'."
    )
  is_shifted = labels[0] == 1
  names = number_names(labels[-1] + (not is_shifted))
  encoding = (
    _make_shifted(names, UNKNOWN) if is_shifted else Encoding(names, voc_palette(len(names)))
  )
  announce(
    f'{start}: {"value 1" if is_shifted else "value 0"} is class_0, and so on to '
    f'{names[-1]}. --config.data.classes=FILE names them.'
  )
  return encoding


def number_names(count: int) -> tuple[str, ...]:
  """Returns names for classes without one.

  Example:
    >>> number_names(2)
    ('class_0', 'class_1')
  """
  return tuple(f'class_{label}' for label in range(count))


def sample_values(masks: Sequence[File]) -> set[int]:
  """Returns all values of some masks; raises UserError if they are colours."""
  decoding = Decoding((), label_table(0))
  values: set[int] = set()
  for mask in masks:
    for value in count_raw_values(mask, decoding):
      if not isinstance(value, int):
        raise UserError(
          f'{mask} is an RGB image; expected is an image of class ids. Choose another feature with '
          '--config.data.mask=NAME, or export the masks and use dataset folder.'
        )
      values.add(value)
  return values


def looks_like_classes(labels: Sequence[int]) -> bool:
  """Returns whether sorted values are class ids from 0 or 1, of which few are missing.

  Instance ids, depths and masks of 0 and 128 are not.

  Example:
    >>> looks_like_classes([1, 2, 3]), looks_like_classes([0, 128])
    (True, False)
  """
  count = labels[-1] - labels[0] + 1
  return labels[0] <= 1 and FEWEST_CLASSES <= count < VOID and 2 * len(labels) >= count


def _spell(values: Sequence[int]) -> str:
  """Returns 'values 0 to 3 and 255' if they are consecutive, else the first values."""
  labels = [value for value in values if value != VOID]
  if len(labels) > 1 and labels[-1] - labels[0] + 1 == len(labels):
    text = f'values {labels[0]} to {labels[-1]}'
    return f'{text} and {VOID}' if VOID in values else text
  return f'{plural("value", values)} {listed(values, 8)}'


@functools.cache  # a training run opens its data set more than once
def announce(sentence: str) -> None:
  """Prints a sentence, once per process."""
  print(sentence, flush=True)


def make_decoding(encoding: Encoding, options: MaskOptions) -> Decoding:
  """Returns the decoding of masks, with the options of the config.

  Raises:
    UserError: an option is malformed.

  Example: `make_decoding(KNOWN['oxford_iiit_pet', 'segmentation_mask'], MaskOptions()).table[3]`.
  """
  names = encoding.class_names
  ids = {**{label: label for label in range(len(names))}, **encoding.label_map}
  return build_decoding(names, ids, {}, options)
