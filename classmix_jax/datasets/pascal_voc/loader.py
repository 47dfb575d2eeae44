"""Opens PASCAL VOC 2012 from its folders, or as TensorFlow Datasets prepared them.

Synopsis:

    dataset = load('VOCdevkit/VOC2012')
    dataset = load('VOCdevkit/VOC2012', masks='SegmentationClass')   # 1,464 training images
    dataset = load('VOCdevkit/VOC2012', reader='tfds')               # prepares at the first call
"""

import functools
import os
from pathlib import Path

from classmix_jax.data.files import tfds_records
from classmix_jax.data.files.file_source import paired_source
from classmix_jax.data.files.image_io import Size
from classmix_jax.data.files.pairs import Pairs, check_choice, check_exists
from classmix_jax.data.source import Dataset
from classmix_jax.datasets.pascal_voc.classes import CLASS_NAMES, DECODING, PALETTE
from classmix_jax.datasets.pascal_voc.folders import LAYOUT, TRAIN_LISTS, find_base, find_pairs

READERS = ('folders', 'tfds')


def load(
  root: str,
  size: Size | None = None,
  reader: str = 'folders',
  tfds_dir: str = '',
  masks: str = 'SegmentationClassAug',
) -> Dataset:
  """Returns PASCAL VOC 2012; checks lists, pairs and sizes, and decodes nothing yet.

  Args:
    root: VOCdevkit/VOC2012, or a folder that holds it.
    size: working resolution (height, width); None keeps every image as it is.
    reader: 'folders', or 'tfds', which copies the files into TensorFlow Datasets' records
      at its first call and later reads those alone. Names and pixels are the same.
    tfds_dir: what 'tfds' prepares stands here; '' is `root`/tensorflow_datasets.
    masks: folder of the training masks, 'SegmentationClassAug' or 'SegmentationClass'.

  Raises:
    UserError: lists what is missing or does not fit, and the remedy.

  Example: `len(load('VOCdevkit/VOC2012').train) == 10582`.
  """
  check_choice('config.data.reader', reader, READERS)
  check_choice('config.data.masks', masks, tuple(TRAIN_LISTS))
  folder = Path(os.path.expanduser(root))
  check_exists(root and str(folder), (), LAYOUT)
  if reader == 'folders':
    train, val = find_pairs(find_base(folder), masks)
  else:
    cache = Path(os.path.expanduser(tfds_dir)) if tfds_dir else folder / 'tensorflow_datasets'
    train, val = _prepared_pairs(find_base(folder), cache, masks)
  return Dataset(
    name='pascal_voc',
    class_names=CLASS_NAMES,
    palette=PALETTE,
    train=paired_source(train, DECODING, size),
    val=paired_source(val, DECODING, size),
  )


def _prepared_pairs(base: Path, cache: Path, masks: str) -> tuple[Pairs, Pairs]:
  """Returns training and validation pairs in `cache`; copies them there if they are not yet."""
  with tfds_records.needs_tfds('pascal_voc'):
    from classmix_jax.datasets.pascal_voc.builder import PascalVocAug  # seconds to import

  def make_files(builder: tfds_records.Builder) -> None:
    find_pairs(base, masks)  # TFDS would wrap what is wrong with them into words of its own
    tfds_records.prepare(
      builder,
      f'Preparing {base} in {builder.data_dir} (once; takes a while)',
      'Prepared PASCAL VOC',
      manual_dir=str(base),
    )

  builder = tfds_records.open_prepared(
    functools.partial(PascalVocAug, data_dir=str(cache), config=masks),
    make_files,
    cache,
    'config.data.tfds_dir',
  )
  return _pairs(builder, 'train'), _pairs(builder, 'val')


def _pairs(builder: tfds_records.Builder, split: str) -> Pairs:
  names = tfds_records.record_names(builder, split, 'name')
  return tfds_records.record_pairs(builder, split, names, image='image', mask='label')
