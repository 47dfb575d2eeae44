"""Opens ADE20K.

Synopsis:

    dataset = load('ADEChallengeData2016')
    dataset = load('ADE20K', zero_is_void=False)   # masks of 0..149 and 255
"""

import os
from pathlib import Path

from classmix_jax.data.files.checks import check_exists, check_pairs
from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.file_source import paired_source
from classmix_jax.data.files.find_images import find_images, find_unpacked_images
from classmix_jax.data.files.mask_io import count_raw_values
from classmix_jax.data.files.pairs import Pairs, pair
from classmix_jax.data.label_statistics import spread
from classmix_jax.data.source import Dataset
from classmix_jax.datasets.ade20k.classes import CLASS_NAMES, PALETTE, make_decoding
from classmix_jax.errors import UserError
from classmix_jax.types import VOID, Size

SPLITS = ('training', 'validation')
LAYOUT = (
  'images/training/, images/validation/, annotations/training/ and annotations/validation/ '
  '(ADEChallengeData2016)'
)
SAMPLE_SIZE = 50  # masks; almost every one of ADE20K has void pixels


def load(root: str, size: Size | None = None, zero_is_void: bool = True) -> Dataset:
  """Returns ADE20K; checks paths, pairs and sizes without decoding an image.

  Args:
    root: ADEChallengeData2016, or a directory that contains it.
    size: working resolution (height, width); None keeps the size of every image.
    zero_is_void: whether masks have 0 as void and 1..150 as classes, as ADEChallengeData2016;
      False for masks with 0..149 as classes and 255 as void, as UniMatch V2 ships them. With
      False, up to 50 masks are read to confirm it.

  Raises:
    UserError: lists what is missing or inconsistent, and the remedy.

  Example: `len(load('ADEChallengeData2016').train) == 20210`.
  """
  directory = Path(os.path.expanduser(root))
  inside = directory / 'ADEChallengeData2016'
  base = inside if root and inside.is_dir() else directory
  directories = [base / kind / split for kind in ('images', 'annotations') for split in SPLITS]
  check_exists(root and str(base), directories, LAYOUT)
  decoding = make_decoding(zero_is_void)
  train, val = (_find_pairs(base, split, decoding) for split in SPLITS)
  if not zero_is_void:
    check_void(train)
  return Dataset(
    name='ade20k',
    class_names=CLASS_NAMES,
    palette=PALETTE,
    train=paired_source(train, decoding, size),
    val=paired_source(val, decoding, size),
  )


def _find_pairs(base: Path, split: str, decoding: Decoding) -> Pairs:
  images = find_unpacked_images(base / 'images' / split, 'ADE20K')
  masks = base / 'annotations' / split
  pairs = pair(images, find_images(masks), remedy=f'Add the masks to {masks}.')
  check_pairs(pairs, decoding)
  return pairs


def check_void(pairs: Pairs) -> None:
  """Raises UserError if no mask of a sample has void pixels, the sign of masks with 0 as void.

  Masks of 0..150 that are read as 0..149 and 255 would shift every class by one, and only the
  rare value 150 would be an error.

  Example: `check_void(pairs)`.
  """
  decoding = make_decoding(zero_is_void=False)
  indices = spread(len(pairs.names), SAMPLE_SIZE)
  for index in indices:
    if VOID in count_raw_values(pairs.masks[index], decoding):
      return
  raise UserError(
    f'{pairs.masks[indices[0]]} and {len(indices) - 1} other masks lack the value 255, which is '
    'void with --config.data.zero_is_void=False: set --config.data.zero_is_void=True for the masks '
    'of ADEChallengeData2016 (0 is void), or use dataset folder for masks without void pixels.'
  )
