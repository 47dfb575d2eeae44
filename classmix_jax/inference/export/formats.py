"""The formats of exports: their files, and what writes and reads them.

Synopsis:

    format = FORMATS['onnx']
    format.write(Job(network, 'float32'), Path('OUT/model.onnx'))

To add one: a function that writes it and a line in `FORMATS`, and how it is run in `run_file.py`.
"""

from collections.abc import Callable, Mapping, Sequence
import importlib
import json
from pathlib import Path
import tempfile
from typing import Any, NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.inference.export.calibration import CalibrationImages
from classmix_jax.inference.export.network import Network
from classmix_jax.inference.export.stablehlo import write_stablehlo
from classmix_jax.inference.export.trace import trace
from classmix_jax.types import Size
from classmix_jax.utils.text import describe_error

PACKAGE = 'classmix_jax.inference.export'
MAX_REASON = 200  # characters of a library's error; some print the whole network


class Job(NamedTuple):
  """What is written.

  Attributes:
    network: maps uint8 images of any size to named arrays.
    precision: a name of the format's `precisions`.
    sizes: (H, W) of the images, for formats of fixed sizes.
    calibration: typical images, for 'int8'.
    description: of the network, in one sentence.
    class_names: of class 0, 1, ...
  """

  network: Network
  precision: str = 'float32'
  sizes: Sequence[Size] = ()
  calibration: CalibrationImages | None = None
  description: str = ''
  class_names: Sequence[str] = ()


class Format(NamedTuple):
  """A format.

  Attributes:
    file: name of the file, or of the directory.
    write: writes a job to a path.
    fixed_sizes: whether it takes images of `Job.sizes` only, one at a time.
    precisions: in which it can be written.
    install: the pip command for what reads it.
    usage: Python that runs it on `images` `[B, H, W, 3]` uint8.
  """

  file: str
  write: Callable[[Job, Path], None]
  fixed_sizes: bool
  precisions: tuple[str, ...]
  install: str
  usage: str


def _stablehlo(job: Job, path: Path) -> None:
  write_stablehlo(job.network, path)


def _savedmodel(job: Job, path: Path) -> None:
  module = _import('tensorflow.savedmodel', 'SavedModel needs TensorFlow', 'tensorflow')
  module.write_savedmodel(trace(job.network, 'b, h, w'), path)


def _tflite(job: Job, path: Path) -> None:
  module = _import('tensorflow.tflite', 'TFLite needs TensorFlow', 'tensorflow')
  programs = [trace(job.network, f'1, {height}, {width}') for height, width in job.sizes]
  images = None if job.calibration is None else job.calibration.fitted
  module.write_tflite(programs, path, job.precision, images)


def _onnx(job: Job, path: Path) -> None:
  need, package = 'ONNX needs onnx and onnxruntime', "'classmix_jax[onnx]'"
  module = _import('onnx.write', need, package)
  with tempfile.TemporaryDirectory() as directory:
    written = path if job.precision == 'float32' else Path(directory, 'float32.onnx')
    metadata = {'class_names': json.dumps(list(job.class_names), ensure_ascii=False)}
    program = trace(job.network, 'b, h, w')
    module.write_onnx(program, written, description=job.description, metadata=metadata)
    if job.precision == 'float16':
      _import('onnx.float16', need, package).write_float16(written, path)
    elif job.precision == 'int8':
      _import('onnx.int8', need, package).write_int8(written, path, job.calibration)


def _import(module: str, need: str, package: str) -> Any:
  """Imports a module; raises UserError if a library is missing."""
  try:
    return importlib.import_module(f'{PACKAGE}.{module}')
  except ImportError as error:
    raise UserError(f'{need} ({error}): install it with pip install {package}.') from None


FORMATS: Mapping[str, Format] = {
  'stablehlo': Format(
    'model.stablehlo',
    _stablehlo,
    fixed_sizes=False,
    precisions=('float32', 'bfloat16'),
    install='pip install jax flatbuffers',
    usage="""\
from jax import export
with open('{path}', 'rb') as file:
  model = export.deserialize(bytearray(file.read()))
label = model.call(images)['label']""",
  ),
  'savedmodel': Format(
    'savedmodel',
    _savedmodel,
    fixed_sizes=False,
    precisions=('float32',),
    install='pip install tensorflow',
    usage="""\
import tensorflow as tf
model = tf.saved_model.load('{path}')
label = model(images)['label'].numpy()""",
  ),
  'tflite': Format(
    'model.tflite',
    _tflite,
    fixed_sizes=True,
    precisions=('float32', 'float16', 'int8'),
    install='pip install tensorflow',
    usage="""\
import tensorflow as tf
model = tf.lite.Interpreter('{path}').get_signature_runner('{height}x{width}')
label = model(images=images)['label']""",
  ),
  'onnx': Format(
    'model.onnx',
    _onnx,
    fixed_sizes=False,
    precisions=('float32', 'float16', 'int8'),
    install='pip install onnxruntime',
    usage="""\
import onnxruntime
model = onnxruntime.InferenceSession('{path}')
(label,) = model.run(['label'], {{'images': images}})""",
  ),
}


def add_precision(file: str, precision: str) -> str:
  """Returns the name of a file, so that exports of several precisions lie side by side.

  Example:
    >>> add_precision('model.onnx', 'float32'), add_precision('model.onnx', 'int8')
    ('model.onnx', 'model-int8.onnx')
  """
  path = Path(file)
  return path.name if precision == 'float32' else f'{path.stem}-{precision}{path.suffix}'


def write_format(name: str, job: Job, output: Path) -> Path:
  """Writes a network in a format.

  Args:
    name: a key of FORMATS.
    job: what is written.
    output: directory of the file.

  Raises:
    UserError: its library is missing, or does not support the network.
  """
  path = output / add_precision(FORMATS[name].file, job.precision)
  try:
    FORMATS[name].write(job, path)
  except UserError:
    raise
  except Exception as error:  # every library raises exceptions of its own
    raise UserError(
      f'{name} cannot be written of this network ({type(error).__name__}: '
      f'{describe_error(error)[:MAX_REASON]}); docs/export.md lists what was tested.'
    ) from error
  return path
