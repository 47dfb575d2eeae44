"""One training run from config to final table: joins all rooms, decides nothing itself.

Synopsis:

    result = run_training(config, Path('runs/scenes-classmix'))
    result['miou']
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import functools
import importlib.util
from pathlib import Path
from typing import Any

from clu import parameter_overview
import jax
import ml_collections
import numpy as np
import optax

from classmix_jax import build, checkpoint, rundir
from classmix_jax.after_step import AfterStep, make_views
from classmix_jax.data_check.at_start import check_at_start
from classmix_jax.device_batches import device_stream
from classmix_jax.evaluator import Evaluator, conclude, headline_network
from classmix_jax.fingerprint import fingerprint
from classmix_jax.gpu_kernels import keep_choice
from classmix_jax.health import Health
from classmix_jax.logbook import Logbook
from classmix_jax.methods.teacher import AVERAGED
from classmix_jax.nonfinite import NonFiniteWatch
from classmix_jax.preemption import Stop
from classmix_jax.pseudo_labels import Labeler, check_labels_exist, pseudo_labeled
from classmix_jax.readable import LeftOut
from classmix_jax.report.program import report_training
from classmix_jax.splits import LABELED, UNLABELED, index_stream
from classmix_jax.train import (
  TrainStep,
  create_state,
  dispatches,
  make_train_step,
  micro_batches,
  replicated,
  to_devices,
  train,
)
from classmix_jax.types import Batch, Dataset, Stage, TrainState
from classmix_jax.weights import pretrained
from classmix_jax.weights.source import Weights, locate, open_weights

Config = ml_collections.ConfigDict


def crop_size(config: Config, dataset: Dataset) -> tuple[int, int]:
  """The (H, W) of training images: the crop, the working size, or the first image's."""
  return (
      tuple(config.data.crop) or tuple(config.data.size)
      or dataset.train.read_image(0).shape[:2])


def unlabeled_batch_size(config: Config) -> int:
  return config.unlabeled_batch_size if build.needs_unlabeled(config) else 0


def bn_statistics(config: Config) -> str:
  """Whose statistics normalise: the one thing that accumulation changes."""
  if config.model.bn == 'running':
    return 'frozen statistics'
  of = '' if config.accumulate == 1 else f' of 1/{config.accumulate} of the batch'
  return f'batch statistics{of}'


def has_tensorflow() -> bool:
  """Returns whether tf.data can make the batches."""
  return importlib.util.find_spec('tensorflow') is not None


def pipeline(config: Config) -> str:
  """Returns in words what makes the batches, see `open_streams`."""
  if config.data.working_copy == 'device':
    return 'cut on the devices'
  return 'tf.data' if has_tensorflow() else 'threads (TensorFlow is not installed)'


def settings(
    config: Config, split: build.Split, devices: list, state: TrainState, protocol: str,
    origin: Mapping[str, Any],
) -> dict[str, str]:
  """What decides the result, as the fingerprint prints it."""
  optim, data = config.optim, config.data
  affine = 'frozen' if optim.freeze_bn_affine else 'trained'
  unlabeled = unlabeled_batch_size(config)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  share = len(devices) * jax.process_count()
  return {
      'method': config.method.name,
      'network': f'{config.model.backbone} + {config.model.head}',
      'parameters': f'{parameters:,}, float32',
      'precision': config.model.dtype,
      **pretrained.settings(config.model.pretrained, config.model.preprocessing, origin),
      'labelled images': f'{len(split.labeled):,}, split {split.labeled_hash}',
      'unlabelled images': f'{len(split.unlabeled):,}, masks not read',
      'global batch': f'{config.batch_size} labelled + {unlabeled} unlabelled',
      'learning rate': f'{optim.learning_rate:g} for {config.batch_size} + {unlabeled} images, '
                       f'head {optim.head_multiplier:g}x',
      'steps': str(config.steps),
      'crop': 'x'.join(map(str, data.crop)) if len(data.crop) else 'whole image',
      'batches': pipeline(config),
      'micro-batches': f'{config.accumulate} per step',
      'BN mode': f'{bn_statistics(config)}, affine {affine}',
      'protocol': f'{protocol}, {config.eval_network}',
      'devices': f'{share} of {jax.device_count()} ({devices[0].platform}), '
                 f'{config.batch_size // share} + {unlabeled // share} images on each',
  }


