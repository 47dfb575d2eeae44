"""Imports point one way, and training imports without TensorFlow."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = 'classmix_jax'

# A module imports only from rooms of a lower rank, or from its own room.
RANK = {
    'types': 0, 'cache': 0, 'files': 0, 'gpu_kernels': 0, 'parallel': 0, 'preemption': 0,
    'tensorboard_writer': 0, 'words': 0,
    'core': 1, 'intact': 1, 'splits': 1, 'sources': 1, 'geometry': 1,
    'datasets': 1, 'logbook': 1, 'pictures': 1, 'fingerprint': 1,
    'processes': 1,
    'health': 1, 'ranges': 1,
    'checkpoint': 2, 'masks': 2, 'backbones': 2, 'rundir': 2, 'disk_copy': 2, 'protocols': 2,
    'example_reader': 2, 'labels': 2,
    'readable': 2,
    'eval_batches': 3, 'models': 3, 'nonfinite': 3, 'thread_pipeline': 3,
    'methods': 4, 'train': 5, 'evaluate': 5,
    'input_pipeline': 6, 'device_batches': 6, 'build': 6, 'pseudo_labels': 6,
    'networks': 7,
    'configs': 8, 'evaluator': 8, 'data_check': 8, 'weights': 8,
    'after_step': 9, 'predict': 9, 'comparison': 9, 'report': 9, 'exporter_tensorflow': 9,
    'exporter_onnx': 9,
    'experiment': 10, 'predict_files': 10, 'exporter': 10,
    'launch': 11,
}
ONLY = {  # stricter than the rank
    'input_pipeline': {'types', 'parallel', 'geometry', 'example_reader'},
    'thread_pipeline': {'types', 'parallel', 'splits', 'geometry', 'example_reader'},
    'eval_batches': {'types', 'parallel', 'splits', 'geometry', 'example_reader'},
    'example_reader': {'types', 'splits', 'geometry'},
    'train': {'types', 'core'},
    'masks': {'types', 'core'},
    'core': {'types'},
}
CONFIG_READERS = {
    'build', 'networks', 'evaluator', 'data_check', 'experiment', 'predict', 'configs', 'launch',
    'report', 'exporter', 'after_step'}
TENSORFLOW = ('input_pipeline', 'exporter_tensorflow')


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
      id(node) for function in ast.walk(tree)
      if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
      for node in ast.walk(function)}
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
    assert other in ONLY.get(room, RANK), f'{name} imports {imported}'


@pytest.mark.parametrize('room, name, path', MODULES, ids=[name for _, name, _ in MODULES])
def test_heavy_packages_stay_in_their_rooms(room, name, path):
  for imported, at_module_level in imports(path):
    package = imported.split('.')[0]
    if package == 'ml_collections':
      assert room in CONFIG_READERS, f'{name} reads configs'
    if package == 'tensorflow':
      assert room in TENSORFLOW, f'{name} imports TensorFlow'
    if room_of(imported) in TENSORFLOW and room != 'launch':
      assert not at_module_level, f'{name} imports the input pipeline at once'
    if package == 'clu':  # its other modules import TensorFlow
      assert imported == 'clu.parameter_overview', f'{name} imports TensorFlow through clu'
    if package == 'tensorboard':
      assert room == 'tensorboard_writer' and not at_module_level, f'{name} imports TensorBoard'


BLOCKER = '''
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
'''


def test_everything_but_the_input_pipeline_imports_without_tensorflow():
  names = [name for room, name, _ in MODULES
           if room not in (*TENSORFLOW, 'exporter_onnx', 'launch')]  # jax2onnx may be missing
  assert f'{PACKAGE}.train' in names and f'{PACKAGE}.experiment' in names
  told = subprocess.run(
      [sys.executable, '-c', BLOCKER, *names], capture_output=True, text=True, cwd=REPOSITORY)
  assert told.returncode == 0, told.stderr
  assert told.stdout.split() == ['done', 'False']
