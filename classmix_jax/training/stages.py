"""Trains the stages of a run one after the other.

Synopsis:

    train_step = StageCompiler(setup)
    for stage in setup.stages:
      state = train_stage(setup, run, stage, state, compile_stage, callbacks)
"""

from collections.abc import Callable
import functools
from pathlib import Path

import jax
import optax

from classmix_jax.config.data import Split
from classmix_jax.config.setup import Setup
from classmix_jax.core.devices import replicated
from classmix_jax.core.frozen import with_frozen
from classmix_jax.methods.labels_first import stage_method
from classmix_jax.training.callbacks import Callbacks, StageInputs
from classmix_jax.training.features import CachedFeatures
from classmix_jax.training.loop import train
from classmix_jax.training.self_training import Labeler, check_labels_exist, pseudo_label
from classmix_jax.training.step import TrainStep, make_train_step
from classmix_jax.training.streams import batch_names, open_streams
from classmix_jax.training.views import make_views
from classmix_jax.types import Stage, TrainState

CompileStage = Callable[[Stage], tuple[optax.GradientTransformation, TrainStep]]


def schedule_of(stage: Stage) -> tuple[int, int]:
  """Returns the first step of a stage's optimizer, and the step after its last."""
  return stage.schedule if any(stage.schedule) else (stage.start, stage.stop)


def stage_compiler(setup: Setup) -> CompileStage:
  """Returns a function from a stage to its optimizer and train step.

  Stages of equal schedule and method share one compiled step.
  """

  @functools.cache
  def compile_steps(
    steps: int, labels_only: bool
  ) -> tuple[optax.GradientTransformation, TrainStep]:
    tx = setup.make_optimizer(steps)
    return tx, make_train_step(
      stage_method(setup.method, labels_only),
      tx,
      setup.seed,
      setup.devices,
      accumulate=setup.batches.accumulate,
      on_nonfinite=setup.on_nan,
    )

  def compile_stage(stage: Stage) -> tuple[optax.GradientTransformation, TrainStep]:
    start, stop = schedule_of(stage)
    return compile_steps(stop - start, stage.labels_only)

  return compile_stage


def stage_split(setup: Setup, stage: Stage, state: TrainState, labels: Path) -> Split:
  """Returns the images of a stage, with the pseudo-labels in `labels` if it has them."""
  split = setup.split
  if not stage.unlabeled:
    return split._replace(unlabeled=None)
  if stage.fraction is None:
    return split
  method = setup.method
  student = method.networks(with_frozen(state, method.averages))['student']
  assert split.unlabeled is not None
  labeler = Labeler(method.model, student, setup.dataset, setup.evaluation.batch_size)
  return split._replace(unlabeled=pseudo_label(labeler, split.unlabeled, stage.fraction, labels))


def restart_optimizer(
  tx: optax.GradientTransformation, state: TrainState, devices: list
) -> TrainState:
  """Returns the state with a new optimizer state, on the devices."""
  opt_state = jax.jit(tx.init)(state.params)
  return state.replace(opt_state=jax.device_put(opt_state, replicated(devices)))


def train_stage(
  setup: Setup,
  run: Path,
  stage: Stage,
  state: TrainState,
  compile_stage: CompileStage,
  callbacks: Callbacks,
  features: CachedFeatures | None,
) -> TrainState:
  """Trains to the end of a stage, from any step within it.

  Args:
    setup: of the training run.
    run: directory of the run.
    stage: the stage.
    state: before or within the stage.
    compile_stage: see `stage_compiler`.
    callbacks: what follows each step.
    features: of the frames, or None if the network computes them.

  Raises:
    UserError: the pseudo-labels of a stage that has begun are missing, or a step is non-finite.
    Stopped: the run has saved its state and ends.
  """
  start, labels = int(state.step), run / 'pseudo_labels' / str(stage.start)
  if stage.fraction is not None and start > stage.start:
    check_labels_exist(labels)  # the network that made them is overwritten
  split = stage_split(setup, stage, state, labels)
  tx, train_step = compile_stage(stage)
  if start == schedule_of(stage)[0] > 0:
    state = restart_optimizer(tx, state, setup.devices)
  stream = open_streams(setup.batches, split, setup.devices, features)
  method = stage_method(setup.method, stage.labels_only)
  inputs = StageInputs(
    batch=lambda step: next(stream(step - 1, step)),
    names=functools.partial(batch_names, setup.batches, split),
    views=make_views(method, setup.devices, next(stream(start, start + 1))),
  )
  callbacks.logger.restart_clock()
  state = train(
    state,
    train_step,
    stream(start, stage.stop),
    steps=stage.stop,
    after_step=functools.partial(callbacks, inputs),
  )
  callbacks.watch.check(state, inputs.batch, inputs.names)  # the next stage has other batches
  return state
