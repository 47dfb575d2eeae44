"""One training run from config to final table: joins all rooms, decides nothing itself.

Synopsis:

    result = run_training(config, Path('runs/scenes-classmix'))
    result['miou']
"""

from collections.abc import Callable, Mapping
import contextlib
import functools
from pathlib import Path
from typing import Any

from clu import parameter_overview
import jax
import numpy as np
import optax

from classmix_jax.config.check import check_config
from classmix_jax.config.data import (
  Split,
  build_dataset,
  build_split,
  find_unreadable,
  skips_unreadable,
)
from classmix_jax.config.load import read_config
from classmix_jax.config.lookup import Config
from classmix_jax.config.model import (
  build_evaluator,
  build_method,
  build_optimizer,
  choose_devices,
)
from classmix_jax.core.devices import replicated
from classmix_jax.data.label_check import check_at_start
from classmix_jax.data.source import Dataset, Source
from classmix_jax.data.unreadable import LeftOut
from classmix_jax.evaluation.evaluator import Evaluator, headline_network
from classmix_jax.evaluation.summary import conclude
from classmix_jax.methods.teacher import AVERAGED
from classmix_jax.pretrained import initialize
from classmix_jax.pretrained.load import Weights, locate_weights, open_weights
from classmix_jax.training.callbacks import AfterStep, make_views
from classmix_jax.training.collapse import Health
from classmix_jax.training.compilation_cache import keep_choice
from classmix_jax.training.loop import train
from classmix_jax.training.metric_logger import Logbook
from classmix_jax.training.nonfinite import NonFiniteWatch
from classmix_jax.training.paper_settings import fingerprint, settings
from classmix_jax.training.preemption import Stop
from classmix_jax.training.self_training import Labeler, check_labels_exist, pseudo_labeled
from classmix_jax.training.step import TrainStep, create_state, make_train_step
from classmix_jax.training.streams import batch_names, crop_size, open_streams, unlabeled_batch_size
from classmix_jax.types import PyTree, Stage, TrainState
from classmix_jax.utils.nested import flatten
from classmix_jax.workdir import checkpoint, checkpoint_lookup, resume, run_files

OnEnd = Callable[[Path, Evaluator, Mapping[str, PyTree], Source], None]


def choose_left_out(config: Config, run: Path) -> LeftOut:
  """Returns the examples that do not read; a run that goes on leaves out the same ones."""
  known = run_files.read_left_out(run) if skips_unreadable(config) else None
  left_out = find_unreadable(config) if known is None else LeftOut(**known)
  if left_out:
    print(
      f'warning: examples that do not read are left out: {left_out}, see '
      f'{run / "left_out.json"}. {next(iter((left_out.train or left_out.unlabeled).values()))}'
    )
  return left_out


def check_training_labels(split: Split, dataset: Dataset) -> None:
  """Looks at a sample of the masks once: stops at wrong values, warns of absent classes."""
  for warning in check_at_start(split.labeled, dataset.val, dataset.class_names):
    print(f'warning: {warning}')


def choose_weights(config: Config, run: Path) -> tuple[Config, Weights | None]:
  """Opens the weights to start from; the run feeds images as they expect where it is free to.

  A run that goes on needs them no more: it has their way of feeding in its config.json.
  """
  if not config.model.pretrained:
    return config, None
  weights = None
  if checkpoint_lookup.find_newest_step(run / 'checkpoints') is None:
    weights = open_weights(locate_weights(config.model.pretrained))
  config = config.copy_and_resolve_references()
  if not config.model.preprocessing:
    config.model.preprocessing = (
      weights.preprocessing if weights else read_config(run)['model'].get('preprocessing', '')
    )
  return config, weights


