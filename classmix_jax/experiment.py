"""One training run from config to final table: joins all rooms, decides nothing itself.

Synopsis:

    result = run_training(config, Path('runs/scenes-classmix'))
    result['miou']
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
from pathlib import Path
from typing import Any

from clu import parameter_overview
import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp

from classmix_jax import build, checkpoint, rundir
from classmix_jax.datasets.checks import check_labels, label_warnings
from classmix_jax.evaluate import evaluate, make_count, predict, summarize
from classmix_jax.fingerprint import fingerprint
from classmix_jax.logbook import Logbook
from classmix_jax.pictures import colorize, grid, to_bytes
from classmix_jax.pretrained import merge
from classmix_jax.train import (
  create_state,
  make_train_step,
  micro_batches,
  replicated,
  to_devices,
  train,
)
from classmix_jax.types import AXIS, Array, Batch, Dataset, Metrics, TrainState, UserError

Config = ml_collections.ConfigDict


def training_crop(config: Config, dataset: Dataset) -> tuple[int, int]:
  """The (H, W) of training images: the crop, the working size, or the first image's."""
  return (
      tuple(config.data.crop) or tuple(config.data.size)
      or dataset.train.read_image(0).shape[:2])


def protocol(config: Config) -> str:
  """The name of how this run is evaluated; it travels with every number."""
  size = tuple(config.data.size)
  return f'whole image at {size[0]}x{size[1]}' if size else 'whole image at its own size'


def settings(
    config: Config, split: build.Split, devices: list, state: TrainState
) -> dict[str, str]:
  """What decides the result, as the fingerprint prints it."""
  optim, data = config.optim, config.data
  affine = 'frozen' if optim.freeze_bn_affine else 'trained'
  statistics = {'batch': 'batch statistics', 'running': 'frozen statistics'}[config.model.bn]
  unlabeled = config.unlabeled_batch_size if build.needs_unlabeled(config) else 0
  count = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  return {
      'method': config.method.name,
      'network': f'{config.model.backbone} + {config.model.head}',
      'parameters': f'{count:,}, {config.model.dtype}',
      'pre-training': config.model.pretrained or 'none, from scratch',
      'labelled images': f'{len(split.labeled):,}, split {split.labeled_hash}',
      'unlabelled images': f'{len(split.unlabeled):,}, masks not read',
      'global batch': f'{config.batch_size} labelled + {unlabeled} unlabelled',
      'learning rate': f'{optim.learning_rate:g}, head {optim.head_multiplier:g}x',
      'steps': str(config.steps),
      'crop': 'x'.join(map(str, data.crop)) if len(data.crop) else 'whole image',
      'BN mode': f'{statistics}, affine {affine}',
      'protocol': f'{protocol(config)}, {config.eval_network}',
      'devices': (
          f'{len(devices)} of {jax.local_device_count()} {devices[0].platform} devices, '
          f'{config.batch_size // len(devices)} + {unlabeled // len(devices)} images on each, '
          f'{jax.process_count()} process(es)'),
  }


def check_training_labels(split: build.Split, dataset: Dataset) -> None:
  """Reads all labelled masks once: stops at wrong values, warns of absent classes."""
  _, images = check_labels(split.labeled, range(len(split.labeled)), dataset.class_names)
  for warning in label_warnings(images, len(split.labeled), dataset.class_names):
    print(f'warning: {warning}')


def start_from(state: TrainState, config: Config) -> TrainState:
  """Takes over the weights of `config.model.pretrained`, in student and teacher."""
  if not config.model.pretrained:
    return state
  params, batch_stats = load_network(Path(config.model.pretrained), 'student')
  merged, report = merge(jax.device_get(state.params['segmenter']), params)
  statistics, _ = merge(jax.device_get(state.model_state['segmenter']), batch_stats)
  print(f'pre-training: {config.model.pretrained} {report}')
  return state.replace(
      params={**state.params, 'segmenter': merged},
      model_state=dict.fromkeys(state.model_state, statistics),
      method_state=dict.fromkeys(state.method_state, merged))


def load_network(run: Path, network: str, step: int | None = None) -> tuple[Any, Any]:
  """Returns `(params, batch_stats)` of a run's network as nested dicts of NumPy arrays.

  Args:
    run: folder of the run.
    network: 'student' or 'teacher'.
    step: of the checkpoint; None is the best one, or the newest if none was evaluated.

  Raises:
    UserError: no such run, step or network.
  """
  tree = checkpoint.load(run, step)
  params = {'student': tree['params'].get('segmenter'), **tree['method_state']}.get(network)
  statistics = tree['model_state'].get('segmenter' if network == 'student' else network)
  if params is None or statistics is None:
    known = ', '.join(['student', *tree['method_state']])
    raise UserError(f'{run} has no network {network!r}; it has {known}.')
  return params, statistics


