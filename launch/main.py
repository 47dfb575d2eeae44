"""Trains.

    python launch/main.py --config=configs/scenes.py
    python launch/main.py --config=configs/camvid.py:method=supervised,labeled=46 \
        --config.data.root=DIR --workdir=RUN

The same command again goes on where the last run stopped.
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from launch import command_line  # noqa: E402

CONFIG = config_flags.DEFINE_config_file('config', None, 'A file of configs/.')
WORKDIR = flags.DEFINE_string(
    'workdir', '', 'Folder of the run; default: runs/<config name>-<method>.')


def main() -> None:
  from classmix_jax.experiment import run_training

  config = command_line.required(CONFIG.value)
  default = Path('runs') / f'{config.name}-{config.method.name}'
  run_training(config, Path(WORKDIR.value or default).expanduser().absolute())


if __name__ == '__main__':
  command_line.run(main)
