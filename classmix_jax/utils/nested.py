"""Nested dicts."""

from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Flattens nested dicts to dotted names.

  Example:
    >>> flatten({'a': {'b': 1}, 'c': 2})
    {'a.b': 1, 'c': 2}
  """
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat.update(flatten(value, f'{prefix}{key}.'))
    else:
      flat[prefix + key] = value
  return flat
