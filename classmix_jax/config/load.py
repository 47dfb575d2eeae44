"""Reads the config of a training run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flax.traverse_util import flatten_dict

from classmix_jax.config.bounds import check_ranges
from classmix_jax.config.defaults import get_config
from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS
from classmix_jax.workdir.run_files import read_object

# Types that JSON changes; others stay.
JSON_TYPES: dict[type, type | tuple[type, ...]] = {tuple: list, float: (int, float)}


def names_of(tree: Mapping[str, Any]) -> list[str]:
  """Returns the names of all fields of nested dicts.

  Example:
    >>> names_of({'a': {'b': 1}, 'c': 2})
    ['a', 'b', 'c']
  """
  names = []
  for key, value in tree.items():
    names.append(key)
    names.extend(names_of(value) if isinstance(value, Mapping) else ())
  return names


def expected_fields(method: str) -> dict[str, type | tuple[type, ...]]:
  """Returns dotted name -> type in JSON, of every field that a run of this method has.

  Example: `expected_fields('classmix')['data.crop']` is `list`.
  """
  values = get_config(f'method={method}').to_dict()
  parts: dict[str, type | tuple[type, ...]] = {
    str(name): dict for name, value in values.items() if isinstance(value, dict)
  }
  del values['paper']  # its fields are whatever the publication reports
  leaves: dict[str, Any] = flatten_dict(values, sep='.')
  fields = {name: JSON_TYPES.get(type(leaf), type(leaf)) for name, leaf in leaves.items()}
  return {**parts, **fields}


def check_names(values: Mapping[str, Any]) -> None:
  """Raises UserError if a name is empty or has a dot: it would not be the name of a field."""
  for name in names_of(values):
    if not name or '.' in name:
      raise UserError(f'{name!r} is no name of a field; restore the file.')


def read_config(run: Path) -> dict[str, Any]:
  """Returns the config that a training run was started with, as nested plain dicts.

  Raises:
    UserError: the file is missing or damaged. A field that is missing, has another type or is out
      of range is damage.
  """
  path = run / 'config.json'
  method = read_object(path, {'method.name': str})['method']['name']
  if method not in METHODS:
    raise UserError(f'{path} is damaged: method.name is {method!r}; restore the file.')
  values = read_object(path, expected_fields(method))
  try:
    check_names(values)
    check_ranges(flatten_dict(values, sep='.'))
  except UserError as error:
    raise UserError(f'{path} is damaged: {error}') from None
  return values
