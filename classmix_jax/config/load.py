"""Reads the config of a training run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classmix_jax.config.bounds import check_ranges
from classmix_jax.errors import UserError
from classmix_jax.utils.nested import flatten
from classmix_jax.workdir.run_files import read_object

CONFIG_FIELDS = {  # without which no run can be opened
  'name': str,
  'seed': int,
  'steps': int,
  'eval_network': str,
  'eval_batch_size': int,
  'method.name': str,
  'model.backbone': str,
  'model.head': str,
  'model.bn': str,
  'model.dtype': str,
  'data.name': str,
  'data.root': str,
  'data.size': list,
  'data.crop': list,
}


def names_of(tree: Mapping[str, Any]) -> list[str]:
  """Returns the names of all fields of nested dicts.

  Example:
    >>> names_of({'a': {'b': 1}, 'c': 2})
    ['a', 'b', 'c']
  """
  return [
    name
    for key, value in tree.items()
    for name in [key, *(names_of(value) if isinstance(value, Mapping) else ())]
  ]


def read_config(run: Path) -> dict[str, Any]:
  """Returns the config that a run was started with, as nested plain dicts.

  Raises:
    UserError: it is missing or damaged; numbers out of range count as damage.
  """
  path = run / 'config.json'
  config = read_object(path, CONFIG_FIELDS)
  odd = [name for name in names_of(config) if not name or '.' in name]
  if odd:
    raise UserError(f'{path} is damaged: {odd[0]!r} is no name of a field; restore the file.')
  for part in ('eval', 'labeled_loss', 'optim'):  # which older runs do not have
    if not isinstance(config.get(part, {}), dict):
      raise UserError(f'{path} is damaged: {part} is {config[part]!r}; restore the file.')
  try:
    check_ranges(flatten(config))
  except UserError as error:
    raise UserError(f'{path} is damaged: {error}') from None
  return config