def start_from(
  state: TrainState, weights: Weights, devices: list
) -> tuple[TrainState, dict[str, Any]]:
  """Takes over a network as student and as teacher; returns what to remember of it, too.

  Further students keep a head of their own, or they would never differ from the first.
  """
  params, statistics = dict(state.params), {}
  # Discriminators have no statistics, and teachers no params here.
  for name in (name for name in params if name in state.model_state):
    own = jax.device_get({'params': params[name], 'batch_stats': state.model_state[name]})
    taken, origin = initialize.initialize_from_weights(own, weights)
    if name != 'segmenter':
      taken = {
        key: {**taken[key], 'head': own[key]['head']} if 'head' in own[key] else taken[key]
        for key in own
      }
    params[name], statistics[name] = taken['params'], taken['batch_stats']
  state = state.replace(
    params=params,
    model_state={name: statistics[AVERAGED.get(name, name)] for name in state.model_state},
    method_state={name: params[AVERAGED[name]] for name in state.method_state},
  )
  return jax.device_put(state, replicated(devices)), origin


def stage_split(stage: Stage, state: TrainState, split: Split, after_step: AfterStep) -> Split:
  """Returns the examples of a stage; their pseudo-labels lie in the run's folder."""
  if not stage.unlabeled:
    return split._replace(unlabeled=None)
  if stage.share is None:
    return split
  config, run = after_step.config, after_step.run
  student = after_step.networks(state)['student']
  labeler = Labeler(after_step.method.model, student, after_step.dataset, config.eval_batch_size)
  folder = run / 'pseudo_labels' / str(stage.start)
  return split._replace(unlabeled=pseudo_labeled(labeler, split.unlabeled, stage.share, folder))


def train_stage(
  stage: Stage,
  state: TrainState,
  split: Split,
  devices: list,
  after_step: AfterStep,
  compiled: Callable[[int], tuple[optax.GradientTransformation, TrainStep]],
) -> TrainState:
  """Trains to the end of a stage, from wherever in it the state is.

  `compiled` returns optimizer and step for a number of steps, the same ones when asked again.
  """
  config, method, start = after_step.config, after_step.method, int(state.step)
  if stage.share is not None and start > stage.start:
    # The labels were made at the start of the stage, from a state that is gone.
    check_labels_exist(after_step.run / 'pseudo_labels' / str(stage.start))
  split = stage_split(stage, state, split, after_step)
  tx, train_step = compiled(stage.stop - stage.start)
  if start == stage.start > 0:
    opt_state = jax.jit(tx.init)(state.params)
    state = state.replace(opt_state=jax.device_put(opt_state, replicated(devices)))
  stream = open_streams(config, split, devices)
  after_step.batch = lambda step: next(stream(step - 1, step))
  after_step.names = functools.partial(batch_names, config, split)
  after_step.views = make_views(method, devices, after_step.batch(start + 1))
  after_step.logbook.restart_clock()
  state = train(
    state,
    train_step,
    stream(start, stage.stop),
    steps=stage.stop,
    together=config.steps_per_dispatch,
    after_step=after_step,
  )
  after_step.watch.look(state, after_step.batch, after_step.names)  # the next stage has others
  return state


def run_training(
  config: Config,
  run: Path,
  reached: Callable[[int], None] = lambda step: None,
  stop: Stop | None = None,
  on_end: OnEnd | None = None,
) -> dict[str, Any]:
  """Trains, or goes on with, one run; returns the last evaluation.

  Args:
    config: see classmix_jax/config/defaults.py.
    run: the run's folder; see `workdir/layout.py` for what it will hold.
    reached: called with the number of finished steps, after each.
    stop: says when to save and end before the last step; None is never.
    on_end: called with the run's folder, its evaluator, its networks and its labelled images
      after the last step; not called in other processes than the first.

  Raises:
    UserError: one sentence about what the user can mend.
    Stopped: it has saved and ended because `stop` said so.
  """
  check_config(config)
  headline_network(config.eval_network, ())
  with resume.convert_disk_errors(run), contextlib.ExitStack() as until_the_end:
    return train_in(run, config, reached, stop or Stop(), on_end, until_the_end)


