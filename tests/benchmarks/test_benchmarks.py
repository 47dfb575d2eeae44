"""The tables of benchmarks/README.md and docs/export.md are those of benchmarks/results/."""

from pathlib import Path
import sys

BENCHMARKS = Path(__file__).resolve().parents[2] / 'benchmarks'


def test_the_tables_are_made_from_the_results(monkeypatch):
  monkeypatch.syspath_prepend(str(BENCHMARKS))
  import tables

  texts = [page.read_text(encoding='utf-8') for page in tables.PAGES]
  names = [name for text in texts for _, name, _ in tables.BLOCK.findall(text)]
  assert sorted(names) == sorted(tables.TABLES)
  assert [tables.filled(text) for text in texts] == texts, 'run `python benchmarks/tables.py`'
  sys.modules.pop('tables')
