"""The tables of docs/methods: defaults of every method and config, and where each term is."""

from fractions import Fraction
import importlib
import re

from pages import ROOT, name_of
import pytest

from classmix_jax.config import defaults
from classmix_jax.methods import METHODS, hyper_parameters

METHOD_PAGES = sorted((ROOT / 'docs' / 'methods').glob('*.md'))


def tables(page):
  """Yields the tables of a page as rows of cells, the header first."""
  for block in re.findall(r'(?:^\|.*\n)+', page.read_text(encoding='utf-8') + '\n', re.MULTILINE):
    header, _, *rows = [
      [cell.strip() for cell in line.strip('|').split('|')] for line in block.splitlines()
    ]
    yield header, *rows


def parse_cell(text, like):
  """Reads a cell as a value of the type of `like`."""
  if isinstance(like, bool):
    return {'True': True, 'False': False}[text]
  return type(like)(Fraction(text)) if isinstance(like, int | float) else text


def check_defaults(header, rows):
  """Compares a table with the code; returns its methods. Empty cells repeat the one before."""
  columns = {title.strip('`'): index for index, title in enumerate(header) if '`' in title}
  methods = [title for title in columns if title in METHODS]
  for count, method in enumerate(methods, start=1):
    expected = hyper_parameters(method)
    documented = {}
    for row in rows:
      option = row[0].strip('`')
      cells = [row[columns[title]] for title in methods[:count]]
      last = [cell for cell in cells if cell][-1]
      documented[option] = parse_cell(last, expected[option])
    assert documented == expected, method
    for path in set(columns) - set(methods):
      module = importlib.import_module(path.removesuffix('.py').replace('/', '.'))
      config = module.get_config(f'method={method}').method
      for row in rows:
        option, cell = row[0].strip('`'), row[columns[path]]
        value = parse_cell(cell, expected[option]) if cell else expected[option]
        assert config[option] == pytest.approx(value), (path, method, option)
  return methods


def test_defaults_of_the_methods():
  methods = []
  for page in METHOD_PAGES:
    for header, *rows in tables(page):
      if header[0] == 'option':
        methods += check_defaults(header, rows)
  assert sorted([*methods, 'supervised']) == sorted(METHODS)
  assert not hyper_parameters('supervised')


def test_defaults_of_the_labeled_loss():
  ((_, *rows),) = [
    table for table in tables(ROOT / 'docs/methods/supervised.md') if table[0][0] == 'field'
  ]
  documented = {row[0].strip('`').rpartition('.')[2]: row[1] for row in rows}
  values = defaults.get_config().labeled_loss.items()
  assert documented == {name: str(value) for name, value in values}


@pytest.mark.parametrize('page', METHOD_PAGES, ids=name_of)
def test_terms_are_where_the_tables_say(page):
  _, *rows = next(table for table in tables(page) if table[0][0] == 'term')
  for _, path, name in rows:
    source = (ROOT / path.strip('`')).read_text(encoding='utf-8')
    assert re.search(rf'(def|class) {name.strip("`")}\b', source), (path, name)
