"""Collects what is wrong with single files, so that a check can report all of it.

Loaders raise a UserError for the first problem. Inside `keep_findings`, a context like
`numpy.errstate`, problems of single files are appended to a list instead.
"""

from collections.abc import Iterable, Iterator, Sequence
import contextlib
from contextvars import ContextVar
from typing import Any, NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed


class Finding(NamedTuple):
  """What is wrong with one file.

  Attributes:
    file: its path, or the name of an example.
    sentence: begins with the path.
    kind: noun phrase of the mistake, see `UserError`.
    error: the error behind it, None if there is none.
  """

  file: str
  sentence: str
  kind: str = ''
  error: UserError | None = None

  @classmethod
  def of(cls, file: Any, error: UserError) -> 'Finding':
    """Returns the finding of an error with a file."""
    return cls(str(file), str(error), error.kind, error)


class FindingGroup(NamedTuple):
  """The same mistake in several files: a sentence, and the files in order."""

  sentence: str
  kind: str
  files: tuple[str, ...]


def group_findings(findings: Iterable[Finding]) -> list[FindingGroup]:
  """Groups findings by kind; those without a kind by sentences that differ in the file only.

  Example:
    >>> findings = [Finding(file, f'{file} is empty.') for file in ('a', 'b')]
    >>> group_findings(findings)
    [FindingGroup(sentence='a is empty.', kind='', files=('a', 'b'))]
  """
  groups: dict[tuple[str, str], list[Finding]] = {}
  for finding in findings:
    sentence = '' if finding.kind else finding.sentence.replace(finding.file, '')
    groups.setdefault((finding.kind, sentence), []).append(finding)
  return [
    FindingGroup(_join(group), kind, tuple(dict.fromkeys(finding.file for finding in group)))
    for (kind, _), group in groups.items()
  ]


def _join(group: Sequence[Finding]) -> str:
  errors = [finding.error for finding in group if finding.error is not None]
  return errors[0].join(errors[1:]) if group[0].error is not None else group[0].sentence


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


def raise_findings(findings: Sequence[Finding], total: int, noun: str) -> None:
  """Raises UserError if there are findings.

  The error has the sentence of the first kind, the number of findings, of each kind if there are
  several, and the names of the first three files.

  Example: `raise_findings([Finding('a', 'a.png is empty.')], 30, 'masks')`.
  """
  if not findings:
    return
  groups = group_findings(findings)
  sentence = groups[0].sentence
  if len(findings) > 1:
    names = listed([finding.file for finding in findings[:3]], 3)
    kinds = f' ({count_kinds(groups)})' if len(groups) > 1 else ''
    sentence += f' In all {len(findings)} of {total} {noun} need attention{kinds}: {names}'
    sentence += ', ...' if len(findings) > 3 else '.'
  raise UserError(sentence, groups[0].kind)


def count_kinds(groups: Sequence[FindingGroup]) -> str:
  """Formats the number of files of each kind.

  Example:
    >>> count_kinds([FindingGroup('a is damaged.', 'damaged files', ('a',))])
    '1 x damaged files'
  """
  return ', '.join(f'{len(group.files)} x {group.kind or "others"}' for group in groups)
