"""Evaluates a run: prints the IoU of every class and writes RUN/eval/<step>.json.

    python launch/evaluate.py --workdir=RUN
    python launch/evaluate.py --workdir=RUN --step=best --write_predictions=DIR \
        --protocol=sliding --window=801,801 --stride=534,534 --flip --scales=0.75,1,1.25

The result of a protocol other than the run's is written to RUN/eval/<step>-<protocol>.json.
"""

from collections.abc import Callable
from typing import Any

from absl import flags

from classmix_jax.cli import command_line

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
STEP = flags.DEFINE_string('step', 'latest', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
  'network', '', "Headline network: 'student' or 'teacher'; default: config.eval_network."
)
ROOT = flags.DEFINE_string('root', '', 'Directory of the data set, if it has moved.')
BATCH_SIZE = flags.DEFINE_integer(
  'eval_batch_size', 0, 'Images at once; default: config.eval_batch_size.', lower_bound=0
)
PREDICTIONS = flags.DEFINE_string(
  'write_predictions', '', "Directory for the headline network's predictions, class ids as PNG."
)

# Flags that are not given keep the value of the run's config.eval.
PROTOCOL = flags.DEFINE_string(
  'protocol', None, "Another protocol: 'paper', 'full', 'native' or 'sliding'."
)
PAD = flags.DEFINE_string('pad', None, 'H,W to which paper pads images.')
WINDOW = flags.DEFINE_string('window', None, 'H,W of the windows of sliding.')
STRIDE = flags.DEFINE_string('stride', None, 'Distance of the windows of sliding, down,right.')
MULTIPLE = flags.DEFINE_integer('multiple', None, 'native resizes images to multiples of this.')
FLIP = flags.DEFINE_bool('flip', None, 'Average with the mirrored image.')
SCALES = flags.DEFINE_string('scales', None, "Average over sizes, e.g. '0.75,1,1.25'.")


def numbers(flag: flags.FlagHolder, kind: Callable[[str], Any]) -> tuple | None:
  """Parses '801,534' as (801, 534); returns None if the flag is missing."""
  from classmix_jax.errors import UserError

  try:
    return flag.value and tuple(map(kind, flag.value.split(',')))
  except ValueError:
    raise UserError(
      f'--{flag.name}={flag.value} is not understood; write numbers and commas only.'
    ) from None


def protocol_fields() -> dict[str, Any]:
  """Returns the fields of config.eval that flags replace."""
  fields = {
    'protocol': PROTOCOL.value,
    'pad': numbers(PAD, int),
    'window': numbers(WINDOW, int),
    'stride': numbers(STRIDE, int),
    'multiple': MULTIPLE.value,
    'flip': FLIP.value,
    'scales': numbers(SCALES, float),
  }
  return {name: value for name, value in fields.items() if value is not None}


def main() -> None:
  from classmix_jax.inference.evaluate_run import evaluate_run

  evaluate_run(
    command_line.existing_run(WORKDIR.value),
    step=STEP.value,
    network=NETWORK.value,
    root=ROOT.value,
    eval_batch_size=BATCH_SIZE.value,
    protocol=protocol_fields(),
    write_predictions=PREDICTIONS.value,
  )
