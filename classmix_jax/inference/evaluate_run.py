"""Restores a training run and evaluates it."""

from pathlib import Path
from typing import Any

import jax

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import evaluation_setup, override, trained_setup
from classmix_jax.data.source import Dataset
from classmix_jax.data.splits import split_hash
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.evaluation.headline import (
  RULE,
  headline_network,
  network_scores,
  place_score,
)
from classmix_jax.evaluation.protocols import PROTOCOLS, slug
from classmix_jax.evaluation.summary import conclude, without_classes
from classmix_jax.inference.data_flags import RUNS_OWN, DataFlags, own_flags
from classmix_jax.inference.data_parts import Values
from classmix_jax.inference.evaluated_data import EvaluatedData, open_data
from classmix_jax.inference.restore import load_networks
from classmix_jax.workdir import run_files
from classmix_jax.workdir.checkpoint_lookup import describe_step


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


def open_evaluator(values: Values, run: Path) -> Evaluator:
  """Opens the validation set of a run for its evaluator.

  Args:
    values: the config of the run, see `read_config`; some fields may be overridden.
    run: directory of the run.

  Raises:
    UserError: the data is missing, or has no class of the run.
  """
  return make_evaluator(values, run, open_data(values, run).dataset)


def make_evaluator(values: Values, run: Path, dataset: Dataset) -> Evaluator:
  """Returns what evaluates the networks of a run on the `val` of a data set."""
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


def evaluate_run(
  run: Path,
  *,
  step: str,
  network: str,
  data: DataFlags = RUNS_OWN,
  eval_batch_size: int = 0,
  protocol: Values | None = None,
  write_predictions: str = '',
) -> dict[str, Any]:
  """Restores a run and evaluates it; the program launch/evaluate.py.

  Args:
    run: directory of the run.
    step: 'latest', 'best' or a step.
    network: the headline network; '' takes the config's. The result of another one is written to
      a file of its own.
    data: other images than the run's own for validation. Their result is written to files that
      have the name of the set, and lists where the images are.
    eval_batch_size: images at once; 0 takes the config's.
    protocol: fields of `config.eval` to replace. The result of another protocol than the run's
      is written to a file of its own.
    write_predictions: directory for the headline network's predictions; '' writes none.

  Returns:
    The result, see `Evaluator`.

  Raises:
    UserError: the run, its data, a flag or a checkpoint is missing or wrong.
  """
  replaced = {'eval_network': network, 'eval_batch_size': eval_batch_size}
  recorded = read_config(run)
  values = override(recorded, {name: x for name, x in replaced.items() if x})
  other_network = network if network != recorded['eval_network'] else ''
  with own_flags(run):
    values, other_protocol = override_protocol(values, protocol or {})
    evaluated = open_data(values, run, data)
    restored_step, networks = load_networks(run, step)
    evaluator = make_evaluator(values, run, evaluated.dataset)
    announce(run, restored_step, evaluated, evaluator, networks)
    result = evaluator(restored_step, networks)
  check_pixels(result, evaluated)
  if evaluated.name:
    result = without_classes(result, evaluated.match.absent) | {'set': evaluated.record}
  parts = [evaluated.name, slug(evaluator.description) if other_protocol else '', other_network]
  name = '-'.join(filter(None, parts))
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


def announce(
  run: Path, step: int, data: EvaluatedData, evaluator: Evaluator, networks: Values
) -> None:
  """Prints the step, the headline network, the protocol and the images of an evaluation."""
  print(
    f'run: {run}, {describe_step(run, step)}, headline of the '
    f'{headline_network(evaluator.headline, networks)}, protocol {evaluator.description}'
  )
  print(*data.lines, sep='\n', flush=True)


def check_pixels(result: Values, data: EvaluatedData) -> None:
  """Raises UserError if all pixels are void."""
  if result['pixels']:
    return
  names = ', '.join(data.dataset.class_names)
  raise UserError(
    f'all pixels of the masks of {result["images"]} images are void: no pixel is of the classes '
    f'{names}; look at the masks, and map their values by --label_map or --colors.'
  )
