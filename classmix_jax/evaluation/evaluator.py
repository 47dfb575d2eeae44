"""Evaluates the networks of a run on its validation set.

Synopsis:

    evaluator = Evaluator(dataset, model, devices, ('e797d043', 46), 0.95, Protocol())
    result = evaluator(step, networks)          # networks: name -> variables
    print(result_table(result))
    evaluator.draw_predictions(networks, step).save('predictions.png')
    evaluator.write_predictions(networks['student'], Path('OUT'))
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

from classmix_jax.core.encoded import EncodedImage
from classmix_jax.data.eval_batches import eval_batches
from classmix_jax.data.example_reader import read_padded
from classmix_jax.data.feature_cache import ReadFeatures, with_frame_features
from classmix_jax.data.feed import to_devices
from classmix_jax.data.label_statistics import spread
from classmix_jax.data.sampler import share_positions
from classmix_jax.data.source import Dataset, label_sizes, subset
from classmix_jax.evaluation.eval_step import (
  evaluate,
  make_count,
  make_labels,
  make_score,
  summarize,
)
from classmix_jax.evaluation.groups import Group, group_images
from classmix_jax.evaluation.headline import headline_network
from classmix_jax.evaluation.protocols import PROTOCOLS, Protocol, describe
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.types import Example, PyTree, Size
from classmix_jax.utils.atomic_write import write_png
from classmix_jax.utils.interrupt import until
from classmix_jax.utils.paths import inside
from classmix_jax.utils.visualize import VISIBLE, colorize, grid, thumbnail


class Seen(NamedTuple):
  """A validation image with its label and a prediction.

  Attributes:
    name: of the image.
    image: `[h, w, 3]` uint8.
    truth: `[H, W]` uint8 class ids, 255 if unknown.
    prediction: `[H, W]` uint8 class ids.
    confidence: `[H, W]` float32, score of the predicted class relative to all scores.
  """

  name: str
  image: np.ndarray
  truth: np.ndarray
  prediction: np.ndarray
  confidence: np.ndarray


@dataclasses.dataclass
class Evaluator:
  """Counts every validation pixel once for each network.

  Attributes:
    dataset: its `val` is evaluated, at the sizes of the protocol.
    model: the network.
    devices: local devices, which share every batch.
    split: (hash, count) of the labelled images, recorded with every result.
    threshold: least confidence of the pixels whose reliability is measured.
    protocol: how predictions are made and counted.
    size: (H, W) of the images, or None if they keep their own.
    batch_size: images at once, over all devices.
    headline: name of the network whose score counts.
    stop: called between batches; True ends the evaluation, see `preemption.Stop`.
    read_features: of whole images, for a protocol that sees these; None computes them.
  """

  dataset: Dataset
  model: Segmenter
  devices: list
  split: tuple[str, int]
  threshold: float
  protocol: Protocol
  size: Size | None = None
  batch_size: int = 1
  headline: str = 'student'
  stop: Callable[[], bool] = lambda: False
  read_features: ReadFeatures | None = None

  @functools.cached_property
  def count(self) -> Callable:
    """The compiled `count(variables, example)` of this evaluator, see `make_count`."""
    return make_count(self.model, len(self.dataset.class_names), self.devices, self.protocol)

  @functools.cached_property
  def sizes(self) -> list[Size]:
    """The size of each label; reads all labels if they keep their own size."""
    native = PROTOCOLS[self.protocol.name].native_label
    val = self.dataset.val
    return [self.size] * len(val) if self.size and not native else label_sizes(val)

  @functools.cached_property
  def description(self) -> str:
    """The protocol with its parameters, recorded with every result."""
    return describe(self.protocol, set(self.sizes), self.size)

  @functools.cached_property
  def groups(self) -> list[Group]:
    """The validation images, divided into those whose batches have one shape."""
    return group_images(self.protocol, self.sizes, self.size)

  def batches(self) -> Iterator[Example]:
    """Returns the validation set as batches `[D, b, ...]` on the devices, group by group."""
    return itertools.chain.from_iterable(map(self.group_batches, self.groups))

  def group_batches(self, group: Group) -> Iterator[Example]:
    """Returns the images of a group as batches `[D, b, ...]` on the devices."""
    devices = len(self.devices) * jax.process_count()
    batch_size = -(-self.batch_size // devices) * devices
    examples = eval_batches(
      subset(self.dataset.val, group.indices),
      batch_size=batch_size,
      local_devices=len(self.devices),
      process_index=jax.process_index(),
      process_count=jax.process_count(),
      size=group.size,
      label_size=group.label_size,
    )
    if self.read_features is not None:
      share = batch_size // jax.process_count()
      indices = share_positions(itertools.count(), batch_size, share, jax.process_index())
      examples = with_frame_features(examples, indices, self.read_features, group.indices)
    return to_devices(examples, self.devices)

  def __call__(self, step: int, networks: Mapping[str, PyTree]) -> dict[str, Any]:
    """Evaluates networks.

    Args:
      step: number of finished steps.
      networks: name -> variables.

    Returns:
      The result of the headline network, with those of all networks under 'networks'.

    Raises:
      Stopped: `stop` returned True.
    """
    names = self.dataset.class_names
    counts = {
      name: evaluate(self.count, variables, until(self.stop, self.batches(), step))
      for name, variables in networks.items()
    }
    summaries = {name: summarize(x, names, self.threshold) for name, x in counts.items()}
    headline = headline_network(self.headline, summaries)
    return {
      'step': step,
      'network': headline,
      'protocol': self.description,
      'dataset': self.dataset.name,
      'images': len(self.dataset.val),
      'split': self.split[0],
      'labeled': self.split[1],
      'devices': f'{len(self.devices) * jax.process_count()} x {self.devices[0].device_kind}',
      **summaries[headline],
      'networks': summaries,
      'confusion': counts[headline].confusion.tolist(),
    }

  def predictions(self, variables: PyTree) -> Iterator[tuple[str, np.ndarray]]:
    """Yields (name, class ids `[H, W]` uint8) of every image, in a single process."""
    labels = make_labels(self.model, self.devices, self.protocol)
    for group in self.groups:
      indices = iter(group.indices)
      for example in self.group_batches(group):
        maps = jax.device_get(labels(variables, example))
        # The last batch has more examples than there are indices left: they are padding.
        for label, index in zip(maps.reshape(-1, *maps.shape[2:]), indices, strict=False):
          height, width = self.sizes[index]
          yield self.dataset.val.names[index], label[:height, :width]

  def write_predictions(self, variables: PyTree, directory: Path) -> None:
    """Writes the prediction of every validation image as a grey PNG.

    Pixels are class ids and files are named NAME.png. If the data set has `raw_ids`, pixels are
    these and files are named NAME_pred_labelIds.png, as Cityscapes' official tools expect.
    """
    raw = self.dataset.raw_ids
    table = np.asarray(raw or range(len(self.dataset.class_names)), np.uint8)
    for name, label in self.predictions(variables):
      path = inside(directory, f'{name}{"_pred_labelIds" if raw else ""}.png')
      path.parent.mkdir(parents=True, exist_ok=True)
      write_png(path, Image.fromarray(table[label]))

  @functools.cached_property
  def score(self) -> Callable[[PyTree, Example], tuple[Any, Any]]:
    """The compiled `score(variables, example)` of this evaluator, see `make_score`."""
    return make_score(self.model, self.protocol)

  def look(self, variables: PyTree, indices: Sequence[int]) -> Iterator[Seen]:
    """Yields some validation images with predictions; runs in one process."""
    val, variables = self.dataset.val, jax.device_get(variables)
    frames = {index: group[1:] for group in self.groups for index in group.indices}
    for index in map(int, indices):
      example = read_padded(val, index, *frames[index])
      if self.read_features is not None:
        image = EncodedImage(example.image, self.read_features(index, 0))
        example = example._replace(image=image)
      example = jax.tree.map(lambda x: x[None], example)
      truth = val.load_label(index)
      part = tuple(map(slice, truth.shape))
      prediction, confidence = (np.asarray(x[0])[part] for x in self.score(variables, example))
      yield Seen(val.names[index], val.read_image(index), truth, prediction, confidence)

  def draw_predictions(
    self, networks: Mapping[str, PyTree], step: int, rows: int = 4
  ) -> Image.Image:
    """Draws up to `rows` validation images, their labels and the predictions of every network.

    Args:
      networks: name -> variables.
      step: of the networks, for the captions.
      rows: number of images, spread over the validation set.
    """
    indices = spread(len(self.dataset.val), rows).tolist()
    palette, cells = self.dataset.palette, []
    for seen in zip(*(self.look(network, indices) for network in networks.values()), strict=True):
      labels = [seen[0].truth, *(one.prediction for one in seen)]
      images = [seen[0].image, *(colorize(label, palette) for label in labels)]
      cells.append([thumbnail(image, VISIBLE) for image in images])
    predictions = [f'prediction of the {name}, step {step}' for name in networks]
    captions = ['validation image', 'ground truth', *predictions]
    return grid(cells, captions, self.dataset.class_names, palette, void=True)
