"""Converts weights of other projects to the format of config.model.pretrained, and back.

    python launch/convert.py --input=resnet101COCO-41f33a49.pth --output=coco \\
        --backbone=resnet101 --head=deeplab_v2
    python launch/convert.py --input=resnet50-0676ba61.pth --output=imagenet --backbone=resnet50
    python launch/convert.py --input=RUN --network=teacher --output=teacher.safetensors

The report accounts for every tensor. Unless the file holds exactly the network, its head apart,
the program ends with status 2 and writes nothing. Nothing in a file is executed. A folder or a run
becomes a state dict again, bit for bit, where --output ends in .pth or .safetensors.
See docs/weights.md.
"""

from pathlib import Path

from absl import flags

INPUT = flags.DEFINE_string(
  'input', '', 'A file (.pth, .pt, .pth.tar, .safetensors); or a run or folder of weights.'
)
OUTPUT = flags.DEFINE_string(
  'output', '', 'Folder to write; or a file (.pth, .safetensors), from a run or a folder.'
)
BACKBONE = flags.DEFINE_string('backbone', '', 'Of the network in the file, e.g. resnet101.')
HEAD = flags.DEFINE_string('head', '', "Its head, e.g. deeplab_v2; '' takes the backbone alone.")
NUM_CLASSES = flags.DEFINE_integer(
  'num_classes', 0, "Of the head; 0: as many as the file's has.", lower_bound=0
)
NETWORK = flags.DEFINE_string(
  'network', '', "'student' or 'teacher', where the input has both; default: the student."
)
STEP = flags.DEFINE_string('step', 'best', "Of a run: 'latest', 'best' or a step.")
LAYOUT = flags.DEFINE_string(
  'layout', '', 'How tensors are named: a name of LAYOUTS; default: seen from the names.'
)
PREPROCESSING = flags.DEFINE_string(
  'preprocessing',
  '',
  'How the weights want to be fed: a name of PREPROCESSING; default: what '
  'is known of the file, or usual in its layout.',
)
PARTIAL = flags.DEFINE_bool('partial', False, 'Accept a file without a tenth of the backbone.')


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.pretrained.convert import to_file, to_folder
  from classmix_jax.pretrained.load import open_weights
  from classmix_jax.pretrained.state_dict_files import is_file_name

  for name, flag in (('--input', INPUT), ('--output', OUTPUT)):
    if not flag.value:
      raise UserError(f'{name} is missing; --help shows examples.')
  source, output = Path(INPUT.value).expanduser(), Path(OUTPUT.value).expanduser()
  back = is_file_name(output)
  if back == is_file_name(source):
    raise UserError(
      f'--input={source} and --output={output}: one must be a file (.pth, .safetensors), the '
      'other a folder.'
    )
  if not back and not BACKBONE.value:
    raise UserError('--backbone is missing; for example --backbone=resnet101.')
  weights = open_weights(
    source,
    network=NETWORK.value,
    step=STEP.value,
    layout='' if back else LAYOUT.value,
    preprocessing=PREPROCESSING.value,
  )
  if weights.warning:
    print(f'warning: {weights.warning}')
  if back:
    to_file(weights, output, LAYOUT.value)
  else:
    to_folder(
      weights,
      output,
      backbone=BACKBONE.value,
      head=HEAD.value,
      num_classes=NUM_CLASSES.value,
      partial=PARTIAL.value,
    )
