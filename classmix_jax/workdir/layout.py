"""The run directory: the file layout and the paths that depend on a step.

RUN/config.json      the whole config
RUN/settings.txt     what decides the result, beside the settings of a paper; all parameters
RUN/classes.json     class names and palette: enough to predict without the data
RUN/pretrained.json  the initial weights, and how many of their tensors matched
RUN/started.json     arguments of the last start, and the versions of the libraries
RUN/splits/          the names of the labelled, of the unlabelled and of the validation images
RUN/data.json        the same images with sizes, times and digests of their files
RUN/checkpoints/     orbax
RUN/metrics.jsonl    one JSON object per logged step
RUN/tensorboard/     events
RUN/eval/STEP.json   evaluation results; STEP-PROTOCOL.json for other protocols;
                     STEP-confusion.csv the confusion matrix
RUN/predictions.png  validation images, ground truth and predictions
RUN/training.png     a training batch and its targets, at the last evaluation
RUN/report.html      a summary of the run on one page
RUN/nonfinite/STEP/  a batch with a non-finite loss or gradient, see training/nonfinite.py
RUN/left_out.json    unreadable examples, if config.data.on_error is 'skip'
RUN/compiled/        compiled GPU programs, see training/compilation_cache.py
RUN/lock             process and host of the current or last training
RUN/damaged_checkpoints/  checkpoints that could not be read when the run resumed

`run_files.py` reads and writes the small files, `resume.py` opens and locks the directory.
"""

from pathlib import Path


def evaluation_path(run: Path, step: int, protocol: str = '') -> Path:
  """Returns the JSON file of an evaluation; '' is the protocol of the run.

  Example:
    >>> evaluation_path(Path('RUN'), 500).as_posix()
    'RUN/eval/500.json'
  """
  return run / 'eval' / (f'{step}-{protocol}.json' if protocol else f'{step}.json')


def confusion_path(run: Path, step: int, protocol: str = '') -> Path:
  """Returns the CSV file of an evaluation's confusion matrix, of its headline network."""
  path = evaluation_path(run, step, protocol)
  return path.with_name(f'{path.stem}-confusion.csv')


def nonfinite_path(run: Path, step: int) -> Path:
  """Returns the directory for the batch of a non-finite step."""
  return run / 'nonfinite' / str(step)


def training_image_path(run: Path) -> Path:
  """Returns the figure of a training batch and its targets."""
  return run / 'training.png'


def settings_path(run: Path) -> Path:
  """Returns the text file of the settings that decide the result, and of the parameters."""
  return run / 'settings.txt'
