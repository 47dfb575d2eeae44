"""Evaluates the networks of a run over its validation set, and shows the result.

Synopsis:

    evaluator = Evaluator(config, dataset, model, devices, split=('e797d043', 46))
    result = evaluator(step, networks)          # networks: name -> variables
    print(result_table(result))
    evaluator.picture(networks).save('predictions.png')
"""

from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np
from PIL import Image

from classmix_jax import build, checkpoint, rundir
from classmix_jax.evaluate import evaluate, make_count, predict, summarize
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.pictures import colorize, grid
from classmix_jax.splits import split_hash
from classmix_jax.train import to_devices
from classmix_jax.types import Dataset, PyTree, UserError

Config = ml_collections.ConfigDict
NETWORKS = ('student', 'teacher')


def protocol(config: Config) -> str:
  """The name of how this run is evaluated; it travels with every number."""
  size = tuple(config.data.size)
  return f'whole image at {size[0]}x{size[1]}' if size else 'whole image at its own size'


def headline_network(wanted: str, known: Mapping[str, Any]) -> str:
  """The network whose score counts: the wanted one, or the student where there is no other.

  Raises:
    UserError: `wanted` is neither student nor teacher.
  """
  if wanted not in NETWORKS:
    raise UserError(f'config.eval_network is {wanted!r}; known are {", ".join(NETWORKS)}.')
  return wanted if wanted in known else 'student'


@dataclasses.dataclass
class Evaluator:
  """Counts every validation pixel once, for each network.

  Attributes:
    config: of the run.
    dataset: whose `val` is evaluated.
    model: the network.
    devices: local devices; batches are shared between them.
    split: (hash, count) of the labelled images, written beside every number.
  """

  config: Config
  dataset: Dataset
  model: Segmenter
  devices: list
  split: tuple[str, int]

  @functools.cached_property
  def count(self) -> Callable:
    return make_count(self.model, len(self.dataset.class_names), self.devices)

  @functools.cached_property
  def frame(self) -> tuple[int, int]:
    """The (H, W) to which smaller validation images are padded."""
    from classmix_jax.input_pipeline import frame_size
    return frame_size(self.dataset.val)

  def batches(self) -> Iterator:
    from classmix_jax.input_pipeline import eval_batches
    devices = len(self.devices) * jax.process_count()
    return to_devices(
        eval_batches(
            self.dataset.val, batch_size=-(-self.config.eval_batch_size // devices) * devices,
            local_devices=len(self.devices), process_index=jax.process_index(),
            process_count=jax.process_count(), size=self.frame),
        self.devices)

  def __call__(self, step: int, networks: Mapping[str, PyTree]) -> dict[str, Any]:
    """Returns the headline network's result; all of them stand under `networks`."""
    names = self.dataset.class_names
    summaries = {
        name: summarize(evaluate(self.count, variables, self.batches(), len(names)), names)
        for name, variables in networks.items()}
    headline = headline_network(self.config.eval_network, summaries)
    return {
        'step': step, 'network': headline, 'protocol': protocol(self.config),
        'dataset': self.dataset.name, 'images': len(self.dataset.val),
        'split': self.split[0], 'labeled': self.split[1],
        **summaries[headline], 'networks': summaries,
    }

  def picture(self, networks: Mapping[str, PyTree], rows: int = 4) -> Image.Image:
    """Validation images beside their truth and the prediction of every network."""
    apply = jax.jit(lambda variables, image: predict(self.model, variables, image).argmax(-1))
    networks = jax.device_get(networks)
    cells = []
    for index in np.linspace(0, len(self.dataset.val) - 1, rows).round().astype(int):
      image = self.dataset.val.read_image(index)
      maps = [self.dataset.val.read_label(index)]
      maps += [np.asarray(apply(x, image[None])[0]) for x in networks.values()]
      cells.append([image] + [colorize(x, self.dataset.palette) for x in maps])
    return grid(
        cells, ['image', 'truth', *networks], self.dataset.class_names, self.dataset.palette)


def result_table(result: Mapping[str, Any]) -> str:
  """The final table: IoU in percent, one line per class, one column per network."""
  networks = result['networks']
  names = list(result['iou'])
  width = max(map(len, ['IoU in %', *names]))

  def line(name: str, values: list[float | None]) -> str:
    cells = [f'{"-":>8}' if value is None else f'{100 * value:8.2f}' for value in values]
    return '  '.join([f'{name:{width}}', *cells])

  lines = ['  '.join([f'{"IoU in %":{width}}', *(f'{name:>8}' for name in networks)])]
  lines += [line(name, [network['iou'][name] for network in networks.values()]) for name in names]
  lines.append(line('mIoU', [network['miou'] for network in networks.values()]))
  lines.append(
      f"{result['pixels']:,} pixels of {result['images']} images, {result['classes_present']} of "
      f"{len(names)} classes present, {result['protocol']}, {result['labeled']} labelled images "
      f"(split {result['split']}), step {result['step']}")
  return '\n'.join(lines)


def conclude(
    run: Path, result: Mapping[str, Any], evaluator: Evaluator, networks: Mapping[str, PyTree]
) -> None:
  """Prints the final table and draws the picture of predictions."""
  if jax.process_index() == 0:
    print(result_table(result))
    path = rundir.evaluation_path(run, result['step'])
    evaluator.picture(networks).save(run / 'predictions.png')
    print(f"wrote {path} and {run / 'predictions.png'}", flush=True)


def evaluate_run(run: Path, *, step: str, network: str, root: str) -> dict[str, Any]:
  """Restores a run and evaluates it; the program launch/evaluate.py.

  Args:
    run: the run's folder.
    step: 'latest', 'best' or a step.
    network: the headline network; '' is the config's.
    root: folder of the data set; '' is the config's.

  Raises:
    UserError: one sentence about what the user can mend.
  """
  config = ml_collections.ConfigDict(rundir.read_json(run / 'config.json'))
  config.eval_network = network or config.eval_network
  config.data.root = root or config.data.root
  headline_network(config.eval_network, ())
  found, networks = checkpoint.load_networks(run, step)
  dataset = build.build_dataset(config)
  labeled = rundir.read_split(run)
  evaluator = Evaluator(
      config, dataset, build.build_model(config, len(dataset.class_names)), jax.local_devices(),
      split=(split_hash(labeled), len(labeled)))
  result = evaluator(found, networks)
  rundir.write_evaluation(run, result)
  conclude(run, result, evaluator, networks)
  return result
