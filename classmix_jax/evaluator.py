"""Evaluates the networks of a run over its validation set, and shows the result.

Synopsis:

    evaluator = Evaluator(config, dataset, model, devices, split=('e797d043', 46))
    result = evaluator(step, networks)          # networks: name -> variables
    print(result_table(result))
    evaluator.picture(networks).save('predictions.png')
    evaluator.write_predictions(networks['student'], Path('OUT'))
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import ml_collections
import numpy as np
from PIL import Image

from classmix_jax import build, rundir
from classmix_jax.datasets.pairs import inside
from classmix_jax.eval_batches import eval_batches
from classmix_jax.evaluate import evaluate, make_count, make_labels, predict, summarize
from classmix_jax.example_reader import framed
from classmix_jax.files import write_png
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.networks import load_networks
from classmix_jax.pictures import colorize, grid, thumbnail
from classmix_jax.preemption import until
from classmix_jax.protocols import PROTOCOLS, Protocol, describe, slug
from classmix_jax.sources import label_sizes
from classmix_jax.splits import split_hash
from classmix_jax.train import to_devices
from classmix_jax.types import Dataset, Example, PyTree, UserError

Config = ml_collections.ConfigDict
Size = tuple[int, int]
NETWORKS = ('student', 'teacher', 'fused')


def headline_network(wanted: str, known: Mapping[str, Any]) -> str:
  """The network whose score counts: the wanted one, or the student where there is no other.

  Raises:
    UserError: there is no network of this name in any method.
  """
  if wanted not in NETWORKS:
    raise UserError(f'config.eval_network is {wanted!r}; known are {", ".join(NETWORKS)}.')
  return wanted if wanted in known else 'student'


class Seen(NamedTuple):
  """A validation image and what a network sees in it.

  Attributes:
    name: of the image.
    image: `[h, w, 3]` uint8.
    truth: `[H, W]` uint8 class ids, 255 where unknown.
    prediction: `[H, W]` uint8 class ids.
    confidence: `[H, W]` float32, the share of the predicted class in all scores.
  """

  name: str
  image: np.ndarray
  truth: np.ndarray
  prediction: np.ndarray
  confidence: np.ndarray


@dataclasses.dataclass
class Evaluator:
  """Counts every validation pixel once, for each network.

  Attributes:
    config: of the run.
    dataset: whose `val` is evaluated, at the sizes of the run's protocol.
    model: the network.
    devices: local devices; batches are shared between them.
    split: (hash, count) of the labelled images, written beside every number.
    stop: asked between batches, see `preemption.Stop`.
  """

  config: Config
  dataset: Dataset
  model: Segmenter
  devices: list
  split: tuple[str, int]
  stop: Callable[[], bool] = lambda: False

  @functools.cached_property
  def protocol(self) -> Protocol:
    return build.build_protocol(self.config)

  @functools.cached_property
  def count(self) -> Callable:
    return make_count(self.model, len(self.dataset.class_names), self.devices, self.protocol)

  @functools.cached_property
  def sizes(self) -> set[Size]:
    """The sizes of the labels; all labels are read where they keep their own."""
    working = tuple(self.config.data.size)
    fixed = working and not PROTOCOLS[self.protocol.name].native_label
    return {working} if fixed else label_sizes(self.dataset.val)

  @functools.cached_property
  def description(self) -> str:
    """The protocol with its parameters; it travels with every number."""
    return describe(self.protocol, self.sizes, tuple(self.config.data.size) or None)

  @functools.cached_property
  def frames(self) -> tuple[Size, Size | None]:
    """The (H, W) to which images are padded, and labels where theirs is another.

    Raises:
      UserError: an image is larger than `config.eval.pad`.
    """
    largest = tuple(int(n) for n in np.max(list(self.sizes), axis=0))
    if self.protocol.name == 'full':
      return tuple(self.config.data.size), largest
    if self.protocol.name != 'paper' or self.protocol.pad is None:
      return largest, None
    if np.any(np.greater(largest, self.protocol.pad)):
      raise UserError(
          f'config.eval.pad is {self.protocol.pad}, but validation images are up to {largest}: '
          f'set config.eval.pad={largest} or more.')
    return self.protocol.pad, None

  def batches(self) -> Iterator[Example]:
    devices = len(self.devices) * jax.process_count()
    size, label_size = self.frames
    return to_devices(
        eval_batches(
            self.dataset.val, batch_size=-(-self.config.eval_batch_size // devices) * devices,
            local_devices=len(self.devices), process_index=jax.process_index(),
            process_count=jax.process_count(), size=size, label_size=label_size),
        self.devices)

  def __call__(self, step: int, networks: Mapping[str, PyTree]) -> dict[str, Any]:
    """Returns the headline network's result; all of them stand under `networks`.

    Raises:
      Stopped: the training shall end.
    """
    names = self.dataset.class_names
    confusions = {
        name: evaluate(
            self.count, variables, until(self.stop, self.batches(), step), len(names))
        for name, variables in networks.items()}
    summaries = {name: summarize(confusion, names) for name, confusion in confusions.items()}
    headline = headline_network(self.config.eval_network, summaries)
    return {
        'step': step, 'network': headline, 'protocol': self.description,
        'dataset': self.dataset.name, 'images': len(self.dataset.val),
        'split': self.split[0], 'labeled': self.split[1],
        'devices': f'{len(self.devices) * jax.process_count()} x {self.devices[0].device_kind}',
        **summaries[headline], 'networks': summaries,
        'confusion': confusions[headline].tolist(),
    }

  def predictions(self, variables: PyTree) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (name, class ids `[H, W]` uint8) of every image; for a single process."""
    labels = make_labels(self.model, self.devices, self.protocol)
    names = iter(self.dataset.val.names)
    for example in self.batches():
      maps, valid = jax.device_get((labels(variables, example), example.valid))
      maps, valid = (x.reshape(-1, *x.shape[2:]) for x in (maps, valid))
      # After the last name the batch holds padding only.
      for label, own, name in zip(maps, valid, names, strict=False):
        yield name, label[:own.any(axis=1).sum(), :own.any(axis=0).sum()]

  def write_predictions(self, variables: PyTree, folder: Path) -> None:
    """Writes the prediction of every validation image as a grey PNG.

    Pixels are class ids and files are called NAME.png. Where the data set has
    `raw_ids` pixels are these and files NAME_pred_labelIds.png, as the official
    tools of Cityscapes look for them.
    """
    raw = self.dataset.raw_ids
    table = np.asarray(raw or range(len(self.dataset.class_names)), np.uint8)
    for name, label in self.predictions(variables):
      path = inside(folder, f'{name}{"_pred_labelIds" if raw else ""}.png')
      path.parent.mkdir(parents=True, exist_ok=True)
      write_png(path, Image.fromarray(table[label]))

  @functools.cached_property
  def score(self) -> Callable[[PyTree, Example], tuple[Any, Any]]:
    """`score(variables, example [1, ...]) -> (class ids, confidence)`, each `[1, H, W]`."""
    @jax.jit
    def score(variables: PyTree, example: Example) -> tuple[Any, Any]:
      scores = predict(self.model, variables, example.image, example.valid, self.protocol)
      return scores.argmax(-1).astype(np.uint8), scores.max(-1) / scores.sum(-1)

    return score

  def look(self, variables: PyTree, indices: Sequence[int]) -> Iterator[Seen]:
    """Yields some validation images with what a network sees; one process is enough."""
    val, variables = self.dataset.val, jax.device_get(variables)
    for index in map(int, indices):
      example = jax.tree.map(lambda x: x[None], framed(val, index, *self.frames))
      truth = val.read_label(index)
      part = tuple(map(slice, truth.shape))
      prediction, confidence = (np.asarray(x[0])[part] for x in self.score(variables, example))
      yield Seen(val.names[index], val.read_image(index), truth, prediction, confidence)

  def picture(self, networks: Mapping[str, PyTree], rows: int = 4) -> Image.Image:
    """Validation images beside their truth and the prediction of every network."""
    indices = np.linspace(0, len(self.dataset.val) - 1, rows).round().astype(int)
    color = lambda label: colorize(label, self.dataset.palette)
    cells = []
    for seen in zip(*(self.look(network, indices) for network in networks.values()), strict=True):
      cells.append([seen[0].image, color(seen[0].truth), *(color(x.prediction) for x in seen)])
    cells = [[thumbnail(cell) for cell in row] for row in cells]
    return grid(
        cells, ['image', 'truth', *networks], self.dataset.class_names, self.dataset.palette)


