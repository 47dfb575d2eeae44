"""Looks up names in the tables of the package."""

from collections.abc import Collection, Mapping
import difflib
from typing import Any, TypeAlias

import ml_collections

from classmix_jax.errors import UserError

Config: TypeAlias = ml_collections.ConfigDict


def lookup(table: Mapping[str, Any], name: str, field: str) -> Any:
  """Returns `table[name]`.

  Raises:
    UserError: the name is unknown; the sentence names the closest one.
  """
  if name in table:
    return table[name]
  near = difflib.get_close_matches(str(name), table, n=1)
  hint = f"Did you mean '{near[0]}'? " if near else ''
  raise UserError(f'{field} is {name!r}. {hint}Known are {", ".join(table)}.')


def plain_fields(config: Config, name: str, known: Collection[str]) -> dict[str, Any]:
  """Returns a part of the config as keyword arguments; lists become tuples, which JSON lacks.

  Raises:
    UserError: a field is not known.
  """
  for field in config[name]:
    lookup(dict.fromkeys(known), field, f'A field of config.{name}')
  return {
    key: tuple(value) if isinstance(value, tuple | list) else value
    for key, value in config[name].items()
  }
