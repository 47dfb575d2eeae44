"""Restores a training run and evaluates it."""

from collections.abc import Mapping
import hashlib
import os
from pathlib import Path
import re
from typing import Any

import jax

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import (
  evaluation_setup,
  open_validation,
  override,
  trained_setup,
)
from classmix_jax.data.class_files.text import MISSING
from classmix_jax.data.match_classes import match_classes
from classmix_jax.data.source import Dataset, Source
from classmix_jax.data.splits import split_hash
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.evaluation.headline import RULE, network_scores, place_score
from classmix_jax.evaluation.protocols import PROTOCOLS, slug
from classmix_jax.evaluation.summary import conclude
from classmix_jax.inference.restore import load_networks
from classmix_jax.workdir import run_files
from classmix_jax.workdir.image_changes import has_training_images
from classmix_jax.workdir.image_record import differ, digest_values, read_record, same_images

Values = Mapping[str, Any]  # a run's config as nested plain dicts
CLASSES = 'classes.json'  # of a run, a class file, too
# Fields of a directory of one's own images that set all images with a mask aside.
WHOLE = {'data.val_share': 1.0, 'data.val': '', 'data.labeled': ''}


def check_protocol_flags(fields: Values, protocol: str) -> None:
  """Raises UserError if a field of `config.eval` belongs to a protocol other than this one."""
  for name, entry in PROTOCOLS.items():
    for field in entry.fields:
      if field in fields and name != protocol:
        raise UserError(
          f'--{field} belongs to --protocol={name}, but the protocol is {protocol}: leave it '
          'out, or change the protocol.'
        )


def override_protocol(values: Values, fields: Values) -> tuple[dict[str, Any], bool]:
  """Replaces fields of `config.eval`.

  Returns:
    The values with these fields, and whether they change the protocol.

  Raises:
    UserError: a field does not exist, does not belong to the protocol, or does not fit.
  """
  before = evaluation_setup(values).protocol
  values = override(values, {f'eval.{name}': value for name, value in fields.items()})
  after = evaluation_setup(values).protocol
  check_protocol_flags(fields, after.name)
  return values, after != before


def name_own_flags(sentence: str, run: Path) -> str:
  """Returns a sentence with the flags of this program instead of a training's.

  Example:
    >>> name_own_flags('Set --config.data.root=DIR.', Path('RUN'))
    'Set --root=DIR.'
  """
  sentence = re.sub(r'(--)?config\.data\.root', '--root', sentence)
  if 'config.data.' in sentence:
    sentence += f' (config.data is that of {run}/config.json; its fields are flags of a training.)'
  return sentence


def open_with_classes(values: Values, run: Path) -> Dataset:
  """Opens a validation set, with the classes of the run if its directory has no class file.

  Raises:
    UserError: the data is missing, or the masks of the run had other values than class ids.
  """
  try:
    return open_validation(values)
  except UserError as error:
    record = read_record(run)
    if error.kind != MISSING or record is None:
      raise
    dataset = open_validation(override(values, {'data.classes': str(run.absolute() / CLASSES)}))
    if differ(record.values, digest_values(dataset.val)):
      raise UserError(
        f'{values["data"]["root"]} has no class file, and the masks of {run} have other values '
        f'than class ids: copy the class file of {record.root} there.'
      ) from None
    return dataset


def open_data(values: Values, run: Path, *, other_root: bool) -> Dataset:
  """Opens the validation set of a run, or of another directory, with the classes of the run.

  In a directory without images that the run was trained on, all images with a mask are evaluated
  if none of them are for validation. Arguments and errors are those of `open_evaluator`.
  """
  try:
    dataset = None
    if other_root and 'val_share' in values['data']:
      dataset = open_with_classes(override(values, WHOLE), run)
      record = read_record(run)
      if record is None or has_training_images(record, dataset.val):
        dataset = None
    dataset = dataset or open_with_classes(values, run)
  except UserError as error:
    raise UserError(name_own_flags(str(error), run)) from None
  for note in dataset.notes:
    print(note)
  names, palette = run_files.read_classes(run)
  return match_classes(dataset, names, palette, str(run))


def open_evaluator(values: Values, run: Path, *, other_root: bool = False) -> Evaluator:
  """Opens the validation set of a run for its evaluator.

  Args:
    values: the config of the run, see `read_config`; some fields may be overridden.
    run: directory of the run.
    other_root: whether `data.root` may be a directory of other images.

  Raises:
    UserError: the data is missing, or has classes that the run does not have.
  """
  dataset = open_data(values, run, other_root=other_root)
  labeled = run_files.read_split(run, 'labeled')
  method, evaluation = trained_setup(values, len(dataset.class_names))
  return Evaluator(
    dataset,
    method.model,
    jax.local_devices(),
    (split_hash(labeled), len(labeled)),
    method.confidence_threshold,
    **evaluation._asdict(),
  )


def name_data(root: str) -> str:
  """Returns a name for results on the images in a directory, without spaces.

  Example: of /data/test it is `test-5f2c91`, whose digits are a digest of the whole path.
  """
  path = Path(os.path.abspath(os.path.expanduser(root)))
  digest = hashlib.sha256(str(path).encode()).hexdigest()[:6]
  return f'{slug(path.name.lower()) or "data"}-{digest}'


def has_own_images(run: Path, val: Source) -> bool:
  """Returns whether images are those that the run evaluates, as far as it has recorded them."""
  record = read_record(run)
  return record is None or same_images(record.val, val)


def evaluate_run(
  run: Path,
  *,
  step: str,
  network: str,
  root: str,
  eval_batch_size: int = 0,
  protocol: Values | None = None,
  write_predictions: str = '',
) -> dict[str, Any]:
  """Restores a run and evaluates it; the program launch/evaluate.py.

  Args:
    run: directory of the run.
    step: 'latest', 'best' or a step.
    network: the headline network; '' takes the config's.
    root: directory of the data set; '' takes the config's. The result on other images than the
      run's own is written to a file that has the name of the directory.
    eval_batch_size: images at once; 0 takes the config's.
    protocol: fields of `config.eval` to replace. The result of another protocol than the run's
      is written to a file of its own.
    write_predictions: directory for the headline network's predictions; '' writes none.

  Returns:
    The result, see `Evaluator`.

  Raises:
    UserError: the run, its data, a flag or a checkpoint is missing or wrong.
  """
  replaced = {'eval_network': network, 'data.root': root, 'eval_batch_size': eval_batch_size}
  values = override(read_config(run), {name: x for name, x in replaced.items() if x})
  values, other_protocol = override_protocol(values, protocol or {})
  restored_step, networks = load_networks(run, step)
  evaluator = open_evaluator(values, run, other_root=bool(root))
  own = has_own_images(run, evaluator.dataset.val)
  if not own and not root:
    print('warning: the validation images have changed since the training')
  result = evaluator(restored_step, networks)
  parts = [slug(evaluator.description)] if other_protocol else []
  if root and not own:
    result['root'] = os.path.abspath(os.path.expanduser(root))
    parts.insert(0, name_data(root))
  name = '-'.join(parts)
  results = {**run_files.read_results(run), **({} if name else {restored_step: result})}
  scores = network_scores(results, result['network'])
  result |= place_score(scores, values['steps'], '--network' if network else RULE)
  run_files.write_evaluation(run, result, name)
  conclude(run, result, evaluator, networks, name)
  if write_predictions:
    directory = Path(write_predictions).expanduser()
    evaluator.write_predictions(networks[result['network']], directory)
    print(f'wrote {result["images"]} predictions of the {result["network"]} to {directory}')
  return result