def result_table(result: Mapping[str, Any]) -> str:
  """The final table: IoU in percent, one line per class, one column per network.

  The mean over all classes, absent ones counted as 0, is shown where it differs.
  """
  networks = result['networks']
  names = list(result['iou'])
  everything = f'mIoU of {len(names)}'
  width = max(map(len, ['IoU in %', everything, *names]))

  def line(name: str, values: list[float | None]) -> str:
    cells = [f'{"-":>8}' if value is None else f'{100 * value:8.2f}' for value in values]
    return '  '.join([f'{name:{width}}', *cells])

  def mean(name: str, field: str) -> str:
    return line(name, [network[field] for network in networks.values()])

  lines = ['  '.join([f'{"IoU in %":{width}}', *(f'{name:>8}' for name in networks)])]
  lines += [line(name, [network['iou'][name] for network in networks.values()]) for name in names]
  lines.append(mean('mIoU', 'miou'))
  if any(network['miou'] != network['miou_all_classes'] for network in networks.values()):
    lines.append(mean(everything, 'miou_all_classes'))
  lines.append(
      f"{result['pixels']:,} pixels of {result['images']} images, {result['classes_present']} of "
      f"{len(names)} classes present, {result['protocol']}, {result['labeled']} labelled images "
      f"(split {result['split']}), step {result['step']}")
  return '\n'.join(lines)


