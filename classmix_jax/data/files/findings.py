"""Collects what is wrong with single files, so that a check can report all of it.

Loaders raise a UserError for the first problem. Inside `keep_findings`, a context like
`numpy.errstate`, problems of single files are appended to a list instead.
"""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
from contextvars import ContextVar
from typing import NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed


class Finding(NamedTuple):
  """What is wrong with one file: its path, and a sentence that begins with the path."""

  file: str
  sentence: str


_findings: ContextVar[list[Finding] | None] = ContextVar('findings', default=None)


@contextlib.contextmanager
def keep_findings() -> Iterator[list[Finding]]:
  """Opens data sets in spite of problems with single files; yields the list of problems.

  Inside, files of the same name and images without a mask are appended to the list and skipped.
  `check_pairs` returns at once: only the caller has the list of labelled examples. Problems with
  the directories or the options still raise.

  Example:

      with keep_findings() as findings:
        dataset = load('DIR')
  """
  findings: list[Finding] = []
  token = _findings.set(findings)
  try:
    yield findings
  finally:
    _findings.reset(token)


def keeps_findings() -> bool:
  """Returns whether the caller is inside `keep_findings`."""
  return _findings.get() is not None


def add_findings(findings: Iterable[Finding]) -> bool:
  """Appends to the list of `keep_findings`; returns False if there is none: the caller raises."""
  collected = _findings.get()
  if collected is None:
    return False
  collected.extend(findings)
  return True


def raise_findings(findings: Sequence[tuple[str, str]], total: int, noun: str) -> None:
  """Raises UserError if there are findings, `(name, sentence)` each.

  The error has the first sentence, the number of findings and the names of the first three.

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
