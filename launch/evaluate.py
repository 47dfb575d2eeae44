"""Evaluates a run: restores from orbax, prints per-class IoU, writes RUN/eval/<step>.json.

    python launch/evaluate.py --workdir=RUN
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags  # noqa: E402

from launch import command_line  # noqa: E402

WORKDIR = flags.DEFINE_string('workdir', '', 'Folder of the run.')
STEP = flags.DEFINE_string('step', 'latest', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
    'network', '', "Headline network: 'student' or 'teacher'; default: config.eval_network.")
ROOT = flags.DEFINE_string('root', '', 'Folder of the data set, if it has moved.')


def main() -> None:
  from classmix_jax.evaluator import evaluate_run

  evaluate_run(
      command_line.existing_run(WORKDIR.value), step=STEP.value, network=NETWORK.value,
      root=ROOT.value)


if __name__ == '__main__':
  command_line.run(main)
