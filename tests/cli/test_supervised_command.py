"""The command of the supervised training beside a run, for every way to start a training."""

import pytest

from classmix_jax.cli.supervised_command import supervised_command


@pytest.mark.parametrize(
  'words, command',
  [
    (
      ['launch/main.py', '--config=configs/folder.py', '--config.data.root=my data'],
      "python launch/main.py --config=configs/folder.py:method=supervised '--config.data.root=my "
      "data'",
    ),
    (
      ['-u', 'launch/main.py', '--config', 'folder:labeled=5,method=cutmix', '--workdir', 'RUN/'],
      'python launch/main.py --config=folder:method=supervised,labeled=5 --workdir=RUN-supervised',
    ),
    (
      ['-m', 'classmix_jax.cli', 'train', '--config=scenes', '--config.method.threshold', '0.9'],
      'python -m classmix_jax.cli train --config=scenes:method=supervised',
    ),
    (
      ['/venv/bin/classmix-jax', 'train', '-config=scenes', '-workdir=runs/a', '--verbose'],
      'classmix-jax train --config=scenes:method=supervised --workdir=runs/a-supervised --verbose',
    ),
  ],
)
def test_commands(words, command):
  assert supervised_command(words) == command
