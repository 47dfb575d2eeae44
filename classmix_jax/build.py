"""From a config to objects: no module below this one knows ml_collections.

Synopsis:

    dataset = build_dataset(config)
    split = build_split(config, dataset)
    method = build_method(config, num_classes=len(dataset.class_names))
    tx = build_optimizer(config, config.steps)
"""

from collections.abc import Collection, Mapping
import dataclasses
import difflib
import os
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from classmix_jax.backbones import BACKBONES
from classmix_jax.backbones.batch_norm import BN_MODES
from classmix_jax.backbones.preprocessing import PREPROCESSING
from classmix_jax.cache import cache_root
from classmix_jax.core.optim import RULES, poly_optimizer
from classmix_jax.datasets import DATASETS
from classmix_jax.datasets.pairs import (
  check_pairs,
  file_pairs,
  keep_findings,
  kept,
  raise_findings,
)
from classmix_jax.disk_copy import copy_images, copy_labels
from classmix_jax.geometry import Geometry
from classmix_jax.logbook import progress
from classmix_jax.methods import METHODS, hyper_parameters
from classmix_jax.methods.labeled_loss import LabeledLoss
from classmix_jax.models.heads import HEADS
from classmix_jax.models.segmenter import Segmenter, with_head
from classmix_jax.protocols import PROTOCOLS, Protocol, check_protocol
from classmix_jax.ranges import check_ranges
from classmix_jax.readable import NOTHING, LeftOut, find_left_out, without
from classmix_jax.rundir import flatten
from classmix_jax.sources import cached, concat, subset, with_labels_of
from classmix_jax.splits import choose_labeled, split_hash
from classmix_jax.train import ON_NAN
from classmix_jax.types import Dataset, Method, Source, UserError

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}
# One budget, split between what is read every step and what is read every evaluation.
TRAIN_SHARE, VAL_SHARE, UNLABELED_SHARE = 0.4, 0.3, 0.3
POOLS = ('rest', 'all')
ON_ERROR = ('raise', 'skip')
WORKING_COPIES = ('memory', 'disk', 'device')
DATA_OPTIONS = {  # fields of config.data that only some loaders take
    'cityscapes': ('reader', 'tfds_dir', 'train_extra'),
    'pascal_voc': ('reader', 'tfds_dir', 'masks'),
    'folder': ('classes', 'label_map', 'colors', 'ignore'),
}


class Split(NamedTuple):
  """Who plays which part: sources, and the names behind the labelled one."""

  labeled: Source
  unlabeled: Source | None
  labeled_hash: str


def lookup(table: Mapping[str, Any], name: str, field: str) -> Any:
  """Returns `table[name]`; a wrong name is answered with the nearest known one.

  Raises:
    UserError: no such name.
  """
  if name in table:
    return table[name]
  near = difflib.get_close_matches(str(name), table, n=1)
  hint = f"Did you mean '{near[0]}'? " if near else ''
  raise UserError(f'{field} is {name!r}. {hint}Known are {", ".join(table)}.')


def check_config(config: ml_collections.ConfigDict) -> None:
  """Raises UserError for numbers out of range and batches that cannot be divided."""
  check_ranges(flatten(config.to_dict()))
  for field in ('batch_size', 'unlabeled_batch_size'):
    if config[field] % config.accumulate:
      raise UserError(
          f'config.{field} is {config[field]}, which config.accumulate={config.accumulate} does '
          f'not divide; choose a multiple of {config.accumulate}.')
  for field in ('eval_every', 'checkpoint_every', 'log_every'):
    if config[field] % config.steps_per_dispatch:
      raise UserError(
          f'config.{field} is {config[field]}, which config.steps_per_dispatch='
          f'{config.steps_per_dispatch} does not divide; choose a multiple of '
          f'{config.steps_per_dispatch}.')
  least = fewest_unlabeled(config)
  if config.unlabeled_batch_size < least:
    why = 'mixes pairs' if least > 1 else 'learns from unlabelled images'
    raise UserError(
        f'{config.method.name} {why}: config.unlabeled_batch_size is '
        f'{config.unlabeled_batch_size}; set it to {least} or more.')
  lookup(dict.fromkeys(BN_MODES), config.model.bn, 'config.model.bn')
  lookup(dict.fromkeys(ON_NAN), config.get('on_nan', 'stop'), 'config.on_nan')
  build_protocol(config)


def plain_fields(
    config: ml_collections.ConfigDict, name: str, known: Collection[str]
) -> dict[str, Any]:
  """Returns a part of the config, its lists as tuples: JSON has no tuples.

  It is empty where a run is older than that part.

  Raises:
    UserError: a field that is not known.
  """
  for field in config.get(name, {}):
    lookup(dict.fromkeys(known), field, f'A field of config.{name}')
  return {key: tuple(value) if isinstance(value, tuple | list) else value
          for key, value in config.get(name, {}).items()}