def choose_left_out(config: Config, run: Path) -> LeftOut:
  """Returns the examples that do not read; a run that goes on leaves out the same ones."""
  known = rundir.read_left_out(run) if build.skips_unreadable(config) else None
  left_out = build.find_unreadable(config) if known is None else LeftOut(**known)
  if left_out:
    print(f'warning: examples that do not read are left out: {left_out}, see '
          f"{run / 'left_out.json'}. {next(iter((left_out.train or left_out.unlabeled).values()))}")
  return left_out


def check_training_labels(split: build.Split, dataset: Dataset) -> None:
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
  if checkpoint.newest_step(run / 'checkpoints') is None:
    weights = open_weights(locate(config.model.pretrained))
  config = config.copy_and_resolve_references()
  if not config.model.preprocessing:
    config.model.preprocessing = (
        weights.preprocessing if weights
        else rundir.read_config(run)['model'].get('preprocessing', ''))
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
    taken, origin = pretrained.take_over(own, weights)
    if name != 'segmenter':
      taken = {key: {**taken[key], 'head': own[key]['head']} if 'head' in own[key] else taken[key]
               for key in own}
    params[name], statistics[name] = taken['params'], taken['batch_stats']
  state = state.replace(
      params=params,
      model_state={
          name: statistics[AVERAGED.get(name, name)] for name in state.model_state},
      method_state={name: params[AVERAGED[name]] for name in state.method_state})
  return jax.device_put(state, replicated(devices)), origin


def open_streams(
    config: Config, split: build.Split, devices: list
) -> Callable[[int, int], Iterator[Batch]]:
  """Returns `stream(start_step, stop_step)`: batches `[D, A, b, ...]` on the devices."""
  unlabeled = unlabeled_batch_size(config) if split.unlabeled is not None else 0
  parts, together = config.accumulate, config.steps_per_dispatch
  options = dict(
      labeled=split.labeled, unlabeled=split.unlabeled if unlabeled else None,
      batch_size=config.batch_size // parts,
      unlabeled_batch_size=unlabeled // parts,
      geometry=build.build_geometry(config), seed=config.seed,
      process_index=jax.process_index(), process_count=jax.process_count())
  if config.data.working_copy == 'device':
    return device_stream(devices=devices, accumulate=parts, together=together, **options)
  if has_tensorflow():
    from classmix_jax.input_pipeline import train_batches
  else:
    from classmix_jax.thread_pipeline import train_batches

  def stream(start_step: int, stop_step: int) -> Iterator[Batch]:
    batches = train_batches(
        start_step=start_step * parts, stop_step=stop_step * parts,
        local_devices=len(devices), **options)
    counts = (parts * len(steps) for steps in dispatches(start_step, stop_step, together))
    return to_devices(micro_batches(batches, counts), devices)

  return stream


def batch_names(config: Config, split: build.Split, step: int) -> dict[str, list[str]]:
  """Returns who is in the batch of the step of this number, from 1."""
  streams = [('labeled', LABELED, split.labeled, config.batch_size)]
  if split.unlabeled is not None and unlabeled_batch_size(config):
    streams.append(('unlabeled', UNLABELED, split.unlabeled, config.unlabeled_batch_size))
  return {
      part: [source.names[i] for i in index_stream(
          config.seed, number, len(source), (step - 1) * size, step * size)]
      for part, number, source, size in streams}


def stage_split(
    stage: Stage, state: TrainState, split: build.Split, after_step: AfterStep
) -> build.Split:
  """Returns the examples of a stage; their pseudo-labels lie in the run's folder."""
  if not stage.unlabeled:
    return split._replace(unlabeled=None)
  if stage.share is None:
    return split
  config, run = after_step.config, after_step.run
  student = after_step.networks(state)['student']
  labeler = Labeler(
      after_step.method.model, student, after_step.dataset, config.eval_batch_size)
  folder = run / 'pseudo_labels' / str(stage.start)
  return split._replace(
      unlabeled=pseudo_labeled(labeler, split.unlabeled, stage.share, folder))


