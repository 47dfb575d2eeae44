"""Lists the kernels of a compiled program: bytes, operations and kind of work.

    time of a kernel = max(bytes / bandwidth, operations / rate), plus its launch

summed over all kernels: a roofline, not a measurement.

Synopsis:

    found = list(kernels(program))
    total = model(found, CARDS['h100'])
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
import math
import re
from typing import NamedTuple

from compiled.hlo import Computation, Instruction, Program
from compiled.targets import Card

FREE = {  # not a kernel
  'parameter',
  'get-tuple-element',
  'tuple',
  'bitcast',
  'constant',
  'after-all',
  'opt-barrier',
  'partition-id',
  'replica-id',
  'async-update',
  'copy-start',
}
COLLECTIVES = ('all-reduce', 'all-gather', 'collective-permute', 'reduce-scatter', 'all-to-all')
SLICES = ('slice', 'dynamic-slice')
FUSIONS = ('fusion', 'fusion-start')


class Kernel(NamedTuple):
  """A kernel, launched once or in every iteration of the loop around it.

  Attributes:
    instruction: in the program.
    kind: of work, see `kind`.
    bytes: read and written by one launch.
    operations: floating-point, of products and convolutions, by one launch.
    launches: in a step.
  """

  instruction: Instruction
  kind: str
  bytes: float
  operations: float
  launches: int


def is_collective(instruction: Instruction) -> bool:
  """Returns whether it is a collective; of a pair start and done, the start."""
  return instruction.op.removesuffix('-start') in COLLECTIVES


def kernels(program: Program) -> Iterator[Kernel]:
  """Yields the kernels of a step; of branches, the one with the most bytes."""
  yield from _of_computation(program, program.entry, 1)


def _of_computation(program: Program, some: Computation, turns: int) -> Iterator[Kernel]:
  for one in some.values():
    if one.op in FREE or one.op.endswith('-done'):
      continue
    inner = [program.computations[name] for name in one.called]
    if one.op == 'while':
      count = re.search(r'"known_trip_count":\{"n":"(\d+)"', one.attributes)
      yield from _of_computation(program, inner[-1], turns * int(count[1] if count else 1))
    elif one.op == 'conditional':
      branches = [list(_of_computation(program, branch, turns)) for branch in inner]
      yield from max(branches, key=lambda result: sum(kernel.bytes for kernel in result))
    elif one.op in ('call', 'async-start'):
      yield from _of_computation(program, inner[0], turns)
    else:
      body = inner[0] if one.op in FUSIONS else {}
      yield Kernel(
        one,
        kind(one, body),
        _read(one, some, body) + _written(one, some, body),
        operations(program, one, some),
        turns,
      )


def _read(one: Instruction, some: Computation, body: Computation) -> float:
  """Returns the bytes that a kernel reads.

  Of an operand that is only sliced, these are the slices; one that is updated in place has none.
  """
  numbers = {int(x.inside): x.name for x in body.values() if x.op == 'parameter'}
  users = defaultdict(list)
  for inner in body.values():
    for operand in inner.operands:
      users[operand].append(inner)
  total = 0.0
  for number, operand in enumerate(one.operands):
    whole = some[operand].bytes if operand in some else 0
    name = numbers.get(number, '')
    using = [user for user in users[name] if not _updates(user, name)]
    if (users[name] and not using) or (not number and _updates(one, operand)):
      continue
    if using and all(user.op in SLICES for user in using):
      whole = min(whole, sum(user.bytes for user in using))
    total += whole
  return total


def _updates(one: Instruction, operand: str) -> bool:
  """Returns whether an instruction writes a slice of an operand in place."""
  return one.op == 'dynamic-update-slice' and one.operands[0] == operand


def _written(one: Instruction, some: Computation, body: Computation) -> float:
  """Returns the bytes that a kernel writes; of an operand that is updated in place, the slice."""
  if not body:
    return _of_update(one, some)
  root = list(body.values())[-1]
  roots = [body[name] for name in root.operands] if root.op == 'tuple' else [root]
  return sum(_of_update(each, body) for each in roots)


def _of_update(one: Instruction, some: Computation) -> float:
  while one.op == 'bitcast':
    one = some[one.operands[0]]
  return some[one.operands[1]].bytes if one.op == 'dynamic-update-slice' else one.bytes


def operations(program: Program, one: Instruction, some: Computation) -> float:
  """Returns the floating-point operations of products and convolutions in a kernel."""
  if one.op in FUSIONS:
    body = program.computations[one.called[0]]
    return sum(operations(program, inner, body) for inner in body.values())
  if one.op == 'dot':
    return 2 * one.results[0].size * _contracted(one, some)
  if one.op == 'convolution' or 'cudnn$conv' in one.target:
    return _of_convolution(one, some)
  if 'cublas' in one.target:
    return 2 * one.results[0].size * _contracted_by_cublas(one, some)
  if 'cudnn$fmha' in one.target:
    return _of_attention(one, some)
  return 0.0


def _contracted(one: Instruction, some: Computation) -> int:
  axes = re.search(r'lhs_contracting_dims=\{([\d,]*)\}', one.attributes)
  lengths = some[one.operands[0]].results[0].lengths
  return math.prod(lengths[int(axis)] for axis in axes[1].split(',') if axis)


def _contracted_by_cublas(one: Instruction, some: Computation) -> int:
  axes = re.search(r'"lhs_contracting_dimensions":\[([^\]]*)\]', one.attributes)
  lengths = some[one.operands[0]].results[0].lengths
  return math.prod(lengths[int(axis)] for axis in re.findall(r'\d+', axes[1] if axes else ''))


def _of_attention(one: Instruction, some: Computation) -> float:
  """Returns the operations of cuDNN's attention: two products, for the gradient five.

  The first result is `[B, H, N, D]`, the second operand, the keys, `[B, M, H, D]`.
  """
  products = 5 if one.target.endswith('Backward') else 2
  return 2 * products * one.results[0].size * some[one.operands[1]].results[0].lengths[1]


def _of_convolution(one: Instruction, some: Computation) -> float:
  """Returns 2 x result x kernel elements x inputs of a group, also for the gradients.

  cuDNN's calls for gradients hold the gradient where a forward convolution has its result.
  """
  features = re.search(r'dim_labels=\w+->(\w+)', one.attributes)[1].index('f')
  left, right = (some[name].results[0] for name in one.operands[:2])
  image, kernel = one.results[0], right
  if one.target.endswith('BackwardFilter'):
    image, kernel = right, one.results[0]
  elif one.target.endswith('BackwardInput'):
    image = left
  zeros = re.search(r'lhs_dilate=([\dx]+)', one.attributes)  # between inputs: no operations
  spread = math.prod(map(int, zeros[1].split('x'))) if zeros and not one.target else 1
  return 2 * image.size * kernel.size / image.lengths[features] / spread


def kind(one: Instruction, body: Computation) -> str:
  """Names the work of a kernel, from its instructions and its origin in the network."""
  path, ops = one.path, {inner.op for inner in body.values()}
  primitive, backward = path.rpartition('/')[2], 'transpose(' in path
  if is_collective(one):
    return 'collectives'
  if one.op == 'convolution' or 'cudnn$conv' in one.target or 'convolution' in ops:
    return f'convolutions, {_direction(one, backward)}'
  if one.op == 'dot' or 'cublas' in one.target or 'dot' in ops or 'gemm' in one.name:
    return 'products'
  if 'cudnn$fmha' in one.target:
    return 'attention'
  if one.op == 'pad' or one.name.startswith('loop_pad') or primitive == 'pad':
    return 'padding'
  if re.search(r'/bn\w*/', path) and 'reduce' in primitive:
    again = 'BN statistics again' if 'rematted' in path else 'BN backward, sums'
    return again if backward else 'BN statistics'
  if one.op in ('copy', 'transpose') or 'transpose' in one.name:
    return 'copies, transposes'
  if backward and primitive == 'select_n':
    return 'ReLU backward'
  if re.search(r'/bn\w*/', path):
    return 'BN backward' if backward else 'normalise, ReLU, residual'
  if primitive in ('add', 'max') and 'backbone' in path:
    return 'normalise, ReLU, residual'
  if one.op == 'convert' or 'convert' in one.name:
    return 'conversions'
  if 'backbone' not in path and ('where' in path or 'reduce_and' in path or not path):
    return 'update, guard, finiteness'
  return 'other'


def _direction(one: Instruction, backward: bool) -> str:
  if one.target:
    by_kernel = one.target.endswith('BackwardFilter')
  else:
    by_kernel = backward and 'conv_general_dilated' in one.path and 'rhs' in one.path
  return 'kernel gradients' if by_kernel else 'forward and input gradients'


def fusion_kinds(program: Program) -> Mapping[str, int]:
  """Counts XLA's kinds of fusions in the entry, and the targets of its custom calls."""
  kinds = Counter()
  for one in program.entry.values():
    if one.op == 'fusion':
      kinds[re.search(r'kind=(\w+)', one.attributes)[1]] += 1
    elif one.target:
      kinds[one.target] += 1
  return dict(kinds.most_common())


class Model(NamedTuple):
  """The roofline of some kernels: launches, bytes, operations, milliseconds without launches."""

  launches: int
  bytes: float
  operations: float
  ms: float


def model(some: Iterable[Kernel], card: Card, half: bool = True) -> Model:
  """Sums max(bytes / bandwidth, operations / rate) over kernels.

  Args:
    some: kernels.
    card: peak of the device.
    half: whether products are of bfloat16; float32 takes twice as long.
  """
  rate = card.operations if half else card.operations / 2
  launches = moved = computed = seconds = 0
  for kernel in some:
    launches += kernel.launches
    moved += kernel.launches * kernel.bytes
    computed += kernel.launches * kernel.operations
    seconds += kernel.launches * max(kernel.bytes / card.bandwidth, kernel.operations / rate)
  return Model(launches, moved, computed, 1000 * seconds)


def by_kind(some: Iterable[Kernel], card: Card, half: bool = True) -> Mapping[str, Model]:
  """Returns the roofline of each kind of work, the slowest first."""
  groups = defaultdict(list)
  for kernel in some:
    groups[kernel.kind].append(kernel)
  result = {name: model(group, card, half) for name, group in groups.items()}
  return dict(sorted(result.items(), key=lambda entry: -entry[1].ms))
