"""The names of `import classmix_jax`, which imports nothing until one is asked for."""

import ast
import inspect
from pathlib import Path
import subprocess
import sys

import pytest

import classmix_jax as cm

# What others' programs call by these names.
ARGUMENTS = {
  'class_mask': 'key, label, num_classes',
  'confident_share': 'confidence, valid, threshold, global_batch',
  'confusion_matrix': 'prediction, label, num_classes',
  'cow_mask': 'key, label, num_classes',
  'cross_entropy': 'logits, label',
  'cut_mask': 'key, label, num_classes',
  'ema_decay': 'step, max_decay',
  'ema_update': 'new, average, decay',
  'export': 'run, output, formats, size, step, network',
  'iou': 'confusion',
  'load': 'run, step, network',
  'masked_mean': 'value, mask, global_batch, count',
  'mean_iou': 'confusion',
  'mix': 'mask, x, global_batch',
  'resize_bilinear': 'x, size',
  'squared_error': 'logits, prob',
  'strong_augment': 'key, image, jitter, blur, global_batch',
}
SOURCE = Path(cm.__file__).read_text(encoding='utf-8')


def test_names():
  for name in cm.__all__:
    assert getattr(cm, name) is not None and name in dir(cm)
  with pytest.raises(AttributeError, match="has no 'classmask'; there are .*class_mask"):
    cm.classmask  # noqa: B018


def test_arguments_stay_as_they_are():
  functions = {name: getattr(cm, name) for name in cm.__all__}
  found = {
    name: ', '.join(inspect.signature(function).parameters)
    for name, function in functions.items()
    if inspect.isfunction(function)
  }
  assert found == ARGUMENTS


def test_every_function_has_an_example():
  for name in ARGUMENTS.keys() - {'export', 'load'}:
    assert '>>> ' in inspect.getdoc(getattr(cm, name)), name


def test_type_checkers_see_the_same_names():
  block = next(node for node in ast.parse(SOURCE).body if isinstance(node, ast.If))
  told = {
    (node.module.removeprefix('classmix_jax.'), alias.name)
    for node in block.body
    for alias in node.names
  }
  assert told == {(module, name) for module, names in cm._HOMES.items() for name in names}


def test_importing_is_cheap():
  """Neither JAX nor TensorFlow by itself, and no TensorFlow for any name."""
  told = subprocess.run(
    [
      sys.executable,
      '-c',
      'import sys, classmix_jax as cm; print("jax" in sys.modules);'
      '[getattr(cm, name) for name in cm.__all__]; print("tensorflow" in sys.modules)',
    ],
    capture_output=True,
    text=True,
    check=True,
  )
  assert told.stdout.split() == ['False', 'False']
