"""Writes TFLite files with one signature for each size of the images.

TFLite's operations have fixed sizes. The signatures share the weights. No operations of TensorFlow
are used, which TFLite's runtime would not have.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
import os
from pathlib import Path
import re
import tempfile
from typing import Any
import warnings

import numpy as np
import tensorflow as tf

from classmix_jax.inference.export.tensorflow.savedmodel import Model
from classmix_jax.inference.export.trace import Program
from classmix_jax.utils.atomic_write import replacing

PRECISIONS = ('float32', 'float16', 'int8')

Images = Callable[[int, int], Iterator[np.ndarray]]


def name_signature(program: Program) -> str:
  """Returns the name of the signature for the images of a program, such as '360x480'."""
  _, height, width, _ = program.jaxpr.in_avals[0].shape
  return f'{height}x{width}'


def write_tflite(
  programs: Sequence[Program],
  path: str | os.PathLike,
  precision: str = 'float32',
  calibration: Images | None = None,
) -> None:
  """Writes programs as one TFLite file.

  Args:
    programs: of `trace(network, '1, 360, 480')`, one for each size.
    path: of the file.
    precision: 'float32'; 'float16', in which weights are stored; 'int8', in which all operations
      compute that have such a form in TFLite.
    calibration: `(height, width)` -> typical images `[1, height, width, 3]` uint8, for 'int8'.

  Raises:
    NotImplementedError: TensorFlow or TFLite has no operation for one of the programs.
    ValueError: the precision is unknown, or 'int8' without images.
  """
  if precision not in PRECISIONS or (precision == 'int8') != (calibration is not None):
    raise ValueError(f'precision {precision!r}: float32, float16, or int8 with calibration')
  model = Model(programs)
  signatures = {
    name_signature(program): function.get_concrete_function()
    for program, function in zip(programs, model.functions, strict=True)
  }
  with tempfile.TemporaryDirectory() as directory:
    tf.saved_model.save(model, directory, signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(directory, list(signatures))
    _choose_precision(converter, precision, programs, calibration)
    data = _convert(converter)
  with replacing(Path(path)) as temporary:
    temporary.write_bytes(data)


def _convert(converter: Any) -> bytes:
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # that tf.lite, which calibrates, moves to another package
      return converter.convert()
  except Exception as error:  # of several classes, with pages of text
    missing = re.search(r'TF Select ops: (.*)', str(error))
    if missing is None:
      raise
    raise NotImplementedError(f'TFLite has no operation {missing[1]} of TensorFlow') from None


def _choose_precision(
  converter: Any, precision: str, programs: Sequence[Program], calibration: Images | None
) -> None:
  if precision == 'float32':
    return
  converter.optimizations = [tf.lite.Optimize.DEFAULT]
  if precision == 'float16':
    converter.target_spec.supported_types = [tf.float16]
  else:
    # The second kind are those of float32, for what has no form in int8.
    converter.target_spec.supported_ops = [
      tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
      tf.lite.OpsSet.TFLITE_BUILTINS,
    ]
    converter.representative_dataset = lambda: _calibrate(programs, calibration)


def _calibrate(programs: Sequence[Program], calibration: Any) -> Iterator[tuple[str, Mapping]]:
  """Yields the signature and the input of each image."""
  for program in programs:
    _, height, width, _ = program.jaxpr.in_avals[0].shape
    for image in calibration(height, width):
      yield name_signature(program), {'images': image}
