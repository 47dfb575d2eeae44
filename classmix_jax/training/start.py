"""Checks a start before anything is written, then writes what the run is.

Synopsis:

    record = check_start(setup, run, weights, create)     # raises, or prints what changed
    write_start(setup, run, record, origin)
"""

from collections.abc import Mapping
from pathlib import Path
import sys
from typing import Any

from classmix_jax.config.setup import Setup
from classmix_jax.pretrained.load import Weights
from classmix_jax.training.create_state import CreateState
from classmix_jax.training.initial_state import check_fits
from classmix_jax.utils.versions import list_versions
from classmix_jax.workdir import resume, run_files
from classmix_jax.workdir.image_record import (
  ImageRecord,
  read_record,
  record_images,
  write_record,
)
from classmix_jax.workdir.run_identity import check_classes, check_images, describe_palette


def name_class_file(values: Mapping[str, Any]) -> str:
  """Returns the class file of a config, or its data set if there is none, for messages."""
  data = values['data']
  path = Path(data['root']).expanduser() / (data.get('classes') or 'classes.txt')
  if path.is_file():
    return str(path)
  return f'the data set in {data["root"]}' if data['root'] else f'the data set {data["name"]}'


def check_class_names(setup: Setup, run: Path) -> None:
  """Raises UserError if a run was trained with other classes."""
  check_classes(run, setup.dataset.class_names, name_class_file(setup.values))


def suggest_splits(setup: Setup, run: Path, before: ImageRecord | None) -> dict[str, str]:
  """Returns role -> the flag that keeps its images, for roles whose images are all there."""
  if before is None:
    return {}
  train, val = set(setup.dataset.train.names), set(setup.dataset.val.names)
  remedies = {}
  if before.labeled.keys() <= train:
    remedies['labeled'] = f'--config.data.labeled={run}/splits/labeled.txt'
  if 'val' in setup.values['data'] and before.val.keys() <= train | val:
    remedies['val'] = f'--config.data.val={run}/splits/val.txt'
  return remedies


def check_start(
  setup: Setup, run: Path, weights: Weights | None, create: CreateState
) -> ImageRecord:
  """Checks that a run may start or resume, and prints what changed; writes nothing.

  Args:
    setup: see `prepare`.
    run: directory of the run.
    weights: to start from, or None.
    create: see `initial_state.setup_creator`.

  Returns:
    The images of this start.

  Raises:
    UserError: config, classes, images or network differ from those of the run, or the weights do
      not fit the network.
  """
  resume.check_run(run, setup.values)
  check_class_names(setup, run)
  split, before = setup.split, read_record(run)
  assert split.unlabeled is not None
  root = setup.values['data']['root']
  record = record_images(root, split.labeled, split.unlabeled, setup.dataset.val, before)
  lines = check_images(run, record, suggest_splits(setup, run, before))
  check_fits(setup, run, weights, create)
  for line in filter(None, [describe_palette(run, setup.dataset), *lines]):
    print(line)
  return record


def write_start(setup: Setup, run: Path, record: ImageRecord, origin: Mapping[str, Any]) -> None:
  """Writes config, classes, images, split and the origin of the weights, in process 0 only."""
  resume.open_run(run, setup.values)
  run_files.write_classes(run, setup.dataset)
  write_record(run, record)
  if setup.left_out is not None:
    left_out = {'train': setup.left_out.train, 'unlabeled': setup.left_out.unlabeled}
    run_files.write_left_out(run, left_out)
  if origin:
    run_files.write_pretrained(run, origin)
  run_files.write_started(run, sys.argv[1:], list_versions())
  split, val = setup.split, setup.dataset.val
  assert split.unlabeled is not None
  run_files.write_split(run, split.labeled.names, split.unlabeled.names, val.names)
