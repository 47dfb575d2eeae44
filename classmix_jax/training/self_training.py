"""Writes class-balanced pseudo-labels to disk, between two stages of a training run.

    RUN/pseudo_labels/STEP/NAME.png       class ids in the classes' colours, 255 if unsure
    RUN/pseudo_labels/STEP/summary.json   thresholds and pixels by class, written last

Class-balanced selection (arXiv 1810.07911, section 4; DST-CBC, arXiv 2004.08514): k_c is the
lowest confidence among the most confident `share` of the pixels predicted as c, and

    label = argmax_c p_c / k_c  if that ratio is at least 1, else void

Synopsis:

    directory = run / 'pseudo_labels' / '2000'
    unlabeled = pseudo_label(labeler, unlabeled, share=0.2, directory=directory)
    unlabeled.read_label(0)      # [H, W] uint8
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import numpy as np
from PIL import Image

from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.evaluation.eval_step import predict
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.types import VOID, Array, PyTree
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.indexed_image import to_indexed
from classmix_jax.utils.paths import inside
from classmix_jax.utils.progress import progress
from classmix_jax.utils.threads import in_parallel

CONFIDENCE_STRIDE = 16  # every 16th pixel is enough for a quantile, and fits in memory
SUMMARY = 'summary.json'
KEEP_ALL = 1e-4  # threshold below every probability of a predicted class


def class_thresholds(confidences: Sequence[np.ndarray], share: float) -> np.ndarray:
  """Returns k_c: the lowest confidence among the highest `share` of each class.

  Args:
    confidences: per class `[n]` float32; a class with n = 0 is never assigned.
    share: fraction of the pixels in 0..1; 1 keeps every pixel.

  Returns:
    `[C]` float32.

  Example:
    >>> class_thresholds([np.array([0.9, 0.5, 0.75, 0.6])], 0.5).tolist()
    [0.75]
  """
  if share >= 1:
    return np.full(len(confidences), KEEP_ALL, np.float32)

  def threshold(values: np.ndarray) -> float:
    if not len(values):
      return 1.0
    count = max(round(len(values) * share), 1)
    return np.sort(values)[-count]

  return np.array([threshold(values) for values in confidences], np.float32)


def balanced_label(prob: Array, thresholds: Array) -> Array:
  """Returns argmax_c p_c / k_c, or `VOID` if that ratio is below 1.

  Args:
    prob: `[..., C]` float32.
    thresholds: `[C]` float32, k_c.

  Returns:
    `[...]` uint8.

  Example:
    >>> prob = jnp.array([[0.6, 0.4], [0.55, 0.45]])
    >>> balanced_label(prob, jnp.array([0.7, 0.42])).tolist()
    [255, 1]
  """
  ratio = prob / jnp.reshape(thresholds, (1,) * (prob.ndim - 1) + (-1,))
  label = jnp.argmax(ratio, axis=-1).astype(jnp.uint8)
  return jnp.where(jnp.max(ratio, axis=-1) >= 1, label, VOID).astype(jnp.uint8)


@dataclasses.dataclass(frozen=True)
class Labeler:
  """Labels whole images of any size with a network.

  Attributes:
    model: the network.
    variables: of the network.
    dataset: class names and palette.
    batch_size: images at once.
  """

  model: Segmenter
  variables: PyTree
  dataset: Dataset
  batch_size: int

  def map_images(self, source: Source, reduce: Callable) -> Iterator[tuple[int, Any]]:
    """Yields (index, `reduce(prob)`) of every image; `prob` is `[B, H, W, C]`."""

    @jax.jit
    def run(variables: PyTree, image: Array) -> Any:
      return reduce(predict(self.model, variables, image))

    for start in range(0, len(source), self.batch_size):
      indices = range(start, min(start + self.batch_size, len(source)))
      images = list(in_parallel(source.read_image, indices))
      # Images of one size form a batch; repeating the last one avoids another compilation.
      for size in dict.fromkeys(image.shape for image in images):
        members = [i for i, image in zip(indices, images, strict=True) if image.shape == size]
        batch = [images[i - start] for i in members]
        batch += batch[-1:] * (self.batch_size - len(batch))
        results = jax.device_get(run(self.variables, np.stack(batch)))
        for row, index in enumerate(members):
          yield index, jax.tree.map(lambda x, row=row: x[row], results)

  def collect_confidences(self, source: Source) -> list[np.ndarray]:
    """Returns per class the confidence of every 16th pixel that is predicted as that class."""

    def predict_class(prob: Array) -> tuple[Array, Array]:
      return jnp.argmax(prob, axis=-1).astype(jnp.uint8), jnp.max(prob, axis=-1)

    collected: list[list[np.ndarray]] = [[] for _ in self.dataset.class_names]
    report = progress('confidences of the unlabelled images', len(source))
    predictions = self.map_images(source, predict_class)
    for done, (_, (label, confidence)) in enumerate(predictions, 1):
      for index in np.unique(label):
        collected[index].append(confidence[label == index][::CONFIDENCE_STRIDE])
      report(done)
    return [np.concatenate(values) if values else np.zeros(0) for values in collected]

  def write_labels(self, source: Source, thresholds: np.ndarray, directory: Path) -> np.ndarray:
    """Writes a PNG per image; returns the number of pixels of every label value, `[256]`."""
    counts = np.zeros(256, np.int64)
    report = progress(f'pseudo-labels to {directory}', len(source))
    assign = functools.partial(balanced_label, thresholds=jnp.asarray(thresholds))
    for done, (index, label) in enumerate(self.map_images(source, assign), 1):
      counts += np.bincount(label.ravel(), minlength=256)
      image = to_indexed(label, self.dataset.palette)
      path = label_path(directory, source.names[index])
      path.parent.mkdir(parents=True, exist_ok=True)
      write_png(path, image)
      report(done)
    return counts


def label_path(directory: Path, name: str) -> Path:
  """Returns the file of an image's pseudo-label."""
  return inside(directory, f'{name}.png')


