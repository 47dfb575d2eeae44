"""The names of `import classmix_jax`, which imports nothing until one is asked for."""

import ast
from pathlib import Path
import subprocess
import sys

import pytest

import classmix_jax as cm

SOURCE = Path(cm.__file__).read_text(encoding='utf-8')


def test_names():
  for name in cm.__all__:
    assert getattr(cm, name) is not None and name in dir(cm)
  with pytest.raises(AttributeError, match="has no 'classmask'; there are .*class_mask"):
    cm.classmask  # noqa: B018


def test_type_checkers_see_the_same_names():
  block = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
  told = {(node.module.removeprefix('classmix_jax.'), alias.name)
          for node in block.body for alias in node.names}
  assert told == {(module, name) for module, names in cm._HOMES.items() for name in names}


def test_importing_is_cheap():
  """Neither JAX nor TensorFlow by itself, and no TensorFlow for any name."""
  told = subprocess.run(
      [sys.executable, '-c',
       'import sys, classmix_jax as cm; print("jax" in sys.modules);'
       '[getattr(cm, name) for name in cm.__all__]; print("tensorflow" in sys.modules)'],
      capture_output=True, text=True, check=True)
  assert told.stdout.split() == ['False', 'False']
