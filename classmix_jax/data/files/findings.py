"""Collects what is wrong with single files."""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
from contextvars import ContextVar
from typing import NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed


class Finding(NamedTuple):
  """What is wrong with one file: a sentence that begins with the file."""

  file: str
  sentence: str


_list: ContextVar[list[Finding] | None] = ContextVar('findings', default=None)


@contextlib.contextmanager
def keep_findings() -> Iterator[list[Finding]]:
  """Lets a data set be opened in spite of single files, for a check that wants to tell all.

  Inside, two files of one name and images without a mask are put on the list and left
  out. `check_pairs` leaves its work to the caller, who alone knows which examples are
  labelled. Mistakes in the layout or in the options still raise.

  Example:

      with keep_findings() as findings:
        dataset = load('DIR')
  """
  findings: list[Finding] = []
  token = _list.set(findings)
  try:
    yield findings
  finally:
    _list.reset(token)


def kept(findings: Iterable[Finding]) -> bool:
  """Puts findings on the list of `keep_findings`; False where there is none: raise them then."""
  findings_so_far = _list.get()
  if findings_so_far is not None:
    findings_so_far.extend(findings)
  return findings_so_far is not None


def raise_findings(findings: Sequence[tuple[str, str]], total: int, noun: str) -> None:
  """Raises a UserError for `(name, sentence)` findings; returns where there are none.

  The first is told in full, of the others the count and the names of three.

  Example: `raise_findings([('a', 'a.png is empty.')], 30, 'masks')`.
  """
  if not findings:
    return
  sentence = findings[0][1]
  if len(findings) > 1:
    names = listed([name for name, _ in findings[:3]], 3)
    sentence += f' In all {len(findings)} of {total} {noun} need attention: {names}'
    sentence += ', ...' if len(findings) > 3 else '.'
  raise UserError(sentence)
