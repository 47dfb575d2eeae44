"""Which error messages do the tests provoke? A plugin of pytest that tells at the end.

    PYTHONPATH=tests python -m pytest -p provoked -m 'slow or not slow'

Counts the places that make a `UserError`; those of programs that tests start as processes of
their own are not seen.
"""

import ast
from pathlib import Path
import sys

ROOT = Path(__file__).resolve().parents[2]
seen: set[tuple[str, int]] = set()


def places() -> dict[tuple[str, int], int]:
  """Returns (file, first line) -> last line of every call that makes a UserError."""
  found = {}
  for folder in ('classmix_jax', 'launch', 'configs'):
    for path in sorted((ROOT / folder).rglob('*.py')):
      for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'UserError':
          found[str(path), node.lineno] = node.end_lineno
  return found


def pytest_configure() -> None:
  from classmix_jax.errors import UserError

  def remember(self, *arguments):
    Exception.__init__(self, *arguments)
    caller = sys._getframe(1)
    seen.add((caller.f_code.co_filename, caller.f_lineno))

  UserError.__init__ = remember


def pytest_terminal_summary(terminalreporter) -> None:
  missing = [
    f'{Path(file).relative_to(ROOT)}:{first}'
    for (file, first), last in places().items()
    if not any((file, line) in seen for line in range(first, last + 1))
  ]
  total = len(places())
  terminalreporter.write_line(f'{total - len(missing)} of {total} error messages were provoked')
  for place in missing:
    terminalreporter.write_line(f'  never: {place}')
