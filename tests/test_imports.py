"""Imports point one way, and training imports without TensorFlow."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = 'classmix_jax'

# One rank a room: a module imports only from rooms before its own, or from its own.
ROOMS = (
  'errors',
  'utils',
  'types',
  'core',
  'masks',
  'models',
  'methods',
  'data',
  'datasets',
  'workdir',
  'evaluation',
  'config',
  'inference',
  'pretrained',
  'training',
  'tools',
  'cli',
  'configs',
  'launch',
)
RANK = {room: rank for rank, room in enumerate(ROOMS)}
TENSORFLOW = (  # and what is in them
  'classmix_jax.data.input_pipeline',
  'classmix_jax.inference.export.tensorflow',
  'classmix_jax.inference.export.run_file',  # a program for a process of its own
  'classmix_jax.datasets.scenes.builder',
)
OPTIONAL = (  # what may not be installed
  *TENSORFLOW,
  'classmix_jax.inference.export.onnx',
  'classmix_jax.inference.serve.app',
  'classmix_jax.inference.serve.channel',
)
TENSORBOARD = 'classmix_jax.training.tensorboard_writer'


def files():
  """Yields (room, module name, path) of every module."""
  for top in (PACKAGE, 'configs', 'launch'):
    for path in sorted((REPOSITORY / top).rglob('*.py')):
      parts = path.relative_to(REPOSITORY).with_suffix('').parts
      if parts == (PACKAGE, '__init__'):
        continue
      room = parts[1] if top == PACKAGE else top
      yield room, '.'.join(part for part in parts if part != '__init__'), path


def imports(path):
  """Yields (imported module, whether at module level)."""
  tree = ast.parse(path.read_text(encoding='utf-8'))
  inside = {
    id(node)
    for function in ast.walk(tree)
    if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for node in ast.walk(function)
  }
  for node in ast.walk(tree):
    outside = id(node) not in inside
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield alias.name, outside
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      for alias in node.names:
        yield f'{node.module}.{alias.name}', outside


def room_of(name):
  """The room that an imported name lies in, None for other packages."""
  parts = name.split('.')
  if parts[0] in ('configs', 'launch'):
    return parts[0]
  return parts[1] if parts[0] == PACKAGE and parts[1] != '__version__' else None


MODULES = list(files())


def test_every_room_has_a_rank():
  unknown = {room for room, _, _ in MODULES} - RANK.keys()
  assert not unknown, f'give {unknown} a place in RANK and in docs/architecture.md'


@pytest.mark.parametrize('room, name, path', MODULES, ids=[name for _, name, _ in MODULES])
def test_imports_point_one_way(room, name, path):
  for imported, _ in imports(path):
    other = room_of(imported)
    if other is None or other == room:
      continue
    assert RANK[other] < RANK[room], f'{name} imports {imported}'


@pytest.mark.parametrize('room, name, path', MODULES, ids=[name for _, name, _ in MODULES])
def test_heavy_packages_stay_in_their_rooms(room, name, path):
  for imported, at_module_level in imports(path):
    package = imported.split('.')[0]
    if package == 'tensorflow':
      assert name.startswith(TENSORFLOW), f'{name} imports TensorFlow'
    if imported.startswith(TENSORFLOW[:2]) and not name.startswith(TENSORFLOW[:2]):
      assert not at_module_level, f'{name} imports the input pipeline at once'
    if package == 'clu':  # its other modules import TensorFlow
      assert imported == 'clu.parameter_overview', f'{name} imports TensorFlow through clu'
    if package == 'tensorboard':
      assert name == TENSORBOARD and not at_module_level, f'{name} imports TensorBoard'
    if package == 'ml_collections' and room not in ('configs', 'launch'):
      assert room == 'config', f'{name} reads a config: let config/ make objects of it'


BLOCKER = """
import sys

class Blocker:
  def find_spec(self, name, path=None, target=None):
    if name.split('.')[0] in ('tensorflow', 'tensorboard'):
      raise ImportError(f'{name} is blocked')

sys.meta_path.insert(0, Blocker())
import importlib
for name in sys.argv[1:]:
  importlib.import_module(name)
print('done', 'tensorflow' in sys.modules)
"""


def test_everything_but_the_input_pipeline_imports_without_tensorflow():
  names = [
    name
    for room, name, _ in MODULES
    if not name.startswith(OPTIONAL) and room not in ('launch', 'cli')
  ]  # programs define flags
  assert f'{PACKAGE}.training.step' in names and f'{PACKAGE}.training.trainer' in names
  process = subprocess.run(
    [sys.executable, '-c', BLOCKER, *names], capture_output=True, text=True, cwd=REPOSITORY
  )
  assert process.returncode == 0, process.stderr
  assert process.stdout.split() == ['done', 'False']
