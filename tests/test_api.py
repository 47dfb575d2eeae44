"""The public names of `import classmix_jax`, whose modules are imported at their first use."""

import ast
import inspect
from pathlib import Path
import subprocess
import sys

import pytest

import classmix_jax as cm

# Programs of users rely on these names and arguments.
ARGUMENTS = {
  'class_mask': 'key, label, num_classes, ignore',
  'confident_share': 'confidence, valid, threshold, global_batch',
  'confusion_matrix': 'prediction, label, num_classes, ignore',
  'cow_mask': 'key, label, num_classes, ignore',
  'cross_entropy': 'logits, label, ignore',
  'cut_mask': 'key, label, num_classes, ignore',
  'ema_decay': 'step, max_decay',
  'ema_update': 'new, average, decay',
  'export': 'run, output, formats, sizes, outputs, precision, calibration, score, step, network, '
  'report',
  'iou': 'confusion',
  'load': 'run, step, network',
  'masked_mean': 'value, mask, global_batch, count',
  'mean_iou': 'confusion',
  'mix': 'mask, x, global_batch',
  'resize_bilinear': 'x, size',
  'squared_error': 'logits, prob',
  'strong_augment': 'key, image, jitter, blur, global_batch',
}
BLOCK = next(
  node
  for node in ast.parse(Path(cm.__file__).read_text(encoding='utf-8')).body
  if isinstance(node, ast.With)
)
NAMES = [alias.asname for statement in BLOCK.body for alias in statement.names]


def test_names():
  assert len(NAMES) == len(set(NAMES)) and 'mix' in NAMES
  for name in NAMES:
    assert getattr(cm, name) is not None and name in dir(cm)
  with pytest.raises(AttributeError, match="'classmix_jax' has no attribute 'classmask'"):
    cm.classmask  # noqa: B018


def test_arguments_stay_as_they_are():
  functions = {name: getattr(cm, name) for name in NAMES}
  result = {
    name: ', '.join(inspect.signature(function).parameters)
    for name, function in functions.items()
    if inspect.isfunction(function)
  }
  assert result == ARGUMENTS


def test_every_function_has_an_example():
  for name in ARGUMENTS.keys() - {'export', 'load'}:
    assert '>>> ' in inspect.getdoc(getattr(cm, name)), name


def test_type_checkers_export_the_names():
  """`import x as x` is a public name of a typed package (PEP 484)."""
  for statement in BLOCK.body:
    assert [alias.asname for alias in statement.names] == [alias.name for alias in statement.names]


def test_importing_is_cheap():
  """Importing loads neither JAX nor TensorFlow, and no name loads TensorFlow."""
  process = subprocess.run(
    [
      sys.executable,
      '-c',
      'import sys, classmix_jax as cm; print("jax" in sys.modules);'
      f'[getattr(cm, name) for name in {NAMES}]; print("tensorflow" in sys.modules)',
    ],
    capture_output=True,
    text=True,
    check=True,
  )
  assert process.stdout.split() == ['False', 'False']
