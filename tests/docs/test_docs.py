"""The documentation: examples run, commands parse; named files, fields and links exist."""

import doctest
import importlib
import pkgutil
import re
import tomllib

import jax
import jax.numpy as jnp
import numpy as np
from pages import (
  PAGES,
  ROOT,
  blocks,
  commands,
  name_of,
  parse_flags,
  program_flags,
  text_of,
  tutorial,
)
import pytest

import classmix_jax
from classmix_jax.cli import start
from classmix_jax.config import defaults
from classmix_jax.methods import METHODS, hyper_parameters

OPTIONAL = (
  '.input_pipeline',
  '.builder',
  '.export.tensorflow',
  '.export.onnx',
  '.serve.app',
  '.serve.channel',
)
MODULES = [
  module.name
  for module in pkgutil.walk_packages(classmix_jax.__path__, 'classmix_jax.')
  # Programs define flags, and a flag can be defined once; optional packages may be missing.
  if '.cli.' not in module.name and not module.name.endswith(OPTIONAL)
]
DIRECTORIES = 'configs|launch|docs|tests|benchmarks|classmix_jax'

each_page = pytest.mark.parametrize('page', PAGES, ids=name_of)


@pytest.mark.parametrize('name', MODULES)
def test_examples_in_docstrings_run(name):
  module = importlib.import_module(name)
  failures, _ = doctest.testmod(module, extraglobs={'jax': jax, 'jnp': jnp, 'np': np})
  assert failures == 0


@each_page
def test_examples_in_pages_run(page):
  failures, _ = doctest.testfile(str(page), module_relative=False)
  assert failures == 0


@each_page
def test_python_blocks_compile(page):
  for block in blocks(page, 'python'):
    compile(block, name_of(page), 'exec')


# ---------------------------------------------------------------------- commands


@each_page
def test_commands_parse(page):
  """Programs, flags, config fields, methods, make targets and pip extras exist."""
  with tutorial():
    for command in commands(page):
      try:
        check_command(command)
      except Exception as error:
        raise AssertionError(f'{command.text}: {error}') from error


def check_command(command):
  program, arguments = command.program, command.words[1:]
  if program.endswith('.py'):
    assert (ROOT / program).exists(), f'{program} does not exist'
  if program.startswith('launch/'):
    parse_flags(command)
    check_methods(arguments)
  elif program.startswith('benchmarks/'):
    source = (ROOT / program).read_text() + (ROOT / 'benchmarks/step.py').read_text()
    for flag in re.findall(r'^--(?!config)(\w+)', '\n'.join(arguments), re.MULTILINE):
      assert re.search(f"['-]{flag}'", source), flag
  elif program == 'make':
    assert f'\n{arguments[0]}:' in (ROOT / 'Makefile').read_text(), arguments
  elif program == 'pip':
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project'][
      'optional-dependencies'
    ]
    assert set(re.findall(r'^\.\[(\w+)\]$', '\n'.join(arguments), re.MULTILINE)) <= extras.keys()
  elif program == 'classmix-jax':
    assert arguments[0] in (*start.PROGRAMS, '--help', '--version')


def check_methods(arguments):
  """Asserts that the methods of a table exist and have the options that are given."""
  for argument in arguments:
    if argument.startswith('--methods='):
      for method in argument.removeprefix('--methods=').split(','):
        name, *options = method.split(':')
        fields = {option.partition('=')[0] for option in options}
        fields = {field for field in fields if not field.startswith('config.')}
        assert fields <= hyper_parameters(name).keys(), method


def flags_in_source(path):
  """The names of the argparse and absl flags that a program of benchmarks/ defines."""
  pairs = re.findall(r"'--([\w-]+)'|DEFINE_\w+\(\s*'(\w+)'", path.read_text(encoding='utf-8'))
  return {''.join(pair) for pair in pairs}


@pytest.fixture(scope='module')
def all_flags():
  names = {'help'}
  for program in (ROOT / 'launch').glob('*.py'):
    if 'start(' in program.read_text():
      names.update(program_flags(f'launch/{program.name}'))
  return names.union(*map(flags_in_source, (ROOT / 'benchmarks').glob('*.py')))


@each_page
def test_flags_in_the_text_exist(page, all_flags):
  for span in re.findall(r'`(--(?!xla_)[^`]+)`', text_of(page)):
    assert set(re.findall(r'--([\w-]+)', span)) <= all_flags, span


# ------------------------------------------------------------------ what is named


@each_page
def test_named_files_exist(page):
  text = page.read_text(encoding='utf-8')
  named = set(re.findall(rf'\b((?:{DIRECTORIES})/[\w/]+\.(?:py|md|png|json|csv))', text))
  written_by_the_reader = set(re.findall(r'In `([\w/]+\.py)`', text))  # in the tutorial
  for path in named - written_by_the_reader:
    assert (ROOT / path).exists(), path


def test_rooms_of_contributing_exist():
  """The table maps each task to paths below classmix_jax/ or the repository."""
  table = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8').partition('room and file')[2]
  named = re.findall(r'`([\w/]+(?:/|\.py))`', table.partition('##')[0])
  assert len(named) > 20
  for path in named:
    assert (ROOT / 'classmix_jax' / path).exists() or (ROOT / path).exists(), path


@pytest.fixture(scope='module')
def fields():
  """Every field of a config, of any data set and method."""
  config = defaults.get_config().to_dict()
  for path in (ROOT / 'configs').glob('[!_]*.py'):
    module = importlib.import_module(f'configs.{path.stem}')
    config['data'].update(module.get_config().data.to_dict())
  for method in METHODS:
    config['method'].update(hyper_parameters(method))
  return config


@each_page
def test_named_fields_exist(page, fields):
  text = page.read_text(encoding='utf-8')
  of_the_tutorial = dict.fromkeys(re.findall(r'^  (\w+): \w+ = ', text, re.MULTILINE))
  known = {**fields, 'method': {**fields['method'], **of_the_tutorial}, 'json': None}
  for field in re.findall(r'\bconfig\.((?:[a-z_]+\.)*[a-z_]+)', text):
    node = known
    for part in field.split('.'):
      assert isinstance(node, dict) and part in node, f'config.{field}'
      node = node[part]


def anchors(page):
  """The anchors of a page's headings, as GitHub makes them."""
  titles = re.findall(r'^#+ (.+)$', page.read_text(encoding='utf-8'), re.MULTILINE)
  return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@each_page
def test_links_resolve(page):
  for target in re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', page.read_text(encoding='utf-8')):
    path, _, anchor = ''.join(target).partition('#')
    if not path.startswith('http'):
      linked = (page.parent / path).resolve() if path else page
      assert linked.exists(), path
      assert not anchor or anchor in anchors(linked), f'{path}#{anchor}'


def test_every_page_is_linked():
  """From README or from a page that README leads to."""
  visited, queue = set(), [ROOT / 'README.md']
  while queue:
    page = queue.pop()
    visited.add(page)
    links = re.findall(r'\]\(([^)\s#]+\.md)', page.read_text(encoding='utf-8'))
    queue += {(page.parent / link).resolve() for link in links} - visited
  assert set(PAGES) <= visited, set(PAGES) - visited