def train_stage(
    stage: Stage, state: TrainState, split: build.Split, devices: list, after_step: AfterStep,
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
      state, train_step, stream(start, stage.stop), steps=stage.stop,
      together=config.steps_per_dispatch, after_step=after_step)
  after_step.watch.look(state, after_step.batch, after_step.names)  # the next stage has others
  return state


def run_training(
    config: Config, run: Path, reached: Callable[[int], None] = lambda step: None,
    stop: Stop | None = None,
) -> dict[str, Any]:
  """Trains, or goes on with, one run; returns the last evaluation.

  Args:
    config: see configs/base.py.
    run: the run's folder; see `rundir.py` for what it will hold.
    reached: called with the number of finished steps, after each.
    stop: says when to save and end before the last step; None is never.

  Raises:
    UserError: one sentence about what the user can mend.
    Stopped: it has saved and ended because `stop` said so.
  """
  build.check_config(config)
  headline_network(config.eval_network, ())
  with rundir.disk_errors(run), contextlib.ExitStack() as until_the_end:
    return train_in(run, config, reached, stop or Stop(), until_the_end)


def train_in(
    run: Path, config: Config, reached: Callable[[int], None], stop: Stop,
    until_the_end: contextlib.ExitStack,
) -> dict[str, Any]:
  """Does what `run_training` says; holds the run's folder as soon as it touches it."""
  # ---- What is trained, on what
  config, weights = choose_weights(config, run)
  left_out = choose_left_out(config, run)
  dataset = build.build_dataset(config, left_out)
  split = build.build_split(config, dataset, left_out)
  check_training_labels(split, dataset)
  devices = build.choose_devices(config)
  method = build.build_method(config, len(dataset.class_names))
  stages = method.stages(config.steps)
  until_the_end.enter_context(rundir.held(run))
  if config.deterministic:
    keep_choice(run, devices[0].platform)
  rundir.open_run(run, config.to_dict())
  rundir.write_classes(run, dataset)
  if build.skips_unreadable(config):
    rundir.write_left_out(run, left_out._asdict())
  rundir.write_split(run, split.labeled.names, split.unlabeled.names)

  # ---- Where it starts
  image = jax.ShapeDtypeStruct((1, *crop_size(config, dataset), 3), np.float32)
  # 'rbg' compiles eight times faster than the default generator, once per array.
  key = jax.random.key(config.seed, impl='rbg')

  @functools.cache
  def compiled(steps: int) -> tuple[optax.GradientTransformation, TrainStep]:
    tx = build.build_optimizer(config, steps)
    return tx, make_train_step(
        method, tx, config.seed, devices, accumulate=config.accumulate, on_nan=config.on_nan)

  state = create_state(method, compiled(stages[0].stop)[0], key, image, devices)
  manager = checkpoint.open_manager(run / 'checkpoints')
  stop.finish = functools.partial(checkpoint.finish, manager)
  origin = rundir.read_pretrained(run)
  restored = checkpoint.restore_newest(manager, state)
  if restored is not None:
    state = restored
  elif weights is not None:
    state, origin = start_from(state, weights, devices)
    rundir.write_pretrained(run, origin)
  start = int(state.step)
  print(parameter_overview.get_parameter_overview(state.params, include_stats=False))
  evaluator = Evaluator(
      config, dataset, method.model, devices, (split.labeled_hash, len(split.labeled)), stop)
  found = settings(config, split, devices, state, evaluator.description, origin)
  print(fingerprint(found, config.paper.to_dict()))
  print(f'{run}: ' + (f'goes on after step {start}' if start else 'starts'), flush=True)

  # ---- The loop
  images_per_step = config.batch_size + unlabeled_batch_size(config)
  logbook = Logbook(
      run, steps=config.steps, images_per_step=images_per_step,
      writing=jax.process_index() == 0)
  logbook.resume(start)
  logbook.write_settings({
      key: value for key, value in rundir.flatten(config.to_dict()).items()
      if not key.startswith('paper.')})
  after_step = AfterStep(
      config, run, dataset, method, logbook, manager, evaluator, reached, stop,
      Health(dataset.class_names), NonFiniteWatch(run, config.on_nan),
      tuple(stage.stop for stage in stages))
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
    rundir.write_evaluation(run, result)
  conclude(run, result, evaluator, networks)
  if jax.process_index() == 0:
    report_training(run, evaluator, networks, split.labeled)
  return result