def read_label(path: Path) -> np.ndarray:
  """Reads a pseudo-label, `[H, W]` uint8."""
  with Image.open(path) as image:
    return np.array(image)


def check_labels_exist(directory: Path) -> None:
  """Raises UserError if the pseudo-labels of a stage that has begun are missing."""
  if not (directory / SUMMARY).exists():
    raise UserError(
      f'{directory} is not complete: its pseudo-labels come from a network that no longer exists. '
      'Restore the directory, or train in another --workdir.'
    )


def pseudo_label(labeler: Labeler, source: Source, share: float, directory: Path) -> Source:
  """Returns the source with pseudo-labels; writes them unless they are complete.

  They are a function of the network, so an interrupted run has written the same files. Process 0
  writes them and the others wait; all processes need access to the directory.

  Args:
    labeler: the network.
    source: unlabelled images.
    share: fraction of each class's pixels to label, the most confident ones.
    directory: of the labels of this stage.
  """
  if jax.process_index() == 0 and not (directory / SUMMARY).exists():
    write_labels(labeler, source, share, directory)
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(str(directory))
  return dataclasses.replace(
    source, read_label=lambda i: read_label(label_path(directory, source.names[i]))
  )


def write_labels(labeler: Labeler, source: Source, share: float, directory: Path) -> None:
  """Labels all images, then writes summary.json, which marks the labels as complete."""
  thresholds = class_thresholds(labeler.collect_confidences(source), share)
  counts = labeler.write_labels(source, thresholds, directory)
  names = labeler.dataset.class_names
  total = max(int(counts.sum()), 1)
  write_atomically(
    directory / SUMMARY,
    json.dumps(
      {
        'share': share,
        'images': len(source),
        'labeled': 1 - counts[VOID] / total,
        'classes': {
          name: {'threshold': float(threshold), 'pixels': int(count)}
          for name, threshold, count in zip(names, thresholds, counts, strict=False)
        },
      },
      indent=2,
    )
    + '\n',
  )