def build_protocol(config: ml_collections.ConfigDict) -> Protocol:
  """Returns how the run is scored; runs older than `config.eval` are scored as the default.

  Raises:
    UserError: a protocol that does not exist, or numbers that do not fit.
  """
  known = {'protocol', *Protocol.__dataclass_fields__} - {'name'}
  fields = plain_fields(config, 'eval', sorted(known))
  fields['name'] = fields.pop('protocol', Protocol.name)
  fields['pad'] = fields.get('pad') or None
  protocol = Protocol(**fields)
  check_protocol(protocol)
  if protocol.name == 'full' and not len(config.data.size):
    raise UserError(
        'config.eval.protocol=full brings predictions from the working size to the labels\' own, '
        'but config.data.size is empty: images keep their own size. Use paper, which then scores '
        'at that size.')
  return protocol


def open_dataset(config: ml_collections.ConfigDict, size: tuple[int, int] | None) -> Dataset:
  """Opens the data set at a working resolution, or at that of its files; copies nothing."""
  load = lookup(DATASETS, config.data.name, 'config.data.name')
  options = {
      key: config.data[key] for key in DATA_OPTIONS.get(config.data.name, ()) if key in config.data}
  # Within another `keep_findings` somebody else wants to know of single files.
  if not skips_unreadable(config) or kept([]):
    return load(root=config.data.root, size=size, **options)
  with keep_findings() as findings:
    dataset = load(root=config.data.root, size=size, **options)
  # Whose image or mask is which is a matter of the layout, and scores are of all of `val`.
  raise_findings(findings, len(findings), 'files')
  check_pairs(file_pairs(dataset.val))
  return dataset


def skips_unreadable(config: ml_collections.ConfigDict) -> bool:
  """Whether training examples that do not read are left out; not in runs older than the option."""
  choice = config.data.get('on_error', 'raise')
  lookup(dict.fromkeys(ON_ERROR), choice, 'config.data.on_error')
  return choice == 'skip'


def find_unreadable(config: ml_collections.ConfigDict) -> LeftOut:
  """Reads all training examples once and returns those to leave out; `NOTHING` by default.

  Masks are read of the labelled examples alone.
  """
  if not skips_unreadable(config):
    return NOTHING
  dataset = open_dataset(config, tuple(config.data.size) or None)
  total = len(dataset.train) + len(dataset.unlabeled or ())
  labeled = choose_labeled(dataset.train.names, config.data.labeled, config.data.split_seed)
  return find_left_out(dataset, labeled, progress('reading all training images', total))


def build_validation(config: ml_collections.ConfigDict) -> Dataset:
  """Opens the data set to evaluate: `val` comes from a working copy, the rest from its files.

  `val` has the sizes that the run's protocol asks for.
  """
  dataset = open_dataset(config, tuple(config.data.size) or None)
  val = dataset.val
  entry = PROTOCOLS[build_protocol(config).name]
  if len(config.data.size) and entry.native_label:
    native = open_dataset(config, None).val
    val = native if entry.native_image else with_labels_of(val, native)
  val = working_copy(config, val, VAL_SHARE)
  if on_disk(config):
    val = copy_labels(val, copy_folder(config))
  return dataclasses.replace(dataset, val=val)


def build_dataset(config: ml_collections.ConfigDict, left_out: LeftOut = NOTHING) -> Dataset:
  """Opens the data set; its frames come from a working copy, see `config.data.working_copy`."""
  dataset = build_validation(config)
  unlabeled = dataset.unlabeled and without(dataset.unlabeled, left_out.unlabeled)
  return dataclasses.replace(
      dataset, train=working_copy(config, without(dataset.train, left_out.train), TRAIN_SHARE),
      unlabeled=unlabeled and working_copy(config, unlabeled, UNLABELED_SHARE))


def working_copy(config: ml_collections.ConfigDict, source: Source, share: float) -> Source:
  """Returns the source with images from a disk copy; or all of it kept in memory, up to a share."""
  if on_disk(config):
    return copy_images(source, copy_folder(config))
  return cached(source, config.data.cache_gb * share)


def on_disk(config: ml_collections.ConfigDict) -> bool:
  """Whether frames are prepared on the disk once; frames on the devices are filled from there."""
  kind = config.data.working_copy
  lookup(dict.fromkeys(WORKING_COPIES), kind, 'config.data.working_copy')
  return kind != 'memory'


def copy_folder(config: ml_collections.ConfigDict) -> Path:
  root = config.data.copy_root
  return (Path(os.path.expanduser(root)) if root else cache_root() / 'copies') / config.data.name


