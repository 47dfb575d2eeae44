"""The docs are true: examples run, commands parse, files, fields, links and defaults exist.

Commands are run by test_doc_commands.py.
"""

import doctest
from fractions import Fraction
import importlib
import pkgutil
import re
import shutil
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
from pages import (
  PAGES,
  ROOT,
  blocks,
  commands,
  inline_commands,
  name_of,
  own_flags,
  parse,
  text_of,
  tutorial,
)
import pytest

import classmix_jax
from classmix_jax.cli import start
from classmix_jax.config import defaults as base
from classmix_jax.methods import METHODS, hyper_parameters
from configs import camvid, cityscapes, folder, pascal_voc, scenes

MODULES = [
  module.name
  for module in pkgutil.walk_packages(classmix_jax.__path__, 'classmix_jax.')
  # Programs define flags, of which there can be one of a name; others import what is optional.
  if '.cli.' not in module.name
  and not module.name.endswith(
    ('.input_pipeline', '.builder', '.export.tensorflow', '.export.onnx')
  )
]
CONFIGS = {
  f'configs/{module.__name__.rpartition(".")[2]}.py': module
  for module in (base, camvid, cityscapes, folder, pascal_voc, scenes)
}
METHOD_PAGES = sorted((ROOT / 'docs' / 'methods').glob('*.md'))

each_page = pytest.mark.parametrize('page', PAGES, ids=name_of)


@pytest.mark.parametrize('name', MODULES)
def test_examples_in_docstrings_run(name):
  module = importlib.import_module(name)
  failures, _ = doctest.testmod(module, extraglobs={'jax': jax, 'jnp': jnp, 'np': np})
  assert failures == 0


@pytest.mark.parametrize(
  'page', [page for page in PAGES if '>>> ' in page.read_text(encoding='utf-8')], ids=name_of
)
def test_examples_in_pages_run(page):
  failures, tried = doctest.testfile(str(page), module_relative=False)
  assert failures == 0 and tried


# ---------------------------------------------------------------------- commands


@each_page
def test_commands_parse(page):
  """With the flags of the program and the fields of the config, without running anything."""
  with tutorial():
    for command in commands(page) + inline_commands(page):
      try:
        check_command(command.words)
        check_methods(command.words)
        if command.program.startswith('launch/'):
          parse(command)
      except Exception as error:
        raise AssertionError(f'{command.text}: {error}') from error


def check_command(words):
  """Raises where what a command names is not here: file, flag, target of make, extra of pip."""
  program, *arguments = words
  if program == 'python' and not arguments[0].startswith('-'):
    path = ROOT / arguments[0]
    assert path.exists(), f'there is no {path}'
    if path.parent.name == 'benchmarks':
      source = path.read_text() + (path.parent / 'step.py').read_text()
      for argument in arguments[1:]:
        flag = argument.removeprefix('--').partition('=')[0]
        assert flag.startswith('config') or re.search(f"['-]{flag}'", source), argument
  elif program == 'make':
    targets = re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
    assert arguments[0] in targets
  elif program == 'pip':
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project'][
      'optional-dependencies'
    ]
    named = re.findall(r'^\.\[(\w+)\]$', ' '.join(a for a in arguments if a.startswith('.[')))
    assert all(extra in extras for extra in named)
  elif program == 'classmix-jax':
    assert arguments[0] in (*start.PROGRAMS, '--help', '--version')
  elif program == 'tensorboard':
    assert shutil.which('tensorboard') or importlib.util.find_spec('tensorboard')


def check_methods(words):
  """Raises for a method of a table that does not exist, or an option that it does not have."""
  for word in words:
    for method in word.removeprefix('--methods=').split(',') if '--methods=' in word else ():
      name, *options = method.split(':')
      known = hyper_parameters(name)
      assert all(o.startswith('config.') or o.partition('=')[0] in known for o in options), method


@pytest.fixture(scope='module')
def flags_of_programs():
  names = {'help'}
  for program in (ROOT / 'launch').glob('*.py'):
    if 'start(' in program.read_text():
      names.update(own_flags(f'launch/{program.name}'))
  for program in [*(ROOT / 'benchmarks').glob('*.py')]:
    names.update(re.findall(r"'--([\w-]+)'|DEFINE_\w+\(\s*'(\w+)'", program.read_text()))
  return {name if isinstance(name, str) else ''.join(name) for name in names}


@each_page
def test_flags_in_the_text_exist(page, flags_of_programs):
  for span in re.findall(r'`(--(?!xla_)[^`]+)`', text_of(page)):
    for flag in re.findall(r'--([\w-]+)', span):
      assert flag in flags_of_programs, f'--{flag}'


# ------------------------------------------------------------------ what is named


@each_page
def test_named_files_exist(page):
  text = page.read_text(encoding='utf-8')
  folders = 'configs|launch|docs|tests|benchmarks|classmix_jax'
  named = set(re.findall(rf'\b((?:{folders})/[\w/]+\.(?:py|md|png|json|csv))', text))
  to_write = set(re.findall(r'In `([\w/]+\.py)`', text))  # by the reader of a tutorial
  for path in named - to_write:
    assert (ROOT / path).exists(), path


