"""Predicts files, directories, patterns, lists and videos; the program launch/predict.py.

Synopsis:

    predict_files(Path('RUN'), 'photos', Path('OUT'))    # writes what result_files.py names
"""

from collections.abc import Iterator
import contextlib
import dataclasses
from pathlib import Path

from classmix_jax.errors import UserError
from classmix_jax.inference.predict_inputs import Input, find_inputs
from classmix_jax.inference.predictor import Predictor, convert_memory_errors, load
from classmix_jax.inference.result_files import (
  describe_write_error,
  write_class_names,
  write_results,
)
from classmix_jax.inference.result_names import check_results
from classmix_jax.utils.progress import progress

MAX_NAMED = 20  # failed images that are printed


@dataclasses.dataclass
class Outcome:
  """What is finished of a prediction.

  Attributes:
    output: directory of the results.
    total: number of images, None for a video.
    written: number of images whose results are written.
    errors: a sentence for every image that is left out.
  """

  output: Path
  total: int | None
  written: int = 0
  errors: list[str] = dataclasses.field(default_factory=list)

  def __str__(self) -> str:
    """Returns for example '3 of 5 images are finished'."""
    of = '' if self.total is None else f' of {self.total}'
    return f'{self.written}{of} images are finished'


def predict_files(
  run: Path, source: str, output: Path, *, step: str = 'best', network: str = ''
) -> None:
  """Predicts all images of a source; the program launch/predict.py.

  Images that are unreadable, or whose results cannot be written, are left out and reported at the
  end. Results of an earlier prediction are replaced.

  Args:
    run: directory of the run.
    source: see `find_inputs`.
    output: directory of the results.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.

  Raises:
    UserError: the run or the source does not exist, two images have the same name, images are
      unreadable, or results cannot be written.
  """
  inputs = find_inputs(source, output)
  for note in inputs.notes:
    print(f'note: {note}')
  if isinstance(inputs.images, list):
    check_results(inputs.images, output)
  predictor = load(run, step=step, network=network)
  outcome = Outcome(output, inputs.total, errors=list(inputs.errors))
  if inputs.total is not None:
    outcome.total = inputs.total + len(inputs.errors)
  with convert_interruptions(outcome):
    write_class_names(output, predictor.class_names)
    predict_images(predictor, iter(inputs.images), outcome)
  print(
    f'wrote class ids, overlays and confidence of {outcome.written} images and classes.json to '
    f'{output}'
  )
  raise_errors(outcome)


def predict_images(predictor: Predictor, images: Iterator[Input], outcome: Outcome) -> None:
  """Predicts images and writes their results; appends to the outcome.

  Raises:
    OSError: no file can be written: the disk is full or read-only.
  """
  report = progress('predicting', outcome.total)
  while True:
    try:
      one = next(images, None)  # decodes the frame of a video
      if one is None:
        return
      predict_image(predictor, one, outcome.output)
      outcome.written += 1
    except UserError as error:
      outcome.errors.append(str(error))
    report(outcome.written + len(outcome.errors))


def predict_image(predictor: Predictor, one: Input, output: Path) -> None:
  """Reads and predicts an image, and writes its results.

  Raises:
    UserError: it is unreadable, too large for the memory, or a result cannot be written.
    OSError: no file can be written: the disk is full or read-only.
  """
  image = predictor.read(one.image)
  with convert_memory_errors(f"'{one.name}'", image.shape[:2]):
    prediction = predictor.predict_rgb(image)
  write_results(output, one.name, image, prediction, predictor.palette)


@contextlib.contextmanager
def convert_interruptions(outcome: Outcome) -> Iterator[None]:
  """Adds the outcome to a KeyboardInterrupt, and converts errors of the disk to UserError."""
  try:
    yield
  except KeyboardInterrupt:
    raise KeyboardInterrupt(
      f'{outcome} in {outcome.output}; the same command starts again and replaces them.'
    ) from None
  except OSError as error:
    print_errors(outcome)
    raise UserError(
      f'{outcome.output} cannot be written {describe_write_error(error)}. {outcome}; the same '
      'command starts again.'
    ) from error


def print_errors(outcome: Outcome) -> None:
  """Prints a line for each image that is left out, up to a number."""
  for sentence in outcome.errors[:MAX_NAMED]:
    print(f'left out: {sentence}')
  if len(outcome.errors) > MAX_NAMED:
    print(f'left out: {len(outcome.errors) - MAX_NAMED} more')


def raise_errors(outcome: Outcome) -> None:
  """Raises UserError if images were left out; prints a line for each if there are several."""
  errors = outcome.errors
  if not errors:
    return
  if len(errors) > 1:
    print_errors(outcome)
  reason = errors[0] if len(errors) == 1 else "the lines 'left out' have the reasons."
  raise UserError(
    f'{len(errors)} of {outcome.written + len(errors)} images were left out, the others are '
    f'finished: {reason}'
  )
