"""Predicts images with a run: class ids as PNG, a colour overlay, and how sure the network is.

    python launch/predict.py --workdir=RUN --input=DIR --output=DIR
    python launch/predict.py --workdir=RUN --input='photos/*.jpg' --output=DIR
    python launch/predict.py --workdir=RUN --input=drive.mp4 --output=DIR   # pip install '.[video]'
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags  # noqa: E402

from launch import command_line  # noqa: E402

WORKDIR = flags.DEFINE_string('workdir', '', 'Folder of the run.')
INPUT = flags.DEFINE_string(
    'input', '', 'An image, a video, a folder of images (nested folders too), or a glob.')
OUTPUT = flags.DEFINE_string(
    'output', '', 'Folder for NAME.png, NAME_overlay.png and NAME_confidence.png.')
STEP = flags.DEFINE_string('step', 'best', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
    'network', '', "'student' or 'teacher'; default: config.eval_network.")
BATCH_SIZE = flags.DEFINE_integer(
    'batch_size', 8, 'Images of one size that are predicted at once.', lower_bound=1)


def main() -> None:
  from classmix_jax.predict_files import predict_files
  from classmix_jax.types import UserError

  for name, value in (('--input', INPUT.value), ('--output', OUTPUT.value)):
    if not value:
      raise UserError(f'{name} is missing; for example {name}=DIR.')
  predict_files(
      command_line.existing_run(WORKDIR.value), INPUT.value, Path(OUTPUT.value).expanduser(),
      step=STEP.value, network=NETWORK.value, batch_size=BATCH_SIZE.value)


if __name__ == '__main__':
  command_line.run(main)
