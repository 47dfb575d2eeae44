"""Pseudo-labels as data: a network labels images, the surest pixels of each class are kept.

    RUN/pseudo_labels/STEP/NAME.png       class ids in the classes' colours, 255 where unsure
    RUN/pseudo_labels/STEP/summary.json   thresholds and shares by class, written last

Class-balanced choice (arXiv 1810.07911, section 4; DST-CBC, arXiv 2004.08514): with k_c the
confidence that the surest `share` of the pixels predicted as c have,

    label = argmax_c p_c / k_c,  kept where p_c / k_c >= 1

Synopsis:

    unlabeled = pseudo_labeled(labeler, unlabeled, share=0.2, folder=run / 'pseudo_labels' / '2000')
    unlabeled.read_label(0)      # [H, W] uint8
"""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
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
from classmix_jax.utils.paths import inside
from classmix_jax.utils.progress import progress
from classmix_jax.utils.threads import in_parallel

STRIDE = 16  # of the pixels whose confidence is collected
SUMMARY = 'summary.json'
EVERYTHING = 1e-4  # the threshold that keeps all pixels


def class_thresholds(confidences: Sequence[np.ndarray], share: float) -> np.ndarray:
  """Returns k_c: what the surest `share` of each class's confidences reach.

  Args:
    confidences: per class `[n]` float32; n may be 0, and then the class is not given.
    share: 0 to 1; at 1 every pixel is kept.

  Returns:
    `[C]` float32.

  Example:
    >>> class_thresholds([np.array([0.9, 0.5, 0.75, 0.6])], 0.5).tolist()
    [0.75]
  """
  if share >= 1:
    return np.full(len(confidences), EVERYTHING, np.float32)

  def threshold(values: np.ndarray) -> float:
    if not len(values):
      return 1.0
    kept = max(round(len(values) * share), 1)
    return np.sort(values)[-kept]

  return np.array([threshold(values) for values in confidences], np.float32)


def balanced_label(prob: Array, thresholds: Array) -> Array:
  """Returns argmax_c p_c / k_c, `VOID` where that ratio is below 1.

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
  """A network that labels images of any size, whole, several at once.

  Attributes:
    model: the network.
    variables: of it.
    dataset: whose classes and colours are used.
    batch_size: images at once.
  """

  model: Segmenter
  variables: PyTree
  dataset: Dataset
  batch_size: int

  def batches(self, source: Source, of_prob: Callable) -> Iterator[tuple[int, Any]]:
    """Yields (index, result `[h, w]`, ...) per image, of `of_prob(prob [B, H, W, C])`."""
    run = jax.jit(lambda variables, image: of_prob(predict(self.model, variables, image)))
    for start in range(0, len(source), self.batch_size):
      indices = range(start, min(start + self.batch_size, len(source)))
      images = list(in_parallel(source.read_image, indices))
      # Images of one size go together; the last are repeated, so that one program does for all.
      for size in dict.fromkeys(image.shape for image in images):
        chosen = [i for i, image in zip(indices, images, strict=True) if image.shape == size]
        rows = [images[i - start] for i in chosen]
        rows += rows[-1:] * (self.batch_size - len(rows))
        found = jax.device_get(run(self.variables, np.stack(rows)))
        for place, index in enumerate(chosen):
          yield index, jax.tree.map(lambda x, place=place: x[place], found)

  def confidences(self, source: Source) -> list[np.ndarray]:
    """Collects, per class, the confidence of every 16th pixel that is predicted as it."""

    def surest(prob: Array) -> tuple[Array, Array]:
      return jnp.argmax(prob, axis=-1).astype(jnp.uint8), jnp.max(prob, axis=-1)

    collected = [[] for _ in self.dataset.class_names]
    say = progress('confidences of the unlabelled images', len(source))
    for done, (_, (label, confidence)) in enumerate(self.batches(source, surest), 1):
      for found in np.unique(label):
        collected[found].append(confidence[label == found][::STRIDE])
      say(done)
    return [np.concatenate(values) if values else np.zeros(0) for values in collected]

  def label(self, source: Source, thresholds: np.ndarray, folder: Path) -> np.ndarray:
    """Writes a PNG per image; returns how many pixels each class has been given, `[C]`."""
    colors = np.zeros((256, 3), np.uint8)
    colors[: len(self.dataset.palette)] = self.dataset.palette
    counts = np.zeros(256, np.int64)
    say = progress(f'pseudo-labels to {folder}', len(source))
    of_prob = lambda prob: balanced_label(prob, jnp.asarray(thresholds))
    for done, (index, label) in enumerate(self.batches(source, of_prob), 1):
      counts += np.bincount(label.ravel(), minlength=256)
      picture = Image.fromarray(label)
      picture.putpalette(colors.ravel().tolist())
      path = label_path(folder, source.names[index])
      path.parent.mkdir(parents=True, exist_ok=True)
      write_png(path, picture)
      say(done)
    return counts


def label_path(folder: Path, name: str) -> Path:
  return inside(folder, f'{name}.png')


def read_label(path: Path) -> np.ndarray:
  with Image.open(path) as picture:
    return np.array(picture)


def check_labels_exist(folder: Path) -> None:
  """Raises UserError where the labels of a round that has begun are gone."""
  if not (folder / SUMMARY).exists():
    raise UserError(
      f'{folder} is not complete: its pseudo-labels come from a network that is not there any '
      'more. Put the folder back, or train in another --workdir.'
    )


def pseudo_labeled(labeler: Labeler, source: Source, share: float, folder: Path) -> Source:
  """Returns the source with the labels in `folder`; writes them where they are not complete.

  They are a function of the network alone: what an interrupted run left behind is what this
  one would write. Of several processes the first writes them and the others wait; all of them
  need to see the folder.

  Args:
    labeler: the network.
    source: unlabelled images.
    share: of each class's pixels, the surest of which are labelled.
    folder: for the labels of this round.
  """
  if jax.process_index() == 0 and not (folder / SUMMARY).exists():
    write_labels(labeler, source, share, folder)
  if jax.process_count() > 1:
    multihost_utils.sync_global_devices(str(folder))
  return dataclasses.replace(
    source, read_label=lambda i: read_label(label_path(folder, source.names[i]))
  )


def write_labels(labeler: Labeler, source: Source, share: float, folder: Path) -> None:
  """Labels all images, and says how in summary.json: that comes last, with it all are there."""
  thresholds = class_thresholds(labeler.confidences(source), share)
  counts = labeler.label(source, thresholds, folder)
  names = labeler.dataset.class_names
  total = max(int(counts.sum()), 1)
  write_atomically(
    folder / SUMMARY,
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
