"""Hypothesis strategies that several rooms share, and the property that most of them check.

For any content of a file or option, the result is right or one sentence names the mistake.
`tests/conftest.py` sets the number of examples: 10, or 150 with `--hypothesis-profile=thorough`.
"""

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import struct
import tempfile
from typing import Any
import zlib

from hypothesis import strategies as st
import toy

from classmix_jax.errors import UserError

NAMES = "a|ä é|漢字| leading|trailing |it's|100%|#hash|a.b.c|-dash|$HOME|COM1|{}|[x]|*|e\u0301"
FILE_NAMES = st.sampled_from([*NAMES.split('|'), 'x' * 200, '\u202eabc'])
LINES = 'a|b|c/d|a.png|/x/a.jpg /y/a.png|a b c|| |#x|1/8|-3|٣|²|255:1|7:void|#ff0000:1|:|,|0|1 2 3'
PAIRS = '255:1|7:void|0:9|#ff0000:1|x|:|²:1|٣:1|70000:1|1:1:1|-1'
# Lists of names, class files, tables of values and options.
TEXTS = st.one_of(
  st.text(max_size=40),
  st.lists(st.sampled_from([*LINES.split('|'), 'road 128 64 128', '~0']), max_size=5).map(
    '\n'.join
  ),
  st.lists(st.sampled_from(PAIRS.split('|')), max_size=4).map(','.join),
)
JSON = st.recursive(
  st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5),
  lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
  ),
  max_leaves=5,
)


@st.composite
def damaged(draw, data: bytes) -> bytes:
  """Draws a version of a file: intact, truncated, with flipped bits, with a tail, or replaced."""
  how = draw(st.sampled_from(['intact', 'intact', 'cut', 'flip', 'tail', 'noise', 'zeros', 'size']))
  position = draw(st.integers(0, max(len(data) - 1, 0)))
  if how == 'cut':
    return data[:position]
  if how == 'flip':
    flipped = bytearray(data)
    for index in {position, draw(st.integers(0, len(data) - 1))}:
      flipped[index] ^= 1 << draw(st.integers(0, 7))
    return bytes(flipped)
  if how == 'zeros':
    return data[:position] + b'\0' * (len(data) - position)
  if how == 'size' and data[12:16] == b'IHDR':  # a PNG whose header claims to be empty, or huge
    sides = st.sampled_from([0, 1, 3, 60_000, 2**31 - 1, 2**32 - 1])
    header = b'IHDR' + struct.pack('>II', draw(sides), draw(sides)) + data[24:29]
    return data[:12] + header + struct.pack('>I', zlib.crc32(header)) + data[33:]
  extra = draw(st.binary(max_size=40))
  return {'tail': data + extra, 'noise': extra}.get(how, data)


def result_or_error(call: Callable[[], Any], *parts) -> Any:
  """Returns the result of `call`, or None if it raises a UserError: one line with these parts."""
  try:
    return call()
  except UserError as error:
    text = str(error)
    toy.assert_says(text, *parts)
    assert '\n' not in text.strip() and len(text) > 20, text
    return None


@contextlib.contextmanager
def temporary_directory() -> Iterator[Path]:
  """Yields an empty directory; pytest's `tmp_path` would be shared by all examples of a test."""
  with tempfile.TemporaryDirectory() as path:
    yield Path(path)
