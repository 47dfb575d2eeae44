"""Exports a trained network as StableHLO, SavedModel, TFLite or ONNX.

Synopsis:

    export('RUN', 'OUT', formats=['stablehlo', 'onnx'])

    OUT/model.stablehlo    jax.export.deserialize(file.read()).call(images)
    OUT/savedmodel/        tf.saved_model.load('OUT/savedmodel')(images)
    OUT/model.tflite       LiteRT, one image of a fixed size at a time
    OUT/model.onnx         onnxruntime.InferenceSession('OUT/model.onnx').run(None, {'images': ...})
    OUT/MODEL_CARD.md      network, training data, scores, licences, and how each file is run

Each model takes `[B, H, W, 3]` uint8 RGB of any B, H and W (TFLite: of those chosen), does all
else itself, and returns `label`, `logits` or `confidence`, see `network.py`. After writing, every
file is run in a fresh process and compared with the network as it is trained.
"""

from collections.abc import Callable, Sequence
import os
from pathlib import Path
from typing import NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.inference.export.calibration import open_calibration
from classmix_jax.inference.export.fixed_size import choose_tested_sizes, evaluation_size
from classmix_jax.inference.export.formats import FORMATS, Job, add_precision, write_format
from classmix_jax.inference.export.model_card import Written, model_card
from classmix_jax.inference.export.network import (
  OUTPUTS,
  Trained,
  change_dtype,
  exported_network,
  restore,
)
from classmix_jax.inference.export.score_files import Scores, score_files
from classmix_jax.inference.export.self_test import (
  Check,
  compare,
  draw_images,
  fit_images,
  predict_images,
  run_file,
)
from classmix_jax.types import Size
from classmix_jax.utils.atomic_write import write_atomically

TOLERANCE = 1e-4  # largest difference of float32 logits, relative to the largest
MAX_PIXELS = 0.2  # of lower precision: largest fraction of the pixels with another class


class Exported(NamedTuple):
  """What was written.

  Attributes:
    files: in the order of the formats.
    card: the model card.
    size: (H, W) of the images that were timed.
    title: what this size is, '' if it was chosen.
    milliseconds: of one such image in JAX, of the network as it is trained.
    scores: the mIoU on the validation images, if measured.
    left_out: what the run's evaluation averages over, and the files do not.
  """

  files: list[Written]
  card: Path
  size: Size
  title: str
  milliseconds: float
  scores: Scores
  left_out: Sequence[str] = ()


def export(
  run: str | os.PathLike,
  output: str | os.PathLike,
  *,
  formats: Sequence[str] = ('stablehlo',),
  sizes: Sequence[Size] = (),
  outputs: Sequence[str] = ('label', 'logits'),
  precision: str = 'float32',
  calibration: str = '',
  score: bool | None = None,
  step: str = 'best',
  network: str = '',
  report: Callable[[Written], None] = lambda file: None,
) -> Exported:
  """Writes a network of a run in some formats and compares each with JAX.

  Args:
    run: directory of the run.
    output: directory of the files.
    formats: names of `FORMATS`.
    sizes: (H, W) of the images, for formats of fixed sizes; none takes the evaluation size.
    outputs: names of `OUTPUTS`.
    precision: 'float32', or one that all formats have, see `FORMATS`.
    calibration: images for 'int8', as for `predict`; '' takes unlabelled images of the run.
    score: whether to measure the mIoU of each file on the validation images; None does so for
      other precisions than float32, if the images are there.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.
    report: called with each file after its test.

  Returns:
    The files, with the results of their tests.

  Raises:
    UserError: the run, the format, the output or the network does not exist; a library is missing;
      a library cannot write the network, or what it wrote differs from JAX; the images for the
      calibration or the score are missing.
  """
  run, output = Path(run).expanduser().absolute(), Path(output).expanduser().absolute()
  check_choices(formats, outputs, precision)
  trained = restore(run, step, network)
  sizes, title = list(dict.fromkeys(sizes)), ''
  if not sizes:
    size, title = evaluation_size(run)
    sizes = [size]
  make_directory(output)
  calibrating = open_calibration(run, calibration) if precision == 'int8' else None
  tested_sizes = list(dict.fromkeys([*sizes, *choose_tested_sizes(sizes[0])]))
  images = fit_images(calibrating, tested_sizes) if calibrating else draw_images(tested_sizes)
  expected = predict_images(trained, images)
  description = f'{trained.name} at step {trained.step} of a run of classmix_jax'
  written = change_dtype(trained, run, 'bfloat16') if precision == 'bfloat16' else trained
  job = Job(
    exported_network(written, outputs),
    precision,
    sizes,
    calibrating,
    description,
    trained.class_names,
  )
  files = []
  for kind in dict.fromkeys(formats):
    path = write_format(kind, job, output)
    fixed = sizes if FORMATS[kind].fixed_sizes else []
    tested = {f'{h}x{w}': images[f'{h}x{w}'] for h, w in fixed} or images
    check = compare(*run_file(kind, path, tested), expected)
    check_difference(path, check, precision)
    files.append(Written(kind, path, precision, fixed, check))
    report(files[-1])
  scores = measure_scores(run, trained, files, score)
  files = [file._replace(miou=scores.miou.get(file.path.name)) for file in files]
  card = output / add_precision('MODEL_CARD.md', precision)
  write_atomically(card, model_card(run, trained, outputs, files))
  milliseconds = 1e3 * float(expected['seconds'].min())
  return Exported(files, card, sizes[0], title, milliseconds, scores, trained.left_out)


def measure_scores(
  run: Path, trained: Trained, files: Sequence[Written], score: bool | None
) -> Scores:
  """Returns the mIoU of files; arguments are those of `export`."""
  reduced = any(file.precision != 'float32' for file in files)
  if not (reduced if score is None else score):
    return Scores({}, 0, [])
  try:
    return score_files(run, trained, files)
  except UserError as error:
    if score:
      raise
    return Scores({}, 0, [f'the loss of mIoU is not measured: {error}'])


def make_directory(path: Path) -> None:
  """Makes the directory of the files; raises UserError if that is impossible."""
  try:
    path.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise UserError(
      f'--output={path} cannot be made a directory ({error.strerror}); choose another.'
    ) from None


def check_choices(formats: Sequence[str], outputs: Sequence[str], precision: str) -> None:
  """Raises UserError if a format or output does not exist, or a format lacks the precision."""
  for flag, names, known in (('format', formats, FORMATS), ('outputs', outputs, OUTPUTS)):
    unknown = [name for name in names if name not in known]
    if unknown or not names:
      found = repr(unknown[0]) if unknown else 'no names'
      raise UserError(f'--{flag} has {found}; choose of {", ".join(known)}.')
  for name in formats:
    if precision not in FORMATS[name].precisions:
      raise UserError(
        f'--precision={precision} is none of {name}, which has '
        f'{", ".join(FORMATS[name].precisions)}; choose another, or another format.'
      )


def check_difference(path: Path, check: Check, precision: str) -> None:
  """Raises UserError if a file's outputs differ from JAX's by more than rounding."""
  if precision == 'float32':
    if check.difference is not None and not check.difference <= TOLERANCE:
      raise UserError(
        f"the logits of {path} differ from JAX's by {check.difference:.1e} of the largest, more "
        f'than {TOLERANCE:g}; the file should not be used.'
      )
  elif check.pixels is not None and check.pixels > MAX_PIXELS:
    raise UserError(
      f'{100 * check.pixels:.0f} % of the pixels have another class in {path} than in JAX: the '
      f'network loses too much in {precision}; choose another --precision or --format.'
    )
