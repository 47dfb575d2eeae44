"""Restores a training run and evaluates it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import ml_collections

from classmix_jax.config.data import build_validation
from classmix_jax.config.load import read_config
from classmix_jax.config.lookup import Config
from classmix_jax.config.model import build_evaluator, build_model, build_protocol
from classmix_jax.data.splits import split_hash
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Evaluator, headline_network
from classmix_jax.evaluation.protocols import PROTOCOLS, slug
from classmix_jax.evaluation.summary import conclude
from classmix_jax.inference.restore import load_networks
from classmix_jax.workdir import run_files


def other_protocol(config: Config, fields: Mapping[str, Any]) -> bool:
  """Writes `fields` into `config.eval`; returns whether that changes the protocol.

  Raises:
    UserError: fields that the protocol does not read, or that make no sense.
  """
  own = build_protocol(config)
  config.eval = ml_collections.ConfigDict({**config.get('eval', {}), **fields})
  asked = build_protocol(config)
  for name, entry in PROTOCOLS.items():
    for field in entry.fields:
      if field in fields and name != asked.name:
        raise UserError(
          f'--{field} belongs to --protocol={name}, but the protocol is {asked.name}: leave it '
          'out, or change the protocol.'
        )
  return asked != own


def open_evaluator(config: Config, run: Path) -> Evaluator:
  """Opens the validation set of a run from its folder, with this config.

  Raises:
    UserError: the data is not there.
  """
  dataset = build_validation(config)
  labeled = run_files.read_split(run, 'labeled')
  return build_evaluator(
    config,
    dataset,
    build_model(config, len(dataset.class_names)),
    jax.local_devices(),
    (split_hash(labeled), len(labeled)),
  )


def evaluate_run(
  run: Path,
  *,
  step: str,
  network: str,
  root: str,
  eval_batch_size: int = 0,
  protocol: Mapping[str, Any] | None = None,
  write_predictions: str = '',
) -> dict[str, Any]:
  """Restores a run and evaluates it; the program launch/evaluate.py.

  Args:
    run: the run's folder.
    step: 'latest', 'best' or a step.
    network: the headline network; '' is the config's.
    root: folder of the data set; '' is the config's.
    eval_batch_size: images at once; 0 is the config's.
    protocol: fields of `config.eval` to change. The result of another protocol
      than the run's own is written beside it, not over it.
    write_predictions: folder for the headline network's predictions; '' is none.

  Raises:
    UserError: one sentence about what the user can mend.
  """
  config = ml_collections.ConfigDict(read_config(run))
  config.eval_network = network or config.eval_network
  config.data.root = root or config.data.root
  config.eval_batch_size = eval_batch_size or config.eval_batch_size
  headline_network(config.eval_network, ())
  other = other_protocol(config, protocol or {})
  found, networks = load_networks(run, step)
  evaluator = open_evaluator(config, run)
  result = evaluator(found, networks)
  name = slug(evaluator.description) if other else ''
  run_files.write_evaluation(run, result, name)
  conclude(run, result, evaluator, networks, name)
  if write_predictions:
    folder = Path(write_predictions).expanduser()
    evaluator.write_predictions(networks[result['network']], folder)
    print(f'wrote {result["images"]} predictions of the {result["network"]} to {folder}')
  return result