@dataclasses.dataclass
class Evaluator:
  """Evaluates all networks of a method and draws what they do."""

  config: Config
  dataset: Dataset
  split: build.Split
  method: Any
  devices: list
  frame: tuple[int, int]

  @functools.cached_property
  def count(self) -> Callable:
    return make_count(self.method.model, self.method.num_classes, self.devices)

  @functools.cached_property
  def batch_size(self) -> int:
    """The wanted size, rounded up to what the devices can share."""
    devices = len(self.devices) * jax.process_count()
    return -(-self.config.eval_batch_size // devices) * devices

  def batches(self) -> Iterator:
    from classmix_jax.input_pipeline import eval_batches
    return to_devices(
        eval_batches(
            self.dataset.val, batch_size=self.batch_size, local_devices=len(self.devices),
            process_index=jax.process_index(), process_count=jax.process_count(),
            size=self.frame),
        self.devices)

  def networks(self, state: TrainState) -> Mapping[str, Any]:
    return self.method.networks(state.params, state.model_state, state.method_state)

  def __call__(self, step: int, state: TrainState) -> dict[str, Any]:
    """Returns the result of the headline network; the others stand under `networks`."""
    summaries = {
        name: summarize(
            evaluate(self.count, variables, self.batches(), self.method.num_classes),
            self.dataset.class_names)
        for name, variables in self.networks(state).items()}
    headline = headline_network(self.config, summaries)
    return {
        'step': step, 'network': headline, 'protocol': protocol(self.config),
        'dataset': self.dataset.name, 'split': self.split.labeled_hash,
        'labeled': len(self.split.labeled), 'images': len(self.dataset.val),
        **summaries[headline],
        'networks': summaries,
    }

  def picture(self, state: TrainState, count: int = 4):
    """Validation images beside their truth and the prediction of every network."""
    apply = jax.jit(
        lambda variables, image: predict(self.method.model, variables, image).argmax(-1))
    networks = jax.device_get(self.networks(state))
    rows = []
    for index in np.linspace(0, len(self.dataset.val) - 1, count).round().astype(int):
      image = self.dataset.val.read_image(index)
      label = self.dataset.val.read_label(index)
      maps = [label] + [np.asarray(apply(variables, image[None])[0])
                        for variables in networks.values()]
      rows.append([image] + [colorize(x, self.dataset.palette) for x in maps])
    return grid(
        rows, ['image', 'truth', *networks], self.dataset.class_names, self.dataset.palette)


def headline_network(config: Config, known: Mapping[str, Any]) -> str:
  """The network whose score counts: the wanted one, or the student where there is no other."""
  if config.eval_network not in ('student', 'teacher'):
    raise UserError(f'config.eval_network is {config.eval_network!r}; known are student, teacher.')
  return config.eval_network if config.eval_network in known else 'student'


def result_table(result: Mapping[str, Any]) -> str:
  """The final table: IoU in percent, one line per class, one column per network."""
  networks = result['networks']
  names = list(result['iou'])
  width = max(map(len, ['classes present', *names]))
  show = lambda value: '     -' if value is None else f'{100 * value:6.2f}'
  lines = [f"{'IoU in %':{width}}  " + '  '.join(f'{name:>8}' for name in networks)]
  for name in names:
    cells = '  '.join(f'{show(summary["iou"][name]):>8}' for summary in networks.values())
    lines.append(f'{name:{width}}  {cells}')
  means = '  '.join(f'{show(summary["miou"]):>8}' for summary in networks.values())
  lines.append(f"{'mIoU':{width}}  {means}")
  lines.append(
      f"{result['pixels']:,} pixels of {result['images']} images, {result['classes_present']} of "
      f"{len(names)} classes present, {result['protocol']}, split {result['split']}")
  return '\n'.join(lines)


def view_images(views: Mapping[str, Array], dataset: Dataset) -> dict[str, np.ndarray]:
  """Turns a method's views into pictures: labels get the palette's colours."""
  flat = {key: np.asarray(x).reshape((-1,) + x.shape[2:]) for key, x in views.items()}
  return {
      f'train/{key}': to_bytes(x) if x.ndim == 4 else colorize(x, dataset.palette)
      for key, x in flat.items()}


@dataclasses.dataclass
class AfterStep:
  """Logs, evaluates and saves when it is time; called after every step."""

  config: Config
  run: Path
  dataset: Dataset
  logbook: Logbook
  manager: ocp.CheckpointManager
  evaluator: Evaluator
  views: Callable[[TrainState], Mapping[str, Array]]
  result: dict[str, Any] | None = None

  def __call__(self, step: int, state: TrainState, metrics: Metrics) -> None:
    config, last = self.config, step == self.config.steps
    self.logbook.collect(metrics)
    logs = step % config.log_every == 0 or last
    evaluates = last or bool(config.eval_every) and step % config.eval_every == 0
    row = self.logbook.averages() if logs or evaluates else {}
    if evaluates:
      self.result = self.evaluate(step, state)
      row |= {f'eval/miou_{name}': summary['miou']
              for name, summary in self.result['networks'].items()}
      row['eval/miou'] = self.result['miou']
    # The row first: a checkpoint that is on the disk has its row, never the other way round.
    if row:
      self.logbook.write(step, row)
    if evaluates or step % config.checkpoint_every == 0:
      checkpoint.save(self.manager, step, state, row.get('eval/miou'))
    if evaluates:
      self.logbook.restart_clock()

  def evaluate(self, step: int, state: TrainState) -> dict[str, Any]:
    result = self.evaluator(step, state)
    if jax.process_index() == 0:
      rundir.write_evaluation(self.run, step, result)
      self.logbook.write_images(step, view_images(self.views(state), self.dataset))
    return result


def run_training(config: Config, run: Path) -> dict[str, Any]:
  """Trains, or goes on with, one run; returns the last evaluation.

  Args:
    config: see configs/base.py.
    run: the run's folder; see `rundir.py` for what it will hold.

  Raises:
    UserError: one sentence about what the user can mend.
  """
  from classmix_jax.input_pipeline import frame_size, train_batches

  build.check_config(config)
  headline_network(config, ())
  dataset = build.build_dataset(config)
  split = build.build_split(config, dataset)
  check_training_labels(split, dataset)
  devices = build.choose_devices(config)
  method = build.build_method(config, len(dataset.class_names))
  tx = build.build_optimizer(config)
  rundir.open_run(run, config.to_dict())
  if jax.process_index() == 0:
    rundir.write_classes(run, dataset)
    rundir.write_split(run, split.labeled.names)

  height, width = training_crop(config, dataset)
  image = jax.ShapeDtypeStruct((1, height, width, 3), np.float32)
  state = create_state(method, tx, jax.random.key(config.seed), image, devices)
  manager = checkpoint.open_manager(run / 'checkpoints')
  newest = checkpoint.newest_step(manager)
  if newest is None:
    state = jax.device_put(start_from(state, config), replicated(devices))
  else:
    state = checkpoint.restore(manager, state, newest)
  start = int(state.step)
  if jax.process_index() == 0:
    print(parameter_overview.get_parameter_overview(state.params, include_stats=False))
    print(fingerprint(settings(config, split, devices, state), config.paper.to_dict()))
    print(f'{run}: ' + (f'goes on after step {start}' if start else 'starts'), flush=True)

  unlabeled = config.unlabeled_batch_size if build.needs_unlabeled(config) else 0
  micro_steps = config.accumulate
  stream = functools.partial(
      train_batches, split.labeled, split.unlabeled if unlabeled else None,
      batch_size=config.batch_size // micro_steps, unlabeled_batch_size=unlabeled // micro_steps,
      crop=tuple(config.data.crop) or None, scale=tuple(config.data.scale),
      flip=config.data.flip, seed=config.seed, local_devices=len(devices),
      process_index=jax.process_index(), process_count=jax.process_count())
  logbook = Logbook(
      run, steps=config.steps, images_per_step=config.batch_size + unlabeled,
      writing=jax.process_index() == 0)
  logbook.resume(start)
  evaluator = Evaluator(config, dataset, split, method, devices, frame_size(dataset.val))
  first = next(stream(start_step=0, stop_step=1))
  after_step = AfterStep(
      config, run, dataset, logbook, manager, evaluator,
      functools.partial(draw_views, method, devices, next(to_devices([first], devices))))

  train_step = make_train_step(
      method, tx, config.seed, devices, accumulate=config.accumulate)
  batches = stream(start_step=start * micro_steps, stop_step=config.steps * micro_steps)
  try:
    state = train(
        state, train_step, to_devices(micro_batches(batches, micro_steps), devices),
        steps=config.steps, after_step=after_step)
  finally:
    manager.wait_until_finished()
    logbook.close()
  if after_step.result is None:  # a finished run was started again
    after_step.result = evaluator(start, state)
  finish(run, after_step.result, evaluator, state)
  return after_step.result


def finish(run: Path, result: Mapping[str, Any], evaluator: Evaluator, state: TrainState) -> None:
  """Prints the final table and saves the picture of predictions."""
  if jax.process_index() == 0:
    print(result_table(result))
    evaluator.picture(state).save(run / 'predictions.png')
    print(f"wrote {run / 'eval' / str(result['step'])}.json and {run / 'predictions.png'}")


@functools.cache
def pmapped_views(method: Any, devices: tuple) -> Callable:
  return jax.pmap(
      method.views, axis_name=AXIS, in_axes=(None, None, None, 0, None),
      devices=list(devices) if jax.process_count() == 1 else None)


def draw_views(
    method: Any, devices: list, batch: Batch, state: TrainState
) -> Mapping[str, Array]:
  """What the method learns from, on one fixed batch `[D, b, ...]`."""
  return pmapped_views(method, tuple(devices))(
      state.params, state.model_state, state.method_state, batch, jax.random.key(0))
