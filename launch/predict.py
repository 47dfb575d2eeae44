"""Predicts images with a run: class ids as PNG, and a colour overlay to look at.

    python launch/predict.py --workdir=RUN --input=DIR --output=DIR
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags  # noqa: E402

from launch import command_line  # noqa: E402

WORKDIR = flags.DEFINE_string('workdir', '', 'Folder of the run.')
INPUT = flags.DEFINE_string('input', '', 'An image, or a folder of images (nested folders too).')
OUTPUT = flags.DEFINE_string('output', '', 'Folder for NAME.png and NAME_overlay.png.')
STEP = flags.DEFINE_string('step', 'best', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
    'network', '', "'student' or 'teacher'; default: config.eval_network.")


def main() -> None:
  from classmix_jax.predict import predict_images
  from classmix_jax.types import UserError

  for name, value in (('--input', INPUT.value), ('--output', OUTPUT.value)):
    if not value:
      raise UserError(f'{name} is missing; for example {name}=DIR.')
  predict_images(
      command_line.existing_run(WORKDIR.value), Path(INPUT.value).expanduser(),
      Path(OUTPUT.value).expanduser(), step=STEP.value, network=NETWORK.value)


if __name__ == '__main__':
  command_line.run(main)
