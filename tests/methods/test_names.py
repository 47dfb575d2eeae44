"""Only the room `methods` names a method, its networks and its hyper-parameters."""

import ast
from pathlib import Path
import re

import pytest
import small

from classmix_jax.methods import METHODS, hyper_parameters, network_names

REPOSITORY = Path(__file__).resolve().parents[2]
FILES = [
  path
  for top in ('classmix_jax', 'configs')
  for path in sorted((REPOSITORY / top).rglob('*.py'))
  if (REPOSITORY / 'classmix_jax' / 'methods') not in path.parents
]
# Names of the command line, of checkpoints and of weights files.
COMMON = {'student', 'teacher', 'segmenter'}
# Hyper-parameters whose names are words of other modules, too: only `method.NAME` is a reference.
WORDS = {'mask', 'threshold', 'blur', 'grey', 'gamma', 'trust', 'rounds', 'strength', 'jitter'}


def networks():
  """Names of all networks: those that predict, and the keys of the state."""
  keys = set(network_names())
  for name in METHODS:
    state = small.start(name)
    keys |= state.params.keys() | state.model_state.keys() | state.method_state.keys()
  return keys - COMMON


def strings(tree):
  """Yields the string constants of a module except docstrings."""
  docstrings = {
    id(node.body[0].value)
    for node in ast.walk(tree)
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
    and node.body
    and isinstance(node.body[0], ast.Expr)
  }
  for node in ast.walk(tree):
    value = getattr(node, 'value', None)
    if isinstance(node, ast.Constant) and isinstance(value, str) and id(node) not in docstrings:
      yield value


def method_fields(tree):
  """Yields NAME of expressions such as `config.method.NAME`."""
  for node in ast.walk(tree):
    if isinstance(node, ast.Attribute) and getattr(node.value, 'attr', '') == 'method':
      yield node.attr


@pytest.fixture(scope='module', name='names')
def all_names():
  fields = {field for name in METHODS for field in hyper_parameters(name)}
  return set(METHODS), networks(), fields


@pytest.mark.parametrize('path', FILES, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_nothing_else_names_a_method(path, names):
  methods, networks, fields = names
  tree = ast.parse(path.read_text(encoding='utf-8'))
  constants = set(strings(tree))
  assert not constants & methods
  if 'models' not in path.parts:  # where 'classifier' is a layer
    assert not constants & networks
  assert not constants & (fields - WORDS)
  dotted = {field for text in constants for field in re.findall(r'\bmethod\.(\w+)', text)}
  assert not (dotted | set(method_fields(tree))) & fields
