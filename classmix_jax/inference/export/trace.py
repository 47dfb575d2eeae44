"""Writes a function of JAX with the operations of another library, one after another.

Synopsis:

    program = trace(network, sizes='b, h, w')       # or '1, 360, 480'
    outputs = lower(program, [images], backend)     # backend.operations['add'](equation, x, y), ...

JAX's program of a function, its jaxpr, consists of *equations*: a primitive with parameters, its
inputs and outputs. Calls of other programs are replaced by their equations, except for functions
that the library has as a whole (`backend.functions`, such as a bilinear resize). What depends on
constants only is computed here.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
from jax import export as jax_export
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.plain import plain_operations
from classmix_jax.types import Array

# Parameters of primitives that call another program.
CALLS = ('jaxpr', 'call_jaxpr', 'fun_jaxpr')

# Constants with more elements are not computed here, unless they are no larger than their inputs.
MAX_FOLDED = 2**20

# Operations on elements with the same index, whose inputs need not be broadcast before.
ELEMENTWISE = frozenset((
  'abs', 'add', 'and', 'clamp', 'convert_element_type', 'copy', 'cos', 'div', 'eq', 'erf', 'erfc',
  'exp', 'floor', 'ge', 'gt', 'integer_pow', 'is_finite', 'le', 'log', 'logistic', 'lt', 'max',
  'min', 'mul', 'ne', 'neg', 'not', 'or', 'pow', 'rem', 'round', 'rsqrt', 'select_n', 'sign', 'sin',
  'sqrt', 'square', 'stop_gradient', 'sub', 'tanh', 'xor',
))  # fmt: skip


class Program(NamedTuple):
  """A function of images `[b, h, w, 3]` uint8, traced.

  Attributes:
    jaxpr: its equations.
    names: of its outputs.
  """

  jaxpr: ClosedJaxpr
  names: tuple[str, ...]


class Backend(Protocol):
  """Another library. Its values may be of any type but `np.ndarray`, which are constants.

  Attributes:
    operations: name of a primitive -> `(equation, *inputs)`, which returns its output, or a list if
      the primitive has several. Inputs are its values, or `np.ndarray` constants. Inputs of an
      elementwise operation may have axes of length 1, or none, where others have more. The result
      of `broadcast_in_dim` may have axes of length 1 in place of new ones (see `expand`).
    functions: the same for jitted functions of this package with one output, by name.
  """

  @property
  def operations(self) -> Mapping[str, Callable[..., Any]]: ...

  @property
  def functions(self) -> Mapping[str, Callable[..., Any]]: ...

  def expand(self, value: Any, shape: Sequence[Any]) -> Any:
    """Broadcasts a value to a shape, some of whose axes may have the length 1."""
    ...


def trace(network: Callable[[Array], Mapping[str, Array]], sizes: str) -> Program:
  """Traces a network with plain operations.

  Args:
    network: maps uint8 images `[b, h, w, 3]` to named arrays.
    sizes: b, h and w, separated by commas; names are sizes that may differ from call to call.
  """
  shape = (*jax_export.symbolic_shape(sizes), 3)
  images = jax.ShapeDtypeStruct(shape, jnp.uint8)
  with plain_operations():
    jaxpr, outputs = jax.make_jaxpr(network, return_shape=True)(images)
  return Program(jaxpr, tuple(sorted(outputs)))  # JAX sorts the keys of a dict


def lower(program: Program, inputs: Sequence[Any], backend: Backend) -> dict[str, Any]:
  """Returns the outputs of a program, by name, computed by another library."""
  jaxpr = program.jaxpr
  constants = [np.asarray(x) for x in jaxpr.consts]
  outputs = _Walk(backend)(jaxpr.jaxpr, [*constants, *inputs])
  return dict(zip(program.names, outputs, strict=True))


class _Walk:
  """Evaluates equations; `narrow` are identities of values that broadcasting would enlarge."""

  def __init__(self, backend: Backend):
    self.backend = backend
    self.narrow: set[int] = set()
    self.kept: list[Any] = []  # so that no identity is reused

  def __call__(self, jaxpr: Jaxpr, inputs: Sequence[Any]) -> list[Any]:
    values: dict[Any, Any] = dict(zip([*jaxpr.constvars, *jaxpr.invars], inputs, strict=True))

    def read(variable: Any) -> Any:
      if isinstance(variable, Literal):  # whose value may be a float of Python
        aval: Any = variable.aval
        return np.asarray(variable.val, aval.dtype)
      return values[variable]

    for equation in jaxpr.eqns:
      outputs = self.evaluate(equation, [read(variable) for variable in equation.invars])
      values.update(zip(equation.outvars, outputs, strict=True))
    return [self.widen(read(variable), variable) for variable in jaxpr.outvars]

  def evaluate(self, equation: Any, inputs: list[Any]) -> Sequence[Any]:
    """Returns the outputs of an equation."""
    name = equation.primitive.name
    function = equation.params.get('name', '') if name in ('jit', 'pjit') else ''
    called = next((equation.params[key] for key in CALLS if key in equation.params), None)
    if name == 'broadcast_in_dim' and isinstance(inputs[0], np.ndarray):
      return [self.mark(_insert_axes(equation, self.widen(inputs[0], equation.invars[0])))]
    if self.is_constant(equation, inputs):
      return self.compute(equation, inputs)
    if called is not None and function not in self.backend.functions:
      closed = isinstance(called, ClosedJaxpr)
      constants = [np.asarray(x) for x in called.consts] if closed else []
      return self(called.jaxpr if closed else called, [*constants, *inputs])
    if function:
      return [self.backend.functions[function](equation, *self.widen_all(inputs, equation))]
    if name not in self.backend.operations:
      raise NotImplementedError(f'the operation {name} of JAX')
    narrow = name in ELEMENTWISE and self.all_narrow(inputs)
    inputs = inputs if name in ELEMENTWISE else self.widen_all(inputs, equation)
    outputs = self.backend.operations[name](equation, *inputs)
    if narrow or name == 'broadcast_in_dim':
      self.mark(outputs)
    return outputs if isinstance(outputs, list) else [outputs]

  def compute(self, equation: Any, inputs: list[Any]) -> list[Any]:
    """Returns the outputs of an equation whose inputs are constants."""
    narrow = equation.primitive.name in ELEMENTWISE and self.all_narrow(inputs)
    arrays = np.broadcast_arrays(*inputs) if narrow else self.widen_all(inputs, equation)
    outputs = equation.primitive.bind(*map(jnp.asarray, arrays), **equation.params)
    outputs = outputs if equation.primitive.multiple_results else [outputs]
    outputs = [np.asarray(output) for output in outputs]
    return [self.mark(output) for output in outputs] if narrow else outputs

  def is_constant(self, equation: Any, inputs: Sequence[Any]) -> bool:
    """Returns whether the outputs of an equation are constants of moderate size."""
    if not all(isinstance(value, np.ndarray) for value in inputs):
      return False
    shapes = [variable.aval.shape for variable in equation.outvars]
    if not all(isinstance(length, int) for shape in shapes for length in shape):
      return False
    if 'dim' in equation.params and not isinstance(equation.params['dim'], int):
      return False
    largest = max(int(np.prod(shape)) for shape in shapes)
    return largest <= max(MAX_FOLDED, *(value.size for value in inputs), 0)

  def all_narrow(self, inputs: Sequence[Any]) -> bool:
    """Returns whether no input has the full shape."""
    return all(
      id(value) in self.narrow or (isinstance(value, np.ndarray) and value.size == 1)
      for value in inputs
    )

  def mark(self, value: Any) -> Any:
    """Notes that a value may have axes of length 1 that its variable has not; returns it."""
    self.narrow.add(id(value))
    self.kept.append(value)
    return value

  def widen(self, value: Any, variable: Any) -> Any:
    """Broadcasts a marked value to the shape of its variable."""
    if id(value) not in self.narrow:
      return value
    shape = variable.aval.shape
    if isinstance(value, np.ndarray) and all(isinstance(length, int) for length in shape):
      return np.broadcast_to(value, shape)
    return self.backend.expand(value, shape)

  def widen_all(self, inputs: Sequence[Any], equation: Any) -> list[Any]:
    """Broadcasts the marked inputs of an equation."""
    return [
      self.widen(value, variable) for value, variable in zip(inputs, equation.invars, strict=True)
    ]


def _insert_axes(equation: Any, value: np.ndarray) -> np.ndarray:
  """Returns the input of a `broadcast_in_dim` with axes of length 1 where it has none."""
  shape = [1] * len(equation.params['shape'])
  for axis, length in zip(equation.params['broadcast_dimensions'], value.shape, strict=True):
    shape[axis] = length
  return value.reshape(shape)
