"""Finds the image, the mask, the names and the splits of a TFDS builder in its description.

Synopsis:

    choose_feature(builder.info.features, 'image', '')      # 'image'
    choose_feature(builder.info.features, 'mask', '')       # 'segmentation_mask'
    choose_splits(builder.info.splits, '', '', '')          # Splits('train', 'test', None)
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed

# Names that builders use, the most specific first.
FEATURE_NAMES: Mapping[str, tuple[str, ...]] = {
  'image': ('image', 'image_left', 'images', 'img', 'rgb'),
  'mask': (
    'segmentation_mask',
    'segmentation_label',
    'segmentation',
    'semantic_segmentation',
    'annotation',
    'label_map',
    'mask',
  ),
}
NAME_FEATURES = ('file_name', 'filename', 'image/filename', 'image_id', 'id', 'name')
VAL_SPLITS = ('validation', 'val', 'test')
UNLABELED_SPLITS = ('unlabeled', 'unlabelled', 'unsupervised', 'train_extra')
NO_SPLIT = 'none'


class Splits(NamedTuple):
  """The splits of a data set; they may be sliced, as in 'train[:90%]'.

  Attributes:
    train: examples with masks.
    val: examples with masks for evaluation.
    unlabeled: examples whose masks are not read, or None.
  """

  train: str
  val: str
  unlabeled: str | None


def choose_feature(features: Mapping[str, Any], kind: str, name: str) -> str:
  """Returns the name of the feature with the image or the mask.

  Args:
    features: the top level of `builder.info.features`.
    kind: 'image' or 'mask'.
    name: the config field of that name; '' finds it by the names in `FEATURE_NAMES`, and else
      takes the only one of its shape.

  Raises:
    UserError: the named feature does not exist or has another shape, or none or several fit.

  Example: `choose_feature(builder.info.features, 'mask', '') == 'segmentation_mask'`.
  """
  described = listed([f'{key} {describe(feature)}' for key, feature in features.items()], 12)
  if name and name not in features:
    raise UserError(f'config.data.{kind} is {name!r}; the builder has the features {described}.')
  candidates = [key for key, feature in features.items() if _fits(key, feature, kind)]
  if name:
    if name not in candidates:
      raise UserError(
        f'config.data.{kind} is {name!r}, {describe(features[name])}; expected is '
        f'{_expected(kind)}. The builder has the features {described}.'
      )
    return name
  known = [key for key in FEATURE_NAMES[kind] if key in candidates]
  if known or len(candidates) == 1:
    return (known or candidates)[0]
  raise UserError(
    f'{len(candidates)} features of the builder can be the {kind} ({_expected(kind)}): it has '
    f'{described}. Set --config.data.{kind}=NAME, or choose another builder.'
  )


def describe(feature: Any) -> str:
  """Returns the type and shape of a feature, e.g. 'Image(None, None, 3)'."""
  return f'{type(feature).__name__}{tuple(getattr(feature, "shape", None) or ())}'


def _expected(kind: str) -> str:
  if kind == 'image':
    return 'an Image, or a Tensor of uint8 with 3 channels'
  return 'an Image with 1 channel, a LabeledImage, or a Tensor of integers [H, W] or [H, W, 1]'


def _fits(name: str, feature: Any, kind: str) -> bool:
  """Returns whether a feature can be the image or the mask, by its type, shape and name."""
  import tensorflow_datasets as tfds  # here, because it takes seconds and is optional

  shape = tuple(getattr(feature, 'shape', None) or ())
  is_mask_name = name in FEATURE_NAMES['mask']
  if isinstance(feature, tfds.features.Image):
    if kind == 'image':
      return not isinstance(feature, tfds.features.LabeledImage) and (
        name in FEATURE_NAMES['image'] or (shape[-1] != 1 and not is_mask_name)
      )
    return shape[-1] == 1 or is_mask_name
  if not isinstance(feature, tfds.features.Tensor):
    return False
  dtype = np.dtype(feature.np_dtype)
  if kind == 'image':
    return dtype == np.uint8 and len(shape) == 3 and shape[-1] == 3
  is_plane = len(shape) == 2 or (len(shape) == 3 and shape[-1] == 1)
  return np.issubdtype(dtype, np.integer) and is_plane


def find_name_feature(features: Mapping[str, Any]) -> str | None:
  """Returns the text feature with the name of an example, None if there is none."""
  import tensorflow_datasets as tfds  # here, because it takes seconds and is optional

  names = [name for name in NAME_FEATURES if isinstance(features.get(name), tfds.features.Text)]
  return names[0] if names else None


def choose_splits(available: Collection[str], train: str, val: str, unlabeled: str) -> Splits:
  """Returns the splits to use.

  Args:
    available: names of the builder's splits.
    train: name, possibly sliced; '' is 'train'.
    val: name, possibly sliced; '' is the first of `VAL_SPLITS` that exists.
    unlabeled: name, possibly sliced; '' is the first of `UNLABELED_SPLITS` that exists, if one
      does; 'none' uses none.

  Raises:
    UserError: a split does not exist.

  Example:
    >>> choose_splits(['train', 'test', 'train_extra'], '', '', '')
    Splits(train='train', val='test', unlabeled='train_extra')
  """
  val = val or next((name for name in VAL_SPLITS if name in available), '')
  if not val:
    raise UserError(
      f'The builder has the splits {listed(sorted(available), 8)}, none for validation: set '
      "--config.data.train_split='train[:90%]' --config.data.val_split='train[90%:]'."
    )
  default = next((name for name in UNLABELED_SPLITS if name in available), NO_SPLIT)
  splits = {'train': train or 'train', 'val': val, 'unlabeled': unlabeled or default}
  for kind, split in splits.items():
    is_optional = kind == 'unlabeled' and split == NO_SPLIT
    if split.partition('[')[0] not in available and not is_optional:
      raise UserError(
        f'config.data.{kind}_split is {split!r}; the builder has the splits '
        f'{listed(sorted(available), 8)}.'
      )
  last = splits['unlabeled']
  return Splits(splits['train'], val, None if last == NO_SPLIT else last)
