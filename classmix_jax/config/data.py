"""Data set, split and geometry of a config."""

from collections.abc import Callable
import dataclasses
import inspect
import operator
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from classmix_jax.config.lookup import Config, lookup
from classmix_jax.config.model import (
  build_backbone,
  build_protocol,
  fewest_unlabeled,
  needs_unlabeled,
)
from classmix_jax.data.disk_cache import copy_images, copy_labels
from classmix_jax.data.files.checks import check_pairs, file_pairs
from classmix_jax.data.files.findings import keep_findings, keeps_findings, raise_findings
from classmix_jax.data.random_crop import Geometry
from classmix_jax.data.source import Dataset, Source, cached, concat, subset, with_labels_of
from classmix_jax.data.splits import TOO_FEW, choose_labeled, split_hash
from classmix_jax.data.unreadable import (
  NONE_UNREADABLE,
  UnreadableExamples,
  drop_examples,
  find_unreadable_examples,
)
from classmix_jax.datasets import DATASETS
from classmix_jax.errors import UserError
from classmix_jax.evaluation.protocols import PROTOCOLS
from classmix_jax.methods import BASELINE
from classmix_jax.types import Size
from classmix_jax.utils.paths import cache_root
from classmix_jax.utils.progress import progress

# One budget, split between what is read every step and what is read every evaluation.
TRAIN_SHARE, VAL_SHARE, UNLABELED_SHARE = 0.4, 0.3, 0.3
POOLS = ('rest', 'all')
ON_ERROR = ('raise', 'skip')
ALL_LABELED = (
  'Every training image is labelled: all are used without their masks, too, as with '
  '--config.data.unlabeled=all.'
)
WORKING_COPIES = ('memory', 'disk', 'device')


class Split(NamedTuple):
  """Labelled and unlabelled training images.

  Attributes:
    labeled: images with labels.
    unlabeled: images without labels, or None in a stage that does not use them.
    labeled_hash: 8 hex digits that identify the labelled images by name.
    notes: sentences about the choice, printed after those of the data set.
  """

  labeled: Source
  unlabeled: Source | None
  labeled_hash: str
  notes: tuple[str, ...] = ()


def open_dataset(config: Config, size: tuple[int, int] | None) -> Dataset:
  """Opens the data set at a working resolution, or at that of its files; copies nothing."""
  load = lookup(DATASETS, config.data.name, 'config.data.name')
  # A loader's parameters are the fields of config.data that it reads.
  fields = inspect.signature(load).parameters.keys() - {'root', 'size'}
  options = {key: config.data[key] for key in fields if key in config.data}
  # Inside another `keep_findings` the caller collects the findings.
  if not skips_unreadable(config) or keeps_findings():
    return load(root=config.data.root, size=size, **options)
  with keep_findings() as findings:
    dataset = load(root=config.data.root, size=size, **options)
  # A wrong layout is an error in either case, and `val` must be complete to be comparable.
  raise_findings(findings, len(findings), 'files')
  if dataset.val.files is not None:
    check_pairs(file_pairs(dataset.val), dataset.val.files.decoding)
  return dataset


def skips_unreadable(config: Config) -> bool:
  """Returns whether unreadable training examples are left out, instead of raising an error."""
  choice = config.data.on_error
  lookup(dict.fromkeys(ON_ERROR), choice, 'config.data.on_error')
  return choice == 'skip'


def find_unreadable(config: Config) -> UnreadableExamples:
  """Reads all training examples once and returns the unreadable ones.

  Masks are read only for labelled examples. Returns `NONE_UNREADABLE` unless
  `config.data.on_error` is 'skip'.
  """
  if not skips_unreadable(config):
    return NONE_UNREADABLE
  dataset = open_dataset(config, tuple(config.data.size) or None)
  total = len(dataset.train) + len(dataset.unlabeled or ())
  labeled = choose_labeled(dataset.train.names, config.data.labeled, config.data.split_seed)
  return find_unreadable_examples(dataset, labeled, progress('reading all training images', total))


def build_validation(
  config: Config, choose: Callable[[Dataset], Source] = operator.attrgetter('val')
) -> Dataset:
  """Opens the data set for evaluation.

  `val` is read from a working copy, at the sizes that the protocol needs; the other parts are read
  from their files.

  Args:
    config: of the data set and of the protocol.
    choose: returns the examples that are evaluated, which become `val`.
  """
  dataset = open_dataset(config, tuple(config.data.size) or None)
  val = choose(dataset)
  entry = PROTOCOLS[build_protocol(config).name]
  if len(config.data.size) and entry.native_label:
    native = choose(open_dataset(config, None))
    val = native if entry.native_image else with_labels_of(val, native)
  val = working_copy(config, val, VAL_SHARE)
  if on_disk(config):
    val = copy_labels(val, copy_directory(config))
  return dataclasses.replace(dataset, val=val)


def build_dataset(config: Config, left_out: UnreadableExamples = NONE_UNREADABLE) -> Dataset:
  """Opens the data set for training, with frames from a working copy (`data.working_copy`)."""
  dataset = build_validation(config)
  unlabeled = dataset.unlabeled and drop_examples(dataset.unlabeled, left_out.unlabeled)
  return dataclasses.replace(
    dataset,
    train=working_copy(config, drop_examples(dataset.train, left_out.train), TRAIN_SHARE),
    unlabeled=unlabeled and working_copy(config, unlabeled, UNLABELED_SHARE),
  )


