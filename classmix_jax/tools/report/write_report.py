"""Writes report.html: at the end of a training, and whenever launch/report.py is asked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from classmix_jax.config.trained import open_training_data, override
from classmix_jax.data.source import Source, subset
from classmix_jax.data.unreadable import NOTHING, LeftOut
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Evaluator, headline_network
from classmix_jax.inference.evaluate_run import open_evaluator
from classmix_jax.inference.restore import load_networks
from classmix_jax.tools.report.gallery import View, frequencies, gallery
from classmix_jax.tools.report.page import Frequencies, page
from classmix_jax.tools.report.runs import Run, check_comparable, read_run, short_names
from classmix_jax.types import PyTree
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.workdir import layout

# A page is passed on: what stands where on this machine is said in the terminal only.
MISSING = (
  'No pictures of validation images: the data was not there. python launch/report.py '
  '--workdir=RUN --root=DIR says where it is.'
)


def report_training(
  folder: Path, evaluator: Evaluator, networks: Mapping[str, PyTree], labeled: Source
) -> None:
  """Writes the report of a training that has just ended, with what it has in memory.

  Args:
    folder: of the run.
    evaluator: of the run.
    networks: name -> variables.
    labeled: the labelled images.
  """
  run = read_run(folder)
  names = run.class_names
  network = headline_network(evaluator.headline, networks)
  classes = frequencies({'labelled': labeled, 'validation': evaluator.dataset.val}, names)
  write(folder / 'report.html', [run], [gallery(evaluator, networks[network])], classes)


def report_runs(folders: Sequence[Path], output: Path | None = None, root: str = '') -> Path:
  """Writes the report of the first run, others beside it; launch/report.py.

  Where the data cannot be read the page says so and goes without pictures.

  Args:
    folders: of the runs.
    output: the file; None is report.html in the first folder, or compare.html for several.
    root: where the data is now; '' is the configs' own `data.root`.

  Returns:
    the file that was written.

  Raises:
    UserError: a folder that is no evaluated run, or runs that do not compare.
  """
  runs = [read_run(*named) for named in zip(folders, short_names(folders), strict=True)]
  check_comparable(runs)
  galleries, classes, note = [], None, ''
  try:
    for run in runs:
      shown = [view.seen.name for view in galleries[0]] if galleries else None
      galleries.append(best_gallery(run, root, shown))
    classes = class_frequencies(runs[0], root)
  except UserError as error:
    print(f'no pictures of validation images: {error}')
    galleries, note = [], MISSING
  output = output or folders[0] / ('report.html' if len(folders) == 1 else 'compare.html')
  write(output, runs, galleries, classes, note)
  return output


def values_of(run: Run, root: str) -> dict[str, Any]:
  """Returns the config of a run, with another directory of the data set unless `root` is ''."""
  return override(run.config, {'data.root': root} if root else {})


def best_gallery(run: Run, root: str, names: Sequence[str] | None) -> list[View]:
  """Looks at validation images with the best checkpoint of a run, see `gallery`."""
  evaluator = open_evaluator(values_of(run, root), run.path)
  _, networks = load_networks(run.path, 'best')
  name = headline_network(evaluator.headline, networks)
  return gallery(evaluator, networks[name], names)


def class_frequencies(run: Run, root: str) -> Frequencies:
  left_out = LeftOut(**(layout.read_left_out(run.path) or NOTHING._asdict()))
  dataset = open_training_data(values_of(run, root), left_out)
  position = {name: index for index, name in enumerate(dataset.train.names)}
  labeled = [position[name] for name in layout.read_split(run.path, 'labeled') if name in position]
  return frequencies(
    {'labelled': subset(dataset.train, np.array(labeled, int)), 'validation': dataset.val},
    run.class_names,
  )


def write(
  path: Path,
  runs: Sequence[Run],
  galleries: Sequence[Sequence[View]],
  classes: Frequencies | None,
  note: str = '',
) -> None:
  """Writes the page; only the first of several processes does."""
  if jax.process_index() == 0:
    write_atomically(path, page(runs, galleries, classes, note))
    print(f'wrote {path}', flush=True)
