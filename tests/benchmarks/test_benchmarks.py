"""The tables of benchmarks/README.md are those of benchmarks/results/."""

from pathlib import Path
import sys

BENCHMARKS = Path(__file__).resolve().parents[2] / 'benchmarks'


def test_the_tables_are_made_from_the_results(monkeypatch):
  monkeypatch.syspath_prepend(str(BENCHMARKS))
  import tables

  text = tables.README.read_text(encoding='utf-8')
  assert {name for _, name, _ in tables.BLOCK.findall(text)} == set(tables.TABLES)
  assert tables.filled(text) == text, 'run `python benchmarks/tables.py`'
  sys.modules.pop('tables')
