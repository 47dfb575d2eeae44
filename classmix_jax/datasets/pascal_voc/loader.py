"""Opens PASCAL VOC 2012.

Synopsis:

    dataset = load('VOCdevkit/VOC2012')
    dataset = load('VOCdevkit/VOC2012', masks='SegmentationClass')   # 1,464 training images
"""

import os
from pathlib import Path

from classmix_jax.data.files.checks import check_choice, check_exists
from classmix_jax.data.files.file_source import paired_source
from classmix_jax.data.source import Dataset
from classmix_jax.datasets.pascal_voc.classes import CLASS_NAMES, DECODING, PALETTE
from classmix_jax.datasets.pascal_voc.folders import LAYOUT, TRAIN_LISTS, find_base, find_pairs
from classmix_jax.types import Size


def load(
  root: str,
  size: Size | None = None,
  masks: str = 'SegmentationClassAug',
) -> Dataset:
  """Returns PASCAL VOC 2012; checks lists, pairs and sizes without decoding an image.

  Args:
    root: VOCdevkit/VOC2012, or a directory that contains it.
    size: working resolution (height, width); None keeps the size of every image.
    masks: directory of the training masks, 'SegmentationClassAug' or 'SegmentationClass'.

  Raises:
    UserError: lists what is missing or inconsistent, and the remedy.

  Example: `len(load('VOCdevkit/VOC2012').train) == 10582`.
  """
  check_choice('config.data.masks', masks, tuple(TRAIN_LISTS))
  directory = Path(os.path.expanduser(root))
  check_exists(root and str(directory), (), LAYOUT)
  train, val = find_pairs(find_base(directory), masks)
  return Dataset(
    name='pascal_voc',
    class_names=CLASS_NAMES,
    palette=PALETTE,
    train=paired_source(train, DECODING, size),
    val=paired_source(val, DECODING, size),
  )