def working_copy(config: Config, source: Source, share: float) -> Source:
  """Returns a source that reads a disk copy, or caches a fraction of `cache_gb` in memory."""
  if on_disk(config):
    return copy_images(source, copy_directory(config))
  return cached(source, config.data.cache_gb * share)


def on_disk(config: Config) -> bool:
  """Returns whether decoded frames are kept on disk; frames on devices are loaded from there."""
  kind = config.data.working_copy
  lookup(dict.fromkeys(WORKING_COPIES), kind, 'config.data.working_copy')
  return kind != 'memory'


def copy_directory(config: Config) -> Path:
  root = config.data.copy_root
  return (Path(os.path.expanduser(root)) if root else cache_root() / 'copies') / config.data.name


def choose_split(
  config: Config, dataset: Dataset, left_out: UnreadableExamples = NONE_UNREADABLE
) -> Split:
  """Chooses the labelled examples; the rest, or all, are used without labels.

  If there is no image without labels and the method needs some, all are used.

  Unreadable examples take part in the choice and are dropped afterwards, so that no mask which
  was never checked takes their place.

  Raises:
    UserError: `config.data.labeled` or `unlabeled` is wrong, or no labelled example is readable.
  """
  names = (*dataset.train.names, *left_out.train)
  chosen = choose_labeled(names, config.data.labeled, config.data.split_seed)
  chosen = chosen[chosen < len(dataset.train)]
  if not len(chosen):
    reason = left_out.summary or next(iter(left_out.train.values()))
    raise UserError(f'None of the labelled examples reads: {reason}')
  lookup(dict.fromkeys(POOLS), config.data.unlabeled, 'config.data.unlabeled')
  everything = np.arange(len(dataset.train))
  pool = everything if config.data.unlabeled == 'all' else np.setdiff1d(everything, chosen)
  notes: tuple[str, ...] = ()
  if not len(pool) and not dataset.unlabeled and needs_unlabeled(config):
    pool, notes = everything, (ALL_LABELED,)
  unlabeled = subset(dataset.train, pool)
  if dataset.unlabeled is not None:
    unlabeled = concat(unlabeled, dataset.unlabeled)
  labeled = subset(dataset.train, chosen)
  # Removes all access to the masks of unlabelled images.
  unlabeled = dataclasses.replace(unlabeled, read_label=None)
  return Split(labeled, unlabeled, split_hash(labeled.names), notes)


def check_pool(config: Config, split: Split) -> None:
  """Raises UserError if the method needs more unlabelled images than there are."""
  least = fewest_unlabeled(config)
  assert split.unlabeled is not None
  if len(split.unlabeled) < least:
    why = 'mixes pairs of' if least > 1 else 'learns from'
    raise UserError(
      f'{config.method.name} {why} unlabelled images, but there is only '
      f'{len(split.unlabeled)}: add images without masks, lower config.data.labeled '
      f'({len(split.labeled)} images are labelled), or use method={BASELINE}.',
      TOO_FEW,
    )


def build_split(
  config: Config, dataset: Dataset, left_out: UnreadableExamples = NONE_UNREADABLE
) -> Split:
  """Returns `choose_split` with labels from a working copy, as in `build_dataset`.

  Raises:
    UserError: the split is wrong, or there are too few unlabelled images for the method.
  """
  split = choose_split(config, dataset, left_out)
  check_pool(config, split)
  if not on_disk(config):
    return split
  # After the choice, because masks of unlabelled images are never opened.
  return split._replace(labeled=copy_labels(split.labeled, copy_directory(config)))


def build_geometry(config: Config) -> Geometry:
  """Returns how training examples are cut; raises UserError if options do not fit together."""
  data = config.data
  crop = tuple(data.crop) or None
  grid = feature_cell(config) if config.model.cache_features and crop else (1, 1)
  return Geometry(crop, tuple(data.scale), data.scale_step, data.flip, data.scale_apart, grid)


def feature_cell(config: Config) -> Size:
  """Returns the (height, width) in pixels of a cell of the features of a frame.

  Raises:
    UserError: the cells of a frame, or a crop and the cells, do not divide evenly.
  """
  size, crop = tuple(config.data.size), tuple(config.data.crop)
  grid = build_backbone(config).feature_grid(size)
  cell = size[0] // grid[0], size[1] // grid[1]
  if cell[0] * grid[0] != size[0] or cell[1] * grid[1] != size[1]:
    raise UserError(
      f'config.model.cache_features divides frames of {size[0]}x{size[1]} (config.data.size) into '
      f'{grid[0]}x{grid[1]} cells, which are no whole pixels; change config.model.scale or '
      'config.data.size, or train on whole frames with config.data.crop=().'
    )
  if crop[0] % cell[0] or crop[1] % cell[1] or crop[0] > size[0] or crop[1] > size[1]:
    raise UserError(
      f'config.data.crop is {crop}, but the cached features have cells of {cell[0]}x{cell[1]} '
      f'pixels in frames of {size[0]}x{size[1]}; give multiples of a cell, or () for whole frames.'
    )
  return cell


def feature_directory(config: Config) -> Path | None:
  """Returns where features of a frozen backbone are kept, None if they are not cached."""
  return copy_directory(config) if config.model.cache_features else None
