"""Evaluates a run: prints the IoU of every class and writes RUN/eval/<step>.json.

    python launch/evaluate.py --workdir=RUN
    python launch/evaluate.py --workdir=RUN --images=TEST/images --masks=TEST/masks
    python launch/evaluate.py --workdir=RUN --root=TEST --part=test --label_map='255:1'
    python launch/evaluate.py --workdir=RUN --step=best --write_predictions=DIR \
        --protocol=sliding --window=801,801 --stride=534,534 --flip --scales=0.75,1,1.25

The result on other images than the run's own is written to RUN/eval/<step>-<set>.json, that of
another protocol to RUN/eval/<step>-<protocol>.json. See docs/evaluation.md.
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
BATCH_SIZE = flags.DEFINE_integer(
  'eval_batch_size', 0, 'Images at once; default: config.eval_batch_size.', lower_bound=0
)
PREDICTIONS = flags.DEFINE_string(
  'write_predictions', '', "Directory for the headline network's predictions, class ids as PNG."
)

# The images; without these flags the run's own for validation.
ROOT = flags.DEFINE_string(
  'root', '', 'Directory of another data set in any layout, or of the own one if it has moved.'
)
IMAGES = flags.DEFINE_string('images', '', 'Directory or pattern of images, with --masks.')
MASKS = flags.DEFINE_string('masks', '', 'Directory or pattern of masks, with --images.')
PART = flags.DEFINE_string(
  'part', '', "'val', 'test' or 'all' images with a mask; default: the first that there is."
)

# How the masks and images of such a set are read; flags that are not given are those of the run.
OPTIONS = (
  flags.DEFINE_string('classes', None, 'Class file of the set; default: the one in it.'),
  flags.DEFINE_string('label_map', None, "Classes of values, e.g. '255:1,7:void'; '' for none."),
  flags.DEFINE_string('colors', None, "Classes of colours, e.g. '#804080:0'."),
  flags.DEFINE_string('ignore', None, "Values that are void, e.g. '0,3'."),
  flags.DEFINE_integer('mask_threshold', None, 'Grey values from this one on are class 1 of two.'),
  flags.DEFINE_float('color_distance', None, 'Distance within which colours are those of a class.'),
  flags.DEFINE_string('others', None, "'void' for values and colours without a class."),
  flags.DEFINE_string('transparent', None, 'Class of transparent pixels.'),
  flags.DEFINE_bool('turn_masks', None, 'Turn masks by the EXIF tag of their images.'),
  flags.DEFINE_string('bands', None, "Bands of the images, e.g. '4,3,2'."),
  flags.DEFINE_string('value_range', None, "Values that become 0..255, e.g. '0:3060'."),
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
  from classmix_jax.inference.data_flags import DataFlags
  from classmix_jax.inference.evaluate_run import evaluate_run

  options = {flag.name: flag.value for flag in OPTIONS if flag.value is not None}
  evaluate_run(
    command_line.existing_run(WORKDIR.value),
    step=STEP.value,
    network=NETWORK.value,
    data=DataFlags(ROOT.value, IMAGES.value, MASKS.value, PART.value, options),
    eval_batch_size=BATCH_SIZE.value,
    protocol=protocol_fields(),
    write_predictions=PREDICTIONS.value,
  )
