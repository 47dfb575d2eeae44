"""Style of the docstrings and of the words in the package, as CONTRIBUTING.md describes it."""

import ast
from pathlib import Path
import re

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(
  path for top in ('classmix_jax', 'configs', 'launch') for path in (ROOT / top).rglob('*.py')
)
LONGEST = 90  # characters of the first line of a docstring
PERSONS = (
  r'\b(nobody|somebody|anybody|whoever|for ever|shall|told|tells|what becomes|goes on|going on'
  r'|where all is well|, None where|UserError where|as many as there|as much as there)\b'
)


def public_docstrings(tree):
  """Yields (name, docstring) of the module and of its public classes and functions."""
  yield 'module', ast.get_docstring(tree)
  for node in ast.walk(tree):
    if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith('_'):
      yield node.name, ast.get_docstring(node)


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_first_line_is_one_short_sentence(path):
  for name, docstring in public_docstrings(ast.parse(path.read_text(encoding='utf-8'))):
    if docstring:
      first = docstring.splitlines()[0]
      assert first.endswith('.') and '?' not in first and len(first) <= LONGEST, f'{name}: {first}'


@pytest.mark.parametrize('path', FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_is_no_person(path):
  for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
    assert not re.search(PERSONS, line, re.IGNORECASE), f'{number}: {line.strip()}'
