"""Fills the fields that a config leaves open: from the run, or by proposals for the data.

An open field is None. `configs/folder.py` leaves those open that depend on the data.

Synopsis:

    config, lines = complete(config, recorded)
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict

from classmix_jax.config.facts import gather_facts
from classmix_jax.config.load import read_config
from classmix_jax.config.lookup import Config
from classmix_jax.config.propose import describe, propose


def flatten(config: Config) -> dict[str, Any]:
  """Returns the fields of a config by dotted names."""
  return flatten_dict(config.to_dict(), sep='.')


def open_fields(config: Config) -> list[str]:
  """Returns the dotted names of the fields that are None."""
  return [name for name, value in flatten(config).items() if value is None]


def network_of_run(pretrained: str | None) -> dict[str, Any]:
  """Returns the fields of the network of a run to start from; empty if it is no run."""
  run = Path(pretrained or '').expanduser()
  if not pretrained or not (run / 'config.json').is_file():
    return {}
  model = read_config(run)['model']
  return {f'model.{name}': model[name] for name in ('backbone', 'head')}


def complete(config: Config, recorded: Mapping[str, Any] | None) -> tuple[Config, list[str]]:
  """Returns a copy of a config without open fields, and lines on what was chosen.

  Args:
    config: its data fields are not open, except size and crop.
    recorded: config of the run that resumes, whose values are kept; None for a new run.

  Raises:
    UserError: the data is missing or wrong.
  """
  names = open_fields(config)
  if not names:
    return config, []
  config = config.copy_and_resolve_references()
  if recorded is not None:
    known = flatten_dict(dict(recorded), sep='.')
    values = {name: known[name] for name in names}
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
    config.update_from_flattened_dict(values)
    return config, []
  network = network_of_run(config.model.pretrained)
  config.update_from_flattened_dict({k: v for k, v in network.items() if k in names})
  facts = gather_facts(config)
  config.update_from_flattened_dict(propose(flatten(config), facts))
  return config, describe(flatten(config), names, facts)
