"""Turns a pickled permutation of another project into a text file of names.

    python launch/convert_split.py --config=configs/cityscapes.py --config.data.root=DIR \\
        --input=split_0.pkl --labeled=372 --output=split_0_372.txt
    python launch/main.py --config=configs/cityscapes.py:labeled=split_0_372.txt ...

Nothing in the pickle is executed. Positions are applied to the sorted names: the
original ClassMix applied them to the order of its file system, which nobody else has.
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from launch import command_line  # noqa: E402

CONFIG = config_flags.DEFINE_config_file('config', None, 'Config of the data set.')
INPUT = flags.DEFINE_string('input', '', 'The pickled permutation.')
LABELED = flags.DEFINE_integer('labeled', 0, 'How many images, from its front, are labelled.')
OUTPUT = flags.DEFINE_string('output', '', 'Text file to write, one name a line.')


def main() -> None:
  from classmix_jax import build
  from classmix_jax.files import write_atomically
  from classmix_jax.pickled_split import labeled_names, read_permutation
  from classmix_jax.types import UserError

  for name, value in (
      ('--config', CONFIG.value), ('--input', INPUT.value), ('--labeled', LABELED.value),
      ('--output', OUTPUT.value)):
    if not value:
      raise UserError(f'{name} is missing; see the first lines of {Path(__file__).name}.')
  order = read_permutation(Path(INPUT.value).expanduser())
  train = build.open_dataset(CONFIG.value, size=None).train  # names only: nothing is prepared
  names = labeled_names(train.names, order, LABELED.value)
  output = Path(OUTPUT.value).expanduser()
  try:
    write_atomically(output, '\n'.join(names) + '\n')
  except OSError as error:
    raise UserError(f'--output={output} cannot be written ({error.strerror}).') from None
  print(f'wrote {len(names)} names to {output}; use it as --config.data.labeled={output}')


if __name__ == '__main__':
  command_line.run(main)
