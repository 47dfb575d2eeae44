"""Writes report.html, at the end of a training run and for launch/report.py."""

from collections.abc import Mapping, Sequence
import contextlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from classmix_jax.config.trained import open_training_data, override
from classmix_jax.data.source import Source, subset
from classmix_jax.data.unreadable import NONE_UNREADABLE, UnreadableExamples
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.inference.evaluate_run import open_evaluator
from classmix_jax.inference.restore import load_networks
from classmix_jax.tools.report.compare import check_classes, short_names, warnings
from classmix_jax.tools.report.gallery import (
  NO_GALLERY,
  Frequencies,
  Gallery,
  class_frequencies,
  gallery,
)
from classmix_jax.tools.report.page import page
from classmix_jax.tools.report.runs import Run, read_run
from classmix_jax.types import PyTree
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.workdir import run_files
from classmix_jax.workdir.checkpoint_lookup import list_steps

# Pages leave the machine, so its paths are printed to the terminal only.
NO_IMAGES = (
  'No validation images: the data or the checkpoint of {} could not be read. python '
  'launch/report.py --workdir=RUN --root=DIR adds them if the data has moved.'
)


def report_training(
  directory: Path, evaluator: Evaluator, networks: Mapping[str, PyTree], labeled: Source
) -> None:
  """Writes the report of a training run at its end, from objects in memory.

  Args:
    directory: directory of the run.
    evaluator: of the run.
    networks: name -> variables.
    labeled: the labelled images.
  """
  run = read_run(directory)
  sources = {'labelled': labeled, 'validation': evaluator.dataset.val}
  classes = class_frequencies(sources, run.class_names)
  views = gallery(evaluator, networks[run.result['network']])
  write(directory / 'report.html', [run], [views], classes)


def report_runs(directories: Sequence[Path], output: Path | None = None, root: str = '') -> Path:
  """Writes the report of the first run, with the others beside it.

  If the data or a checkpoint cannot be read, the page has a note in place of the images.

  Args:
    directories: directories of the runs.
    output: the file; None is report.html in the first directory, or compare.html for several runs.
    root: root of the data; '' is the configs' own `data.root`.

  Returns:
    the path of the page.

  Raises:
    UserError: a directory holds no evaluated run, or the runs do not compare.
  """
  runs = [read_run(*named) for named in zip(directories, short_names(directories), strict=True)]
  check_classes(runs)
  for sentence in warnings(runs):
    print(f'warning: {sentence}')
  galleries: list[Gallery] = []
  classes, notes = None, []
  for run in runs:
    names = [view.seen.name for view in galleries[0].views] if galleries else None
    try:
      galleries.append(run_gallery(run, root, names))
    except UserError as error:
      print(f'no validation images of {run.name}: {error}')
      galleries.append(NO_GALLERY)
      notes.append(NO_IMAGES.format(run.name))
  with contextlib.suppress(UserError):  # it is printed above
    classes = frequencies_of_run(runs[0], root)
  output = output or directories[0] / ('report.html' if len(directories) == 1 else 'compare.html')
  write(output, runs, galleries, classes, notes)
  return output


def values_of(run: Run, root: str) -> dict[str, Any]:
  """Returns the config of a run, with another `data.root` unless `root` is ''."""
  return override(run.config, {'data.root': root} if root else {})


def run_gallery(run: Run, root: str, names: Sequence[str] | None) -> Gallery:
  """Predicts validation images with the network whose numbers the page shows, see `gallery`.

  Raises:
    UserError: the data or the checkpoint of these numbers is missing.
  """
  evaluator = open_evaluator(values_of(run, root), run.path)
  step = run.result['step']
  if step not in list_steps(run.path / 'checkpoints'):
    raise UserError(
      f'{run.path} has no checkpoint of step {step}, whose scores the page shows; python '
      f'launch/evaluate.py --workdir={run.path} scores the newest one.'
    )
  _, networks = load_networks(run.path, str(step))
  return gallery(evaluator, networks[run.result['network']], names)


def frequencies_of_run(run: Run, root: str) -> Frequencies:
  """Opens the data of a run and counts its classes, see `gallery.class_frequencies`."""
  recorded = run_files.read_left_out(run.path)
  unreadable = (
    UnreadableExamples(recorded['train'], recorded['unlabeled']) if recorded else NONE_UNREADABLE
  )
  dataset = open_training_data(values_of(run, root), unreadable)
  position = {name: index for index, name in enumerate(dataset.train.names)}
  labeled = [
    position[name] for name in run_files.read_split(run.path, 'labeled') if name in position
  ]
  return class_frequencies(
    {'labelled': subset(dataset.train, np.array(labeled, int)), 'validation': dataset.val},
    run.class_names,
  )


def write(
  path: Path,
  runs: Sequence[Run],
  galleries: Sequence[Gallery],
  classes: Frequencies | None,
  notes: Sequence[str] = (),
) -> None:
  """Writes the page, in the first of several processes only."""
  if jax.process_index() == 0:
    write_atomically(path, page(runs, galleries, classes, notes))
    print(f'wrote {path}', flush=True)
