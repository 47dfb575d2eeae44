"""Converts weights of other projects to a directory for config.model.pretrained, and back.

    python launch/convert.py --input=resnet101COCO-41f33a49.pth --output=coco \\
        --backbone=resnet101 --head=deeplab_v2
    python launch/convert.py --input=unimatch_v2.pth --output=v2 --backbone=dinov2_small \\
        --head=dpt_small --network=teacher
    python launch/convert.py --input=resnet50-0676ba61.pth --output=imagenet --backbone=resnet50
    python launch/convert.py --input=hub:resnet50 --output=imagenet --backbone=resnet50
    python launch/convert.py --input=RUN --network=teacher --output=teacher.safetensors

The report lists every tensor. Unless the file holds exactly the network, apart from its head, the
program ends with status 2 and writes nothing. Nothing in a file is executed. A directory or a run
is converted back to a state dict, bit for bit, if --output ends in .pth or .safetensors.
See docs/weights.md.
"""

from pathlib import Path

from absl import flags

INPUT = flags.DEFINE_string(
  'input',
  '',
  'A file (.pth, .pt, .pth.tar, .bin, .safetensors, .onnx), hub:ORG/NAME, or a directory of '
  'weights or of a run.',
)
OUTPUT = flags.DEFINE_string(
  'output', '', 'Directory to write; or a file (.pth, .safetensors), from a directory.'
)
BACKBONE = flags.DEFINE_string('backbone', '', 'Backbone of the network, e.g. resnet101.')
HEAD = flags.DEFINE_string('head', '', "Head, e.g. deeplab_v2; '' converts the backbone only.")
NUM_CLASSES = flags.DEFINE_integer(
  'num_classes', 0, 'Classes of the head; 0: the number in the file.', lower_bound=0
)
NETWORK = flags.DEFINE_string(
  'network', '', "'student' or 'teacher', if the input has both; default: the student."
)
STEP = flags.DEFINE_string('step', 'best', "Checkpoint of a run: 'latest', 'best' or a step.")
LAYOUT = flags.DEFINE_string(
  'layout', '', 'Naming of the tensors: a key of LAYOUTS; default: detected from the names.'
)
PREPROCESSING = flags.DEFINE_string(
  'preprocessing',
  '',
  'Preprocessing of the weights: a key of PREPROCESSING; default: that '
  'of the file if it is known, else that of its layout.',
)
PARTIAL = flags.DEFINE_bool('partial', False, 'Accept a file without a tenth of the backbone.')


def check_flags() -> Path:
  """Returns the output; raises UserError if a flag is missing, or unless one is a file."""
  from classmix_jax.errors import UserError
  from classmix_jax.pretrained.hub_name import is_hub_name
  from classmix_jax.pretrained.state_dict_files import is_file_name

  for name, flag in (('--input', INPUT), ('--output', OUTPUT)):
    if not flag.value:
      raise UserError(f'{name} is missing; --help shows examples.')
  output = Path(OUTPUT.value).expanduser()
  if is_file_name(output) == (is_hub_name(INPUT.value) or is_file_name(Path(INPUT.value))):
    raise UserError(
      f'--input={INPUT.value} and --output={output}: one must be a file (.pth, .safetensors), the '
      'other a directory.'
    )
  if not is_file_name(output) and not BACKBONE.value:
    raise UserError('--backbone is missing; for example --backbone=resnet101.')
  return output


def main() -> None:
  from classmix_jax.pretrained.convert import convert_to_directory, convert_to_file
  from classmix_jax.pretrained.load import locate_weights, open_weights
  from classmix_jax.pretrained.state_dict_files import is_file_name

  output = check_flags()
  source = locate_weights(INPUT.value)
  to_file = is_file_name(output)
  weights = open_weights(
    source.path,
    name=source.name,
    trained_on=source.trained_on,
    network=NETWORK.value,
    step=STEP.value,
    layout='' if to_file else LAYOUT.value,
    preprocessing=PREPROCESSING.value,
  )
  if weights.warning:
    print(f'warning: {weights.warning}')
  if to_file:
    convert_to_file(weights, output, LAYOUT.value)
  else:
    convert_to_directory(
      weights,
      output,
      backbone=BACKBONE.value,
      head=HEAD.value,
      num_classes=NUM_CLASSES.value,
      partial=PARTIAL.value,
    )
