"""Opens a builder of TensorFlow Datasets as a data set.

Synopsis:

    dataset = load('DIR', builder='oxford_iiit_pet')
    dataset = load('DIR', builder='oxford_iiit_pet', ignore='3')    # the border is void
"""

from collections.abc import Sequence
import dataclasses
import os
from pathlib import Path, PurePosixPath

from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.data.files.decoding import UNKNOWN
from classmix_jax.data.files.file_source import paired_source, unlabeled_source
from classmix_jax.data.files.find_images import EXTENSIONS
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.data.files.tfds_prepare import Builder
from classmix_jax.data.files.tfds_records import (
  count_records,
  damaged_error,
  record_images,
  record_names,
)
from classmix_jax.data.source import Dataset
from classmix_jax.datasets.folder.mask_options import MaskOptions
from classmix_jax.datasets.folder.palette import choose_palette
from classmix_jax.datasets.tfds.encodings import KNOWN, Encoding, make_decoding, read_encoding
from classmix_jax.datasets.tfds.features import choose_feature, choose_splits, find_name_feature
from classmix_jax.datasets.tfds.prepare import open_builder
from classmix_jax.errors import UserError
from classmix_jax.types import Size
from classmix_jax.utils.paths import cache_root


def load(
  root: str = '',
  size: Size | None = None,
  builder: str = '',
  manual_dir: str = '',
  image: str = '',
  mask: str = '',
  train_split: str = '',
  val_split: str = '',
  unlabeled_split: str = '',
  classes: str = '',
  label_map: str = '',
  ignore: str = '',
  mask_threshold: int = 0,
  others: str = '',
  transparent: str = '',
) -> Dataset:
  """Returns the data set of a builder; downloads and prepares it at the first call.

  Args:
    root: TFDS's `data_dir`; '' is `tensorflow_datasets` in the cache directory of this package.
    size: working resolution (height, width); None keeps the size of every image.
    builder: as in `tfds.builder`, e.g. 'oxford_iiit_pet' or 'cityscapes/semantic_segmentation'.
    manual_dir: directory of files that were downloaded by hand; '' is `root`/downloads/manual.
    image: feature of the image; '' finds it.
    mask: feature of the mask; '' finds it.
    train_split: '' is train; slices as 'train[:90%]' work.
    val_split: '' is validation, val or test.
    unlabeled_split: '' is unlabeled, unlabelled, unsupervised or train_extra if there is one;
      'none' uses none.
    classes: file of class names, as in dataset folder; the values of masks are then its ids, by
      default 0, 1, ..., and 255 for void. '' finds names and values, see encodings.py.
    label_map: 'VALUE:CLASS,...' maps further values of masks; CLASS is an id or void.
    ignore: 'VALUE,...', values to read as void.
    mask_threshold: see `MaskOptions`, as are the two below.
    others: 'void' or ''.
    transparent: what transparent pixels are.

  Raises:
    UserError: packages, files or features are missing, an option is malformed, or the values of
      the masks do not look like classes.

  Example: `load('DIR', builder='oxford_iiit_pet').class_names[0] == 'pet'`.
  """
  if not builder:
    raise UserError(
      'config.data.builder is empty. Set --config.data.builder=NAME to a builder of TensorFlow '
      'Datasets with masks, as in oxford_iiit_pet.'
    )
  directory = Path(os.path.expanduser(root)) if root else cache_root() / 'tensorflow_datasets'
  manual = Path(os.path.expanduser(manual_dir)) if manual_dir else directory / 'downloads/manual'
  tfds_builder = open_builder(builder, directory, manual)
  features = dict(tfds_builder.info.features.items())
  if not tfds_builder.info.splits:
    raise damaged_error(tfds_builder.data_dir, 'it lists no splits')
  splits = choose_splits(tfds_builder.info.splits, train_split, val_split, unlabeled_split)
  image = choose_feature(features, 'image', image)
  mask = choose_feature(features, 'mask', mask)
  known = KNOWN.get((tfds_builder.name, mask))
  channel = known.channel if known else None
  train, val = (
    _open_pairs(tfds_builder, split, image, mask, channel) for split in (splits.train, splits.val)
  )
  if classes:
    encoding = _read_class_file(Path(os.path.expanduser(classes)), channel)
  else:
    encoding = known or read_encoding(builder, features[mask], train.masks)
  decoding = make_decoding(
    encoding,
    MaskOptions(label_map, ignore, mask_threshold, others=others, transparent=transparent),
  )
  unlabeled = None
  if splits.unlabeled:
    names = _read_names(tfds_builder, splits.unlabeled)
    images = record_images(tfds_builder, splits.unlabeled, names, image)
    unlabeled = unlabeled_source(images.names, images, size)
  return Dataset(
    name='tfds',
    class_names=encoding.class_names,
    palette=encoding.palette,
    train=paired_source(train, decoding, size),
    val=paired_source(val, decoding, size),
    unlabeled=unlabeled,
  )


def _open_pairs(builder: Builder, split: str, image: str, mask: str, channel: int | None) -> Pairs:
  images = record_images(builder, split, _read_names(builder, split), image)
  masks = dataclasses.replace(images, feature=mask, channel=channel)
  return Pairs(images.names, images, masks)


def _read_names(builder: Builder, split: str) -> Sequence[str]:
  """Returns the names of a split in the order of the records: file names, else numbers."""
  feature = find_name_feature(dict(builder.info.features.items()))
  if feature is not None:
    names = [strip_extension(name) for name in record_names(builder, split, feature)]
    if all(names) and len(set(names)) == len(names):
      return names
  return [f'{split}_{index:06d}' for index in range(count_records(builder, split))]


def strip_extension(name: str) -> str:
  """Returns a file name without the extension of an image.

  Example:
    >>> strip_extension('a/b.1.JPG'), strip_extension('b.1')
    ('a/b.1', 'b.1')
  """
  path = PurePosixPath(name)
  return str(path.with_suffix('')) if path.suffix.lower() in EXTENSIONS else name


def _read_class_file(path: Path, channel: int | None) -> Encoding:
  table = read_class_file(path)
  identity = dict.fromkeys(range(len(table.names)), UNKNOWN)  # replaced by the ids of the table
  palette = choose_palette(table.colors, {}, ())
  return Encoding(table.names, palette, identity | table.label_map(), channel)
