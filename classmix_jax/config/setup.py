"""Turns a config into the objects of a training run.

Synopsis:

    setup = make_setup(config)
    setup.method, setup.split.labeled, setup.schedule.steps
"""

from collections.abc import Callable
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from classmix_jax.config.data import (
  Split,
  build_dataset,
  build_geometry,
  build_split,
  feature_directory,
)
from classmix_jax.config.lookup import Config
from classmix_jax.config.model import (
  build_method,
  build_optimizer,
  build_protocol,
  choose_devices,
  needs_unlabeled,
)
from classmix_jax.data.label_statistics import class_counts, label_counts
from classmix_jax.data.random_crop import Geometry
from classmix_jax.data.source import Dataset, Source
from classmix_jax.data.unreadable import NONE_UNREADABLE, UnreadableExamples
from classmix_jax.evaluation.protocols import Protocol
from classmix_jax.methods.labels_first import make_stages
from classmix_jax.types import Method, Stage


class Schedule(NamedTuple):
  """When a training run logs, evaluates, saves and ends; everything is counted in steps.

  Attributes:
    steps: length of the training run.
    eval_every: interval of evaluations; 0 evaluates after the last step only.
    checkpoint_every: interval of checkpoints.
    log_every: interval of rows in metrics.jsonl.
  """

  steps: int
  eval_every: int
  checkpoint_every: int
  log_every: int

  def evaluates(self, step: int) -> bool:
    """Returns whether the network is evaluated after this step.

    Example:
      >>> schedule = Schedule(5, eval_every=2, checkpoint_every=5, log_every=5)
      >>> [step for step in range(1, 6) if schedule.evaluates(step)]
      [2, 4, 5]
    """
    return step == self.steps or bool(self.eval_every) and step % self.eval_every == 0

  def logs(self, step: int) -> bool:
    """Returns whether a row is written after this step."""
    return self.evaluates(step) or step % self.log_every == 0

  def saves(self, step: int) -> bool:
    """Returns whether a checkpoint is written after this step."""
    return self.evaluates(step) or step % self.checkpoint_every == 0


class BatchSetup(NamedTuple):
  """What decides the batch of a step, next to the split.

  Attributes:
    seed: of the order of images and of their crops.
    labeled: labelled images per step, over all devices.
    unlabeled: unlabelled images per step, over all devices; 0 if the method uses none.
    accumulate: number of micro-batches.
    geometry: how examples are cut.
    on_device: whether frames are kept on the devices and cut there.
  """

  seed: int
  labeled: int
  unlabeled: int
  accumulate: int
  geometry: Geometry
  on_device: bool


class EvaluationSetup(NamedTuple):
  """How networks are evaluated: keyword arguments of `Evaluator`.

  Attributes:
    protocol: how predictions are made and counted.
    size: (H, W) of the images, or None if they keep their own.
    batch_size: images at once, over all devices.
    headline: name of the network whose score counts.
  """

  protocol: Protocol
  size: tuple[int, int] | None
  batch_size: int
  headline: str


class Setup(NamedTuple):
  """Everything that a training run is made of.

  Attributes:
    values: the config as nested plain dicts, to be recorded and shown only.
    seed: of initial weights, batches and masks.
    on_nan: policy for non-finite steps, 'stop' or 'skip'.
    deterministic: whether a GPU run keeps the kernels that it started with.
    dataset: class names, palette and images.
    split: labelled and unlabelled images.
    left_out: unreadable training examples, or None if they are errors.
    devices: local devices.
    method: the method, with its network.
    stages: parts of the training run, each with an optimizer of its own.
    make_optimizer: number of steps of a stage -> its optimizer.
    image_size: (H, W) of training images.
    batches: what decides a batch.
    evaluation: how networks are evaluated.
    schedule: when a training run logs, evaluates, saves and ends.
    feature_directory: where features of a frozen backbone are kept, None to compute them each time.
  """

  values: dict[str, Any]
  seed: int
  on_nan: str
  deterministic: bool
  dataset: Dataset
  split: Split
  left_out: UnreadableExamples | None
  devices: list[jax.Device]
  method: Method
  stages: tuple[Stage, ...]
  make_optimizer: Callable[[int], optax.GradientTransformation]
  image_size: tuple[int, int]
  batches: BatchSetup
  evaluation: EvaluationSetup
  schedule: Schedule
  feature_directory: Path | None = None


def make_schedule(config: Config) -> Schedule:
  """Returns the intervals of a config."""
  return Schedule(**{field: config[field] for field in Schedule._fields})


def make_batch_setup(config: Config) -> BatchSetup:
  """Returns what decides a batch; raises UserError if crop options do not fit together."""
  return BatchSetup(
    seed=config.seed,
    labeled=config.batch_size,
    unlabeled=config.unlabeled_batch_size if needs_unlabeled(config) else 0,
    accumulate=config.accumulate,
    geometry=build_geometry(config),
    on_device=config.data.working_copy == 'device',
  )


def make_evaluation_setup(config: Config) -> EvaluationSetup:
  """Returns how networks are evaluated; raises UserError if `config.eval` is inconsistent."""
  return EvaluationSetup(
    protocol=build_protocol(config),
    size=tuple(config.data.size) or None,
    batch_size=config.eval_batch_size,
    headline=config.eval_network,
  )


def image_size(config: Config, dataset: Dataset) -> tuple[int, int]:
  """Returns (H, W) of training images: the crop, the working size, or the first image's."""
  return tuple(config.data.crop) or tuple(config.data.size) or dataset.train.read_image(0).shape[:2]


def balance_classes(method: Any, labeled: Source, dataset: Dataset) -> Any:
  """Returns the method with class weights of the labelled images, if its loss balances them."""
  if not method.labeled_loss.balance:
    return method
  counts = label_counts(labeled, range(len(labeled)), dataset.class_names)
  pixels, _ = class_counts(counts, len(dataset.class_names))
  return dataclasses.replace(method, labeled_loss=method.labeled_loss.balanced(pixels))


def make_setup(config: Config, left_out: UnreadableExamples | None = None) -> Setup:
  """Opens the data of a config and builds everything that a training run is made of.

  Args:
    config: checked by `check_config`, see classmix_jax/config/defaults.py.
    left_out: unreadable examples, which are left out; see `find_unreadable`.

  Raises:
    UserError: the data is missing or does not fit.
  """
  unreadable = left_out or NONE_UNREADABLE
  dataset = build_dataset(config, unreadable)
  split = build_split(config, dataset, unreadable)
  method = balance_classes(build_method(config, len(dataset.class_names)), split.labeled, dataset)
  return Setup(
    values=config.to_dict(),
    seed=config.seed,
    on_nan=config.on_nan,
    deterministic=config.deterministic,
    dataset=dataset,
    split=split,
    left_out=left_out,
    devices=choose_devices(config),
    method=method,
    stages=make_stages(method, config.steps, config.labels_first),
    make_optimizer=lambda steps: build_optimizer(config, method, steps),
    image_size=image_size(config, dataset),
    batches=make_batch_setup(config),
    evaluation=make_evaluation_setup(config),
    schedule=make_schedule(config),
    feature_directory=feature_directory(config),
  )


def with_preprocessing(config: Config, preprocessing: str) -> Config:
  """Returns a copy that feeds images as weights expect, unless the config decides it itself."""
  config = config.copy_and_resolve_references()
  config.model.preprocessing = config.model.preprocessing or preprocessing
  return config
