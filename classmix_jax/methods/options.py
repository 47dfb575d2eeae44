"""Declares the hyper-parameters of a method.

Synopsis:

    @dataclasses.dataclass(frozen=True)
    class MyMethod(Supervised):
      mask: str = option('class', choices=MASKS)
      threshold: float = option(0.968, FRACTION, small=0.9)
"""

from collections.abc import Collection
import dataclasses
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.utils.ranges import Range


def option(
  default: Any,
  bounds: Range | None = None,
  *,
  choices: Collection[str] = (),
  small: Any = None,
) -> Any:
  """Returns a dataclass field of a method, `config.method.FIELD` in the config.

  Args:
    default: value in the publication.
    bounds: range of a number, None if there is none.
    choices: values of a string.
    small: value for small networks trained from scratch, None for the default.
  """
  metadata = {'bounds': bounds, 'choices': choices, 'small': small}
  return dataclasses.field(default=default, metadata=metadata)


def check_choices(method: Any) -> None:
  """Raises UserError if a field of a method has a value that is not among its choices."""
  for field in dataclasses.fields(method):
    choices, value = field.metadata.get('choices'), getattr(method, field.name)
    if choices and value not in choices:
      names = ', '.join(choices)
      raise UserError(f'config.method.{field.name} is {value!r}; choose one of {names}.')
