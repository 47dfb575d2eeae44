"""Runs exported files in fresh processes, and compares them with the network in JAX.

Synopsis:

    images = draw_images([(360, 480), (271, 361)])       # three images of two sizes
    expected = predict_images(trained, images)
    check = compare(*run_file('onnx', Path('OUT/model.onnx'), images), expected)
    check.difference, check.pixels, check.milliseconds
"""

from collections.abc import Mapping, Sequence
import itertools
from pathlib import Path
import subprocess
import sys
import tempfile
from typing import Any, NamedTuple

import jax
import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.inference.export import run_file as script
from classmix_jax.inference.export.calibration import CalibrationImages
from classmix_jax.inference.export.network import Trained, training_form
from classmix_jax.types import Size
from classmix_jax.utils.text import describe_error

REPETITIONS = 3  # timed calls, after one that is not

Images = Mapping[str, np.ndarray]  # name of a size -> images `[B, H, W, 3]` uint8
Outputs = Mapping[str, np.ndarray]  # 'SIZE/label', 'SIZE/logits', 'SIZE/confidence'; 'seconds'


class Check(NamedTuple):
  """An exported file compared with JAX.

  Attributes:
    difference: largest difference of logits, relative to the largest logit; of confidences if the
      file has no logits, None if it has neither.
    pixels: fraction of the pixels with another class, None if the file has no class ids.
    milliseconds: of one image of the first size, the fastest of several.
    library: that ran the file.
  """

  difference: float | None
  pixels: float | None
  milliseconds: float
  library: str


def draw_images(sizes: Sequence[Size]) -> dict[str, np.ndarray]:
  """Draws two images of the first size and one of each other, smooth and colourful."""
  rng = np.random.default_rng(0)
  images = {}
  for index, (height, width) in enumerate(sizes):
    coarse = rng.integers(0, 256, (2 if index == 0 else 1, -(-height // 8), -(-width // 8), 3))
    large = np.kron(coarse, np.ones((1, 8, 8, 1), int))
    images[f'{height}x{width}'] = large[:, :height, :width].astype(np.uint8)
  return images


def fit_images(calibration: CalibrationImages, sizes: Sequence[Size]) -> dict[str, np.ndarray]:
  """Returns two typical images of the first size, and one of each other."""
  return {
    f'{height}x{width}': np.concatenate(
      list(itertools.islice(calibration.fitted(height, width), 2 if index == 0 else 1))
    )
    for index, (height, width) in enumerate(sizes)
  }


def predict_images(trained: Trained, images: Images) -> dict[str, np.ndarray]:
  """Returns the outputs of the network as it is trained, and the seconds per image."""
  # Also on an accelerator, if JAX has no CPU, products of float32 are those of float32.
  with jax.default_matmul_precision('highest'):
    return script.run_all(jax.jit(training_form(trained)), images, REPETITIONS)


def run_file(kind: str, path: Path, images: Images) -> tuple[dict[str, np.ndarray], str]:
  """Runs a file in a fresh process; returns its outputs and the name of its library.

  Raises:
    UserError: the process fails.
  """
  with tempfile.TemporaryDirectory() as directory:
    inputs, outputs = Path(directory, 'inputs.npz'), Path(directory, 'outputs.npz')
    np.savez(inputs, **images)  # type: ignore[arg-type]
    # -P: the packages beside the script have the names of libraries.
    command = [sys.executable, '-P', script.__file__, kind, path, inputs, outputs, REPETITIONS]
    process = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if process.returncode:
      lines = process.stderr.strip().splitlines() or ['no message']
      raise UserError(
        f'{path} does not run in a fresh process: {describe_error(RuntimeError(lines[-1]))}. The '
        'file should not be used.'
      )
    with np.load(outputs, allow_pickle=False) as arrays:
      return dict(arrays), process.stdout.strip().splitlines()[-1]


def compare(result: Outputs, library: str, expected: Outputs) -> Check:
  """Compares the outputs of a file with those of JAX, over all images."""
  sizes = list(dict.fromkeys(key.split('/')[0] for key in result if '/' in key))
  compared = 'logits' if f'{sizes[0]}/logits' in result else 'confidence'
  keys = [f'{size}/{compared}' for size in sizes if f'{size}/{compared}' in result]
  differences = [np.abs(result[key] - expected[key]).max() for key in keys]
  largest = max((np.abs(expected[key]).max() for key in keys), default=1.0)
  labels = {size: find_label(result, f'{size}/') for size in sizes}
  wrong = [
    label != expected[f'{size}/label'] for size, label in labels.items() if label is not None
  ]
  return Check(
    difference=float(max(differences) / largest) if keys else None,
    pixels=float(np.concatenate([each.ravel() for each in wrong]).mean()) if wrong else None,
    milliseconds=1e3 * float(result['seconds'].min()),
    library=library,
  )


def find_label(outputs: Mapping[str, Any], prefix: str = '') -> Any:
  """Returns the class ids, of the logits if there are no others, or None without both.

  Args:
    outputs: of a network.
    prefix: of the names of the outputs.
  """
  if f'{prefix}label' in outputs:
    return outputs[f'{prefix}label']
  logits = outputs.get(f'{prefix}logits')
  return None if logits is None else np.asarray(logits).argmax(-1)