def conclude(
    run: Path, result: Mapping[str, Any], evaluator: Evaluator, networks: Mapping[str, PyTree],
    protocol: str = '',
) -> None:
  """Prints the final table and draws the picture of predictions.

  That of another `protocol` than the run's own stands beside its result in eval/.
  """
  if jax.process_index() == 0:
    path = rundir.evaluation_path(run, result['step'], protocol)
    picture = path.with_suffix('.png') if protocol else run / 'predictions.png'
    print(result_table(result))
    write_png(picture, evaluator.picture(networks))
    print(f'wrote {path} and {picture}', flush=True)


def other_protocol(config: Config, fields: Mapping[str, Any]) -> bool:
  """Writes `fields` into `config.eval`; returns whether that changes the protocol.

  Raises:
    UserError: fields that the protocol does not read, or that make no sense.
  """
  own = build.build_protocol(config)
  config.eval = ml_collections.ConfigDict({**config.get('eval', {}), **fields})
  asked = build.build_protocol(config)
  for name, entry in PROTOCOLS.items():
    for field in entry.fields:
      if field in fields and name != asked.name:
        raise UserError(
            f'--{field} belongs to --protocol={name}, but the protocol is {asked.name}: leave it '
            'out, or change the protocol.')
  return asked != own


def open_evaluator(config: Config, run: Path) -> Evaluator:
  """Opens the validation set of a run from its folder, with this config.

  Raises:
    UserError: the data is not there.
  """
  dataset = build.build_validation(config)
  labeled = rundir.read_split(run, 'labeled')
  return Evaluator(
      config, dataset, build.build_model(config, len(dataset.class_names)), jax.local_devices(),
      split=(split_hash(labeled), len(labeled)))


def evaluate_run(
    run: Path, *, step: str, network: str, root: str, eval_batch_size: int = 0,
    protocol: Mapping[str, Any] | None = None, write_predictions: str = '',
) -> dict[str, Any]:
  """Restores a run and evaluates it; the program launch/evaluate.py.

  Args:
    run: the run's folder.
    step: 'latest', 'best' or a step.
    network: the headline network; '' is the config's.
    root: folder of the data set; '' is the config's.
    eval_batch_size: images at once; 0 is the config's.
    protocol: fields of `config.eval` to change. The result of another protocol
      than the run's own is written beside it, not over it.
    write_predictions: folder for the headline network's predictions; '' is none.

  Raises:
    UserError: one sentence about what the user can mend.
  """
  config = ml_collections.ConfigDict(rundir.read_config(run))
  config.eval_network = network or config.eval_network
  config.data.root = root or config.data.root
  config.eval_batch_size = eval_batch_size or config.eval_batch_size
  headline_network(config.eval_network, ())
  other = other_protocol(config, protocol or {})
  found, networks = load_networks(run, step)
  evaluator = open_evaluator(config, run)
  result = evaluator(found, networks)
  name = slug(evaluator.description) if other else ''
  rundir.write_evaluation(run, result, name)
  conclude(run, result, evaluator, networks, name)
  if write_predictions:
    folder = Path(write_predictions).expanduser()
    evaluator.write_predictions(networks[result['network']], folder)
    print(f"wrote {result['images']} predictions of the {result['network']} to {folder}")
  return result
