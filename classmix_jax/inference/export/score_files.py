"""Measures what exported files lose of the mIoU, on the validation images of the run.

Synopsis:

    scores = score_files(Path('RUN'), trained, files)
    scores.miou                                     # {'JAX': 0.473, 'model-int8.onnx': 0.468}
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax

from classmix_jax.data.source import label_sizes
from classmix_jax.inference.export.model_card import Written
from classmix_jax.inference.export.network import Trained, training_form
from classmix_jax.inference.export.run_file import LOADERS
from classmix_jax.inference.export.run_images import open_run_images
from classmix_jax.inference.export.score import Labeling, score_networks
from classmix_jax.inference.export.self_test import find_label


class Scores(NamedTuple):
  """The mIoU of a network in JAX and in exported files.

  Attributes:
    miou: 'JAX' or the name of a file -> mIoU in 0..1.
    images: number of validation images.
    notes: a sentence for each file without a score.
  """

  miou: dict[str, float]
  images: int
  notes: list[str]


def score_files(run: Path, trained: Trained, files: Sequence[Written]) -> Scores:
  """Measures the mIoU of a network as it is trained, and of its files.

  Args:
    run: directory of the run.
    trained: the network.
    files: those of fixed sizes are left out if validation images have other sizes.

  Raises:
    UserError: the images of the run are missing or unreadable.
  """
  val = open_run_images(run).val
  network = jax.jit(training_form(trained))
  networks: dict[str, Labeling] = {'JAX': lambda images: network(images)['label']}
  notes = []
  for file in files:
    if file.check.pixels is None:
      notes.append(f'{file.path.name} has no score: it has neither label nor logits.')
    elif file.sizes and not set(label_sizes(val)) <= set(file.sizes):
      notes.append(
        f'{file.path.name} has no score: validation images have other sizes than '
        f'{", ".join(f"{height}x{width}" for height, width in file.sizes)}.'
      )
    else:
      networks[file.path.name] = open_file(file)
  return Scores(score_networks(networks, val, len(trained.class_names)), len(val), notes)


def open_file(file: Written) -> Labeling:
  """Returns an exported file as a function from images to class ids."""
  call, _ = LOADERS[file.kind](str(file.path))
  return lambda images: find_label(call(images))