def test_rooms_of_contributing_exist():
  """The table says where a thing goes, with paths below classmix_jax/ or the repository."""
  table = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8').partition('room and file')[2]
  named = re.findall(r'`([\w/]+(?:/|\.py))`', table.partition('##')[0])
  assert len(named) > 20
  for path in named:
    assert (ROOT / 'classmix_jax' / path).exists() or (ROOT / path).exists(), path


@each_page
def test_named_fields_exist(page):
  """`config.FIELD` anywhere in a page is a field of a config, of some method or data set."""
  text = page.read_text(encoding='utf-8')
  known = base.get_config().to_dict()
  for module in CONFIGS.values():
    known['data'].update(module.get_config().data.to_dict())
  for name in METHODS:
    known['method'].update(hyper_parameters(name))
  known['method'].update(dict.fromkeys(re.findall(r'^  (\w+): \w+ = ', text, re.MULTILINE)))
  for field in re.findall(r'\bconfig\.((?:[a-z_]+\.)*[a-z_]+)', text):
    node = known
    if field == 'json':  # the file of a run
      continue
    for part in field.split('.'):
      assert isinstance(node, dict) and part in node, f'config.{field}'
      node = node[part]


def headings(page):
  """The anchors of a page's headings, as GitHub makes them."""
  titles = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.MULTILINE)
  return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@each_page
def test_links_and_pictures_resolve(page):
  for target in re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', page.read_text(encoding='utf-8')):
    path, _, anchor = ''.join(target).partition('#')
    if path.startswith('http'):
      continue
    linked = (page.parent / path).resolve() if path else page
    assert linked.exists(), path
    assert not anchor or anchor in headings(linked), f'{path}#{anchor}'


def test_every_page_is_linked():
  """From README or from a page that it leads to."""
  seen, waiting = set(), [ROOT / 'README.md']
  while waiting:
    page = waiting.pop()
    seen.add(page)
    links = re.findall(r'\]\(([^)\s#]+\.md)', page.read_text(encoding='utf-8'))
    waiting += [path for link in links if (path := (page.parent / link).resolve()) not in seen]
  assert set(PAGES) <= seen, set(PAGES) - seen


# --------------------------------------------------------- the pages of the methods


def tables(page):
  """Yields the tables of a page as rows of cells, the header first."""
  lines = page.read_text(encoding='utf-8').splitlines()
  rows = [
    [cell.strip() for cell in line.strip('|').split('|')] if line.startswith('|') else None
    for line in lines
  ]
  table = []
  for row in [*rows, None]:
    if row is not None:
      table.append(row)
    elif table:
      yield [table[0], *table[2:]]
      table = []


def value_of(text, like):
  """Reads a cell as a value of the type of `like`."""
  if isinstance(like, bool):
    return {'True': True, 'False': False}[text]
  return type(like)(Fraction(text)) if isinstance(like, int | float) else text


def check_defaults(header, rows):
  """Compares a table with the code; returns the methods that it is about."""
  columns = {title.strip('`'): index for index, title in enumerate(header) if '`' in title}
  options = [row[0].strip('`') for row in rows]
  methods = [title for title in columns if title in METHODS]
  for place, method in enumerate(methods):
    expected = hyper_parameters(method)
    assert options == list(expected), method
    for row, (option, value) in zip(rows, expected.items(), strict=True):
      filled = [row[columns[title]] for title in methods[: place + 1] if row[columns[title]]]
      assert value_of(filled[-1], value) == value, (method, option)
    for path in set(columns) - set(methods):
      changed = CONFIGS[path].get_config(f'method={method}').method
      for row, (option, value) in zip(rows, expected.items(), strict=True):
        cell = row[columns[path]]
        wanted = value_of(cell, value) if cell else value
        assert changed[option] == pytest.approx(wanted), (path, method, option)
  return methods


def test_defaults_of_the_methods_are_as_documented():
  found = []
  for page in METHOD_PAGES:
    for header, *rows in tables(page):
      if header[0] == 'option':
        found += check_defaults(header, rows)
  assert sorted([*found, 'supervised']) == sorted(METHODS)
  assert not hyper_parameters('supervised')


def test_defaults_of_the_labelled_loss_are_as_documented():
  defaults = base.get_config().labeled_loss
  ((header, *rows),) = [
    table for table in tables(ROOT / 'docs/methods/supervised.md') if table[0][0] == 'field'
  ]
  found = {row[0].strip('`').rpartition('.')[2]: row[1] for row in rows}
  assert found == {name: str(value) for name, value in defaults.items()}


@pytest.mark.parametrize('page', METHOD_PAGES, ids=name_of)
def test_functions_are_where_the_pages_say(page):
  header, *rows = next(table for table in tables(page) if table[0][0] == 'term')
  for _, path, name in rows:
    source = (ROOT / path.strip('`')).read_text(encoding='utf-8')
    assert re.search(rf'(def|class) {name.strip("`")}\b', source), (path, name)


def test_python_blocks_are_python():
  """They are run by test_doc_commands.py and test_extending.py."""
  for page in PAGES:
    for block in blocks(page, 'python'):
      compile(block, name_of(page), 'exec')