def choose_split(
    config: ml_collections.ConfigDict, dataset: Dataset, left_out: LeftOut = NOTHING
) -> Split:
  """Chooses the labelled examples; the others, or all, are used without labels.

  They are chosen among all, those that do not read included, and then do without these: no
  other mask than those that were looked at takes their place.

  Raises:
    UserError: a wrong split, or no labelled example that reads.
  """
  names = (*dataset.train.names, *left_out.train)
  chosen = choose_labeled(names, config.data.labeled, config.data.split_seed)
  chosen = chosen[chosen < len(dataset.train)]
  if not len(chosen):
    raise UserError(
        f'None of the labelled examples reads: {next(iter(left_out.train.values()))}')
  lookup(dict.fromkeys(POOLS), config.data.unlabeled, 'config.data.unlabeled')
  everything = np.arange(len(dataset.train))
  pool = everything if config.data.unlabeled == 'all' else np.setdiff1d(everything, chosen)
  unlabeled = subset(dataset.train, pool)
  if dataset.unlabeled is not None:
    unlabeled = concat(unlabeled, dataset.unlabeled)
  labeled = subset(dataset.train, chosen)
  # From here on nobody can read the masks of unlabelled images.
  unlabeled = dataclasses.replace(unlabeled, read_label=None)
  return Split(labeled, unlabeled, split_hash(labeled.names))


def check_pool(config: ml_collections.ConfigDict, split: Split) -> None:
  """Raises UserError where too few unlabelled images are left: two to mix, one for the others."""
  least = fewest_unlabeled(config)
  if len(split.unlabeled) < least:
    why = 'mixes pairs of' if least > 1 else 'learns from'
    raise UserError(
        f'{config.method.name} {why} unlabelled images, but there is only '
        f'{len(split.unlabeled)}: add images to unlabeled/images, lower config.data.labeled '
        f'({len(split.labeled)} images are labelled), or use method=supervised.')


def build_split(
    config: ml_collections.ConfigDict, dataset: Dataset, left_out: LeftOut = NOTHING
) -> Split:
  """Chooses as `choose_split`; labels come from a working copy as `build_dataset` says.

  Raises:
    UserError: a wrong split, or fewer than two unlabelled images to mix.
  """
  split = choose_split(config, dataset, left_out)
  check_pool(config, split)
  if not on_disk(config):
    return split
  # After the choice: masks of unlabelled images are never opened.
  return split._replace(labeled=copy_labels(split.labeled, copy_folder(config)))


def build_geometry(config: ml_collections.ConfigDict) -> Geometry:
  """Returns how training examples are cut; UserError for options that do not fit together."""
  data = config.data
  return Geometry(
      tuple(data.crop) or None, tuple(data.scale), data.scale_step, data.flip, data.scale_apart)


def needs_unlabeled(config: ml_collections.ConfigDict) -> bool:
  return config.method.name != 'supervised'


def fewest_unlabeled(config: ml_collections.ConfigDict) -> int:
  """How many unlabelled images a batch, and the data set, must have."""
  return 2 if 'mask' in config.method else int(needs_unlabeled(config))


def build_model(config: ml_collections.ConfigDict, num_classes: int) -> Segmenter:
  """Joins backbone and head.

  Raises:
    UserError: a name that does not exist, or an output stride that the backbone cannot have.
  """
  model = config.model
  # Runs older than some of these fields have none of them.
  options = {'bn': model.bn, 'dtype': lookup(DTYPES, model.dtype, 'config.model.dtype'),
             'remat': model.get('remat', False)}
  if model.get('preprocessing'):
    options['preprocessing'] = lookup(
        PREPROCESSING, model.preprocessing, 'config.model.preprocessing')
  if model.get('output_stride'):
    options['output_stride'] = model.output_stride
  backbone = lookup(BACKBONES, model.backbone, 'config.model.backbone')(**options)
  return with_head(backbone, lookup(HEADS, model.head, 'config.model.head'), num_classes)


def build_method(config: ml_collections.ConfigDict, num_classes: int) -> Method:
  """Returns the method with the hyper-parameters of `config.method`."""
  options = config.method.to_dict()
  name = options.pop('name')
  factory = lookup(METHODS, name, 'config.method.name')
  for option in options:
    lookup(hyper_parameters(name), option, f'An option of config.method ({name})')
  return factory(
      model=build_model(config, num_classes), num_classes=num_classes,
      labeled_loss=LabeledLoss(
          **plain_fields(config, 'labeled_loss', LabeledLoss.__dataclass_fields__)), **options)


def build_optimizer(
    config: ml_collections.ConfigDict, steps: int
) -> optax.GradientTransformation:
  """Returns the optimizer of a stage of so many steps."""
  lookup(RULES, config.optim.get('rule', 'sgd'), 'config.optim.rule')
  return poly_optimizer(steps=steps, **config.optim.to_dict())


def choose_devices(config: ml_collections.ConfigDict) -> list[jax.Device]:
  """Returns as many local devices as both batches can be shared by.

  Across several processes every device must take part, and the input pipeline
  says so where the batch does not divide.
  """
  devices = jax.local_devices()
  if jax.process_count() > 1:
    return devices
  sizes = [config.batch_size // config.accumulate]
  if needs_unlabeled(config):
    sizes.append(config.unlabeled_batch_size // config.accumulate)
  count = max(n for n in range(1, len(devices) + 1) if all(size % n == 0 for size in sizes))
  return devices[:count]
