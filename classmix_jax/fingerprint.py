"""What decides a result, next to what the paper used: printed before every training.

Synopsis:

    print(fingerprint(found={'global batch': '4 + 4'}, paper={'global batch': '2 + 2'}))
"""

from collections.abc import Mapping


def verdict(found: str, paper: str | None) -> str:
  """Compares one setting with the paper's.

  Example:
    >>> verdict('4 + 4', '2 + 2')
    'differs (paper: 2 + 2)'
  """
  if paper is None:
    return ''
  return 'as in the paper' if found == paper else f'differs (paper: {paper})'


def fingerprint(found: Mapping[str, str], paper: Mapping[str, str]) -> str:
  """Returns one aligned line per setting: name, value, verdict.

  Args:
    found: the settings of this run.
    paper: the settings of the paper's row, for some of the names.
  """
  name_width = max(map(len, found))
  value_width = min(44, max(map(len, found.values())))
  return '\n'.join(
      f'  {name:{name_width}}  {value:{value_width}}  {verdict(value, paper.get(name))}'.rstrip()
      for name, value in found.items())
