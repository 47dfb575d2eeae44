"""Plain forms of operations, for programs that other libraries read.

Synopsis:

    with plain_operations():
      logits = model.apply(variables, image, train=False)

Networks compute convolutions, attention and resizing in ways that are fast where they are trained:
as matrix products, by platform, with gradients of their own. Other libraries know the operations by
their names. In the context, functions traced have the plain form: the same results, slower here.
"""

from collections.abc import Callable, Iterator
import contextlib
import contextvars
import functools
from typing import Any

import jax

from classmix_jax.types import Array

_plain = contextvars.ContextVar('plain', default=False)
_by_platform = contextvars.ContextVar('by_platform', default=True)


@contextlib.contextmanager
def plain_operations(*, by_platform: bool = False) -> Iterator[None]:
  """Makes functions that are traced in the context use the plain forms.

  Args:
    by_platform: whether the program may select an operation by platform, as StableHLO can.
  """
  plain, selects = _plain.set(True), _by_platform.set(by_platform)
  try:
    yield
  finally:
    _plain.reset(plain)
    _by_platform.reset(selects)


def is_plain() -> bool:
  """Returns whether functions use the plain forms."""
  return _plain.get()


def selects_by_platform() -> bool:
  """Returns whether functions may select an operation by platform."""
  return _by_platform.get()


def with_plain_form(plain: Callable[..., Array]) -> Callable[[Callable], Callable[..., Array]]:
  """Decorates a function to be replaced by its plain form in `plain_operations`."""

  def decorate(fast: Callable[..., Array]) -> Callable[..., Array]:
    @functools.wraps(fast)
    def compute(*args: Any, **options: Any) -> Array:
      return (plain if is_plain() else fast)(*args, **options)

    return compute

  return decorate


def as_operation(name: str, function: Callable[..., Array]) -> Callable[..., Array]:
  """Makes a function of arrays a jitted function with a name, by which programs call it.

  In the program of JAX it is one equation, which another library may replace by an operation of its
  own. Outside of `plain_operations` the function is returned as it is.
  """
  if not is_plain():
    return function

  def call(*arrays: Array) -> Array:
    return function(*arrays)

  call.__name__ = name
  return jax.jit(call)
