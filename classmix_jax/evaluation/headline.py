"""Chooses the network whose score counts."""

from collections.abc import Mapping
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.methods import network_names


def headline_network(name: str, networks: Mapping[str, Any]) -> str:
  """Returns the name of the network whose score counts, 'student' if a method has no other.

  Raises:
    UserError: no method has a network of this name.
  """
  names = network_names()
  if name not in names:
    raise UserError(f'config.eval_network is {name!r}; known are {", ".join(names)}.')
  return name if name in networks else 'student'
