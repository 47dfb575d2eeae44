"""Reads the text of a compiled program.

Synopsis:

    program = parse(step.lower(state, batch).compile().as_text())
    [instruction.op for instruction in program.entry.values()]
"""

from collections.abc import Iterable, Mapping
import math
import re
from typing import NamedTuple

BYTES = {
  'pred': 1,
  's4': 0.5,
  'u4': 0.5,
  's8': 1,
  'u8': 1,
  's16': 2,
  'u16': 2,
  's32': 4,
  'u32': 4,
  's64': 8,
  'u64': 8,
  'bf16': 2,
  'f16': 2,
  'f32': 4,
  'f64': 8,
  'c64': 8,
}
SHAPE = re.compile(r'\b([a-z][a-z0-9]*)\[([\d,]*)\]')
LINE = re.compile(r'^\s*(?:ROOT )?%([\w.\-]+) = (.*)$')
ALIAS = re.compile(r'\{[\d,]*\}: \(\d+, \{[\d,]*\}, (?:may|must)-alias\)')


class Shape(NamedTuple):
  """Type and lengths of an array.

  Example:
    >>> Shape('bf16', (2, 3)).bytes
    12
  """

  dtype: str
  lengths: tuple[int, ...]

  @property
  def size(self) -> int:
    return math.prod(self.lengths)

  @property
  def bytes(self) -> float:
    return BYTES.get(self.dtype, 0) * self.size  # tokens and opaque values have none


class Instruction(NamedTuple):
  """One line of a computation.

  Attributes:
    name: without its '%'.
    op: e.g. 'fusion'.
    results: one for an array, several for a tuple.
    operands: names.
    inside: the text between the parentheses; for a parameter its number.
    attributes: the text after them.
  """

  name: str
  op: str
  results: tuple[Shape, ...]
  operands: tuple[str, ...]
  inside: str
  attributes: str

  @property
  def path(self) -> str:
    """Returns the origin in the Python program: modules and primitives, joined by slashes."""
    result = re.search(r'op_name="([^"]*)"', self.attributes)
    return result[1] if result else ''

  @property
  def target(self) -> str:
    """Returns the target of a custom call, '' for other instructions."""
    result = re.search(r'custom_call_target="([^"]*)"', self.attributes)
    return result[1] if result else ''

  @property
  def called(self) -> tuple[str, ...]:
    """Returns the names of the computations that it calls: of a fusion, a loop's body, branches."""
    single = re.findall(
      r'(?:calls|body|to_apply|true_computation|false_computation)=%([\w.\-]+)', self.attributes
    )
    several = re.search(r'branch_computations=\{([^}]*)\}', self.attributes)
    return (*single, *(re.findall(r'%([\w.\-]+)', several[1]) if several else ()))

  @property
  def bytes(self) -> float:
    return sum(shape.bytes for shape in self.results)


Computation = Mapping[str, Instruction]


class Program(NamedTuple):
  """A compiled module.

  Attributes:
    computations: by name; each has instructions by name.
    entry: the computation that is executed.
    aliases: number of results that overwrite an argument.
  """

  computations: Mapping[str, Computation]
  entry: Computation
  aliases: int

  @property
  def instructions(self) -> Iterable[Instruction]:
    """Returns all instructions, also those within fusions and loops."""
    return (one for computation in self.computations.values() for one in computation.values())


def _closing(text: str, start: int) -> int:
  """Returns the position of the parenthesis that closes the one at `start`."""
  depth = 0
  for index in range(start, len(text)):
    depth += (text[index] == '(') - (text[index] == ')')
    if not depth:
      return index
  raise ValueError(f'a parenthesis does not close: {text[start : start + 80]}')


def shapes(text: str) -> tuple[Shape, ...]:
  """Reads the arrays of a type.

  Example:
    >>> shapes('(f32[2,3]{1,0}, /*index=1*/pred[])')
    (Shape(dtype='f32', lengths=(2, 3)), Shape(dtype='pred', lengths=()))
  """
  return tuple(
    Shape(dtype, tuple(int(length) for length in lengths.split(',') if length))
    for dtype, lengths in SHAPE.findall(text)
  )


def parse_line(line: str) -> Instruction | None:
  """Reads an instruction; returns None for other lines."""
  match = LINE.match(line)
  if not match:
    return None
  name, text = match.groups()
  end = _closing(text, 0) + 1 if text.startswith('(') else text.index(' ')
  kind, rest = text[:end], text[end:].lstrip()
  op = re.match(r'[\w\-]+(?=\()', rest)
  if not op:
    return None
  close = _closing(rest, op.end())
  inside = rest[op.end() + 1 : close]
  return Instruction(
    name, op[0], shapes(kind), tuple(re.findall(r'%([\w.\-]+)', inside)), inside, rest[close + 1 :]
  )


def parse(text: str) -> Program:
  """Reads a module as `compiled.as_text()` writes it."""
  computations, current, entry = {}, {}, {}
  header, _, body = text.partition('\n')
  for line in body.splitlines():
    begin = re.match(r'(ENTRY )?%([\w.\-]+) .*\{\s*$', line)
    if begin:
      current = computations[begin[2]] = {}
      entry = current if begin[1] else entry
    elif instruction := parse_line(line):
      current[instruction.name] = instruction
  return Program(computations, entry, len(ALIAS.findall(header)))
