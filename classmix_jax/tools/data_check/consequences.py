"""Drops findings that another finding explains, so that every fault is reported once.

A cause explains findings of some kinds, in its own file or in the whole data set. To add a rule:
a line in `IN_FILE` or `IN_DATA`, with the kinds of `Finding`.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from classmix_jax.data.files.findings import Finding
from classmix_jax.data.splits import TOO_FEW

UNREADABLE = (
  'damaged files',
  'files that are not images',
  'files that cannot be read',
  'files without permission',
  'files with too many pixels',
)
WITHOUT_MEANING = (
  'masks with unknown values',
  'masks with unknown colours',
  'masks in colour',
  'masks of fractions',
  'lossy masks',
)
OF_ALL_MASKS = ('masks of 0 and 255', 'void masks')

# Kind of the cause -> kinds that it explains in the same file.
IN_FILE: Mapping[str, Collection[str]] = {
  'lossy masks': WITHOUT_MEANING,  # compression changes values
}
# Kind of the cause -> kinds that it explains anywhere.
IN_DATA: Mapping[str, Collection[str]] = {
  'images without a mask': (TOO_FEW,),
  'missing files': (TOO_FEW,),
  **{kind: OF_ALL_MASKS for kind in (*WITHOUT_MEANING, *UNREADABLE)},
}


def explain_absent_classes(findings: Iterable[Finding]) -> bool:
  """Returns whether values of masks are not read as meant, so that classes seem to be absent."""
  return any(finding.kind in (*WITHOUT_MEANING, *OF_ALL_MASKS) for finding in findings)


def drop_consequences(findings: Iterable[Finding]) -> list[Finding]:
  """Returns the findings that no other explains, in order.

  Example:
    >>> missing = Finding('a.png', 'a.png has no mask.', 'images without a mask')
    >>> few = Finding('', 'There are no training examples.', 'too few examples')
    >>> drop_consequences([missing, few]) == [missing]
    True
  """
  findings = list(findings)
  explained: set[str] = set()
  explained_in: defaultdict[str, set[str]] = defaultdict(set)
  for cause in findings:
    explained.update(IN_DATA.get(cause.kind, ()))
    explained_in[cause.file].update(set(IN_FILE.get(cause.kind, ())) - {cause.kind})
  return [
    finding
    for finding in findings
    if finding.kind not in explained and finding.kind not in explained_in[finding.file]
  ]
