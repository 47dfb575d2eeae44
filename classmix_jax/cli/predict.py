"""Predicts images with a run: writes class ids, a colour overlay and the confidence as PNG.

python launch/predict.py --workdir=RUN --input=DIR --output=DIR
python launch/predict.py --workdir=RUN --input='photos/*.jpg' --output=DIR
python launch/predict.py --workdir=RUN --input=list.txt --output=DIR
python launch/predict.py --workdir=RUN --input=drive.mp4 --output=DIR

Videos need `pip install 'classmix_jax[video]'`. The exit status is 0 if all images are predicted,
2 if images were left out, each with its reason, and 130 after Ctrl-C.
"""

from pathlib import Path

from absl import flags

from classmix_jax.cli import command_line

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
INPUT = flags.DEFINE_string(
  'input',
  '',
  'An image, a directory (searched recursively), a pattern in quotes, a text file with a path in '
  'every line, or a video.',
)
OUTPUT = flags.DEFINE_string(
  'output', '', 'Directory for NAME.png, NAME_overlay.png and NAME_confidence.png.'
)
STEP = flags.DEFINE_string('step', 'best', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
  'network', '', "'student' or 'teacher'; default: config.eval_network."
)


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.inference.predict_files import predict_files

  for name, value in (('--input', INPUT.value), ('--output', OUTPUT.value)):
    if not value:
      raise UserError(f'{name} is missing; for example {name}=DIR.')
  predict_files(
    command_line.existing_run(WORKDIR.value),
    INPUT.value,
    Path(OUTPUT.value).expanduser(),
    step=STEP.value,
    network=NETWORK.value,
  )