def train_in(
  run: Path,
  config: Config,
  reached: Callable[[int], None],
  stop: Stop,
  on_end: OnEnd | None,
  until_the_end: contextlib.ExitStack,
) -> dict[str, Any]:
  """Does what `run_training` says; holds the run's folder as soon as it touches it."""
  # ---- What is trained, on what
  config, weights = choose_weights(config, run)
  left_out = choose_left_out(config, run)
  dataset = build_dataset(config, left_out)
  split = build_split(config, dataset, left_out)
  check_training_labels(split, dataset)
  devices = choose_devices(config)
  method = build_method(config, len(dataset.class_names))
  stages = method.stages(config.steps)
  until_the_end.enter_context(resume.lock_run(run))
  if config.deterministic:
    keep_choice(run, devices[0].platform)
  resume.open_run(run, config.to_dict())
  run_files.write_classes(run, dataset)
  if skips_unreadable(config):
    run_files.write_left_out(run, left_out._asdict())
  run_files.write_split(run, split.labeled.names, split.unlabeled.names)

  # ---- Where it starts
  image = jax.ShapeDtypeStruct((1, *crop_size(config, dataset), 3), np.float32)
  # 'rbg' compiles eight times faster than the default generator, once per array.
  key = jax.random.key(config.seed, impl='rbg')

  @functools.cache
  def compiled(steps: int) -> tuple[optax.GradientTransformation, TrainStep]:
    tx = build_optimizer(config, steps)
    return tx, make_train_step(
      method, tx, config.seed, devices, accumulate=config.accumulate, on_nan=config.on_nan
    )

  state = create_state(method, compiled(stages[0].stop)[0], key, image, devices)
  manager = checkpoint.open_manager(run / 'checkpoints')
  stop.finish = functools.partial(checkpoint.finish, manager)
  origin = run_files.read_pretrained(run)
  restored = checkpoint.restore_newest(manager, state)
  if restored is not None:
    state = restored
  elif weights is not None:
    state, origin = start_from(state, weights, devices)
    run_files.write_pretrained(run, origin)
  start = int(state.step)
  print(parameter_overview.get_parameter_overview(state.params, include_stats=False))
  evaluator = build_evaluator(
    config, dataset, method.model, devices, (split.labeled_hash, len(split.labeled)), stop
  )
  found = settings(config, split, devices, state, evaluator.description, origin)
  print(fingerprint(found, config.paper.to_dict()))
  print(f'{run}: ' + (f'goes on after step {start}' if start else 'starts'), flush=True)

  # ---- The loop
  images_per_step = config.batch_size + unlabeled_batch_size(config)
  logbook = Logbook(
    run, steps=config.steps, images_per_step=images_per_step, writing=jax.process_index() == 0
  )
  logbook.resume(start)
  logbook.write_settings(
    {key: value for key, value in flatten(config.to_dict()).items() if not key.startswith('paper.')}
  )
  after_step = AfterStep(
    config,
    run,
    dataset,
    method,
    logbook,
    manager,
    evaluator,
    reached,
    stop,
    Health(dataset.class_names),
    NonFiniteWatch(run, config.on_nan),
    tuple(stage.stop for stage in stages),
  )
  try:
    if start:
      after_step.finish_step(start, state)
    for stage in stages:
      if int(state.step) < stage.stop:
        state = train_stage(stage, state, split, devices, after_step, compiled)
  finally:  # what was being saved is finished even if the next image cannot be read
    checkpoint.finish(manager)
    logbook.close()

  # ---- What came out
  networks = after_step.networks(state)
  result = after_step.result
  if result is None:  # a finished run, started again
    result = evaluator(start, networks)
    run_files.write_evaluation(run, result)
  conclude(run, result, evaluator, networks)
  if on_end is not None and jax.process_index() == 0:
    on_end(run, evaluator, networks, split.labeled)
  return result
