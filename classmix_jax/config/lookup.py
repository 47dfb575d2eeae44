"""Looks up names in the tables of the package."""

from collections.abc import Collection, Mapping
import difflib
from typing import Any

import ml_collections

from classmix_jax.errors import UserError


def lookup(table: Mapping[str, Any], name: str, field: str) -> Any:
  """Returns `table[name]`; a wrong name is answered with the nearest known one.

  Raises:
    UserError: no such name.
  """
  if name in table:
    return table[name]
  near = difflib.get_close_matches(str(name), table, n=1)
  hint = f"Did you mean '{near[0]}'? " if near else ''
  raise UserError(f'{field} is {name!r}. {hint}Known are {", ".join(table)}.')


def plain_fields(
  config: ml_collections.ConfigDict, name: str, known: Collection[str]
) -> dict[str, Any]:
  """Returns a part of the config, its lists as tuples: JSON has no tuples.

  It is empty where a run is older than that part.

  Raises:
    UserError: a field that is not known.
  """
  for field in config.get(name, {}):
    lookup(dict.fromkeys(known), field, f'A field of config.{name}')
  return {
    key: tuple(value) if isinstance(value, tuple | list) else value
    for key, value in config.get(name, {}).items()
  }


Config = ml_collections.ConfigDict


Config = ml_collections.ConfigDict
