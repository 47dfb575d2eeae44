"""Prepares a training run: opens its initial weights and makes its setup.

Synopsis:

    setup, weights = prepare(config, Path('runs/scenes-classmix'))
    run_training(setup, Path('runs/scenes-classmix'), weights)
"""

from pathlib import Path

from classmix_jax.config.check import check_config
from classmix_jax.config.complete import complete
from classmix_jax.config.data import find_unreadable, skips_unreadable
from classmix_jax.config.load import read_config
from classmix_jax.config.lookup import Config
from classmix_jax.config.setup import Setup, make_setup, with_preprocessing
from classmix_jax.data.class_list import format_class_list
from classmix_jax.data.duplicates import find_equal_files
from classmix_jax.data.label_check import check_at_start
from classmix_jax.data.unreadable import UnreadableExamples
from classmix_jax.data.value_check import value_warnings
from classmix_jax.pretrained.hub_name import pin_hub_name
from classmix_jax.pretrained.load import Weights, locate_weights, open_weights
from classmix_jax.training.start import check_class_names
from classmix_jax.workdir import checkpoint_lookup, resume, run_files

MAX_DUPLICATES = 2_000  # images of equal size that are compared; check_data has no limit


def open_initial_weights(pretrained: str, run: Path) -> tuple[Weights | None, str]:
  """Opens the weights that a run starts from.

  Args:
    pretrained: `config.model.pretrained`.
    run: directory of the run.

  Returns:
    The weights, or None if the run starts from scratch or resumes; and the preprocessing that
    they expect, which a resumed run has in its config.json.

  Raises:
    UserError: the weights do not exist, or are unreadable.
  """
  if not pretrained:
    return None, ''
  if checkpoint_lookup.find_newest_step(run / 'checkpoints') is not None:
    return None, read_config(run)['model']['preprocessing']
  origin = run_files.read_pretrained(run)  # of a start that ended before its first checkpoint
  if origin:
    pretrained = pin_hub_name(pretrained, origin['name'], origin['sha256'])
  location = locate_weights(pretrained)
  weights = open_weights(location.path, name=location.name, trained_on=location.trained_on)
  return weights, weights.preprocessing


def choose_left_out(config: Config, run: Path) -> UnreadableExamples | None:
  """Returns the unreadable training examples; a resumed run excludes the same ones as before.

  Returns None if unreadable examples are errors.
  """
  if not skips_unreadable(config):
    return None
  recorded = run_files.read_left_out(run)
  if recorded is None:
    left_out = find_unreadable(config)
  else:
    left_out = UnreadableExamples(recorded['train'], recorded['unlabeled'])
  if left_out:
    reason = left_out.summary or next(iter((left_out.train or left_out.unlabeled).values()))
    path = run / 'left_out.json'
    print(f'warning: unreadable examples are left out: {left_out}, see {path}. {reason}')
  return left_out


def warn_of_data(setup: Setup) -> None:
  """Checks a sample of the masks and images, and prints the classes.

  Raises for masks of wrong values; warns of classes without pixels, and of images that use a small
  part of their range of values or have the same content as others.
  """
  dataset, split = setup.dataset, setup.split
  parts = {'labelled': split.labeled, 'val': dataset.val}
  if split.unlabeled is not None:
    parts = {'labelled': split.labeled, 'unlabelled': split.unlabeled, 'val': dataset.val}
  for warning in (
    *value_warnings(parts.values()),
    *(equal.describe() for equal in find_equal_files(parts, most=MAX_DUPLICATES)),
  ):
    print(f'warning: {warning}')
  check = check_at_start(split.labeled, dataset.val, dataset.class_names)
  print(f'classes, and their share of the pixels in {check.masks} of {len(split.labeled):,} masks:')
  print(format_class_list(dataset.class_names, dataset.palette, check.pixels))
  for warning in check.warnings:
    print(f'warning: {warning}')


def prepare(config: Config, run: Path) -> tuple[Setup, Weights | None]:
  """Opens everything that a training run needs; writes nothing to its directory.

  Args:
    config: see classmix_jax/config/defaults.py.
    run: directory of the run, which may not exist yet.

  Returns:
    The setup, and the weights to start from, None if the run starts from scratch or resumes.

  Raises:
    UserError: a field, the data or the weights are missing or wrong, or the run was started with
      another config or other classes.
  """
  with resume.convert_disk_errors(run):
    recorded = read_config(run) if (run / 'config.json').exists() else None
    config, choices = complete(config, recorded)
    check_config(config)
    weights, preprocessing = open_initial_weights(config.model.pretrained, run)
    config = with_preprocessing(config, preprocessing)
    resume.check_run(run, config.to_dict())  # before data is read, which takes longer
    setup = make_setup(config, choose_left_out(config, run))
    check_class_names(setup, run)
    for note in (*setup.dataset.notes, *setup.split.notes, *choices):
      print(note)
    warn_of_data(setup)
  return setup, weights
