"""Mistyped command lines of every program: one sentence and exit status 2.

The programs run in this process; tests/cli/test_command_line.py starts some as processes.
"""

import contextlib
import importlib
import json
import sys

from absl import flags
import pytest
import toy

from classmix_jax.cli import command_line


@contextlib.contextmanager
def load_program(name):
  """Yields a program of cli/ and removes its flags afterwards: programs share some names."""
  before = set(flags.FLAGS)
  try:
    yield importlib.import_module(f'classmix_jax.cli.{name}')
  finally:
    sys.modules.pop(f'classmix_jax.cli.{name}', None)
    for flag in set(flags.FLAGS) - before:
      delattr(flags.FLAGS, flag)
    flags.FLAGS.unparse_flags()


@pytest.fixture
def fail(monkeypatch, capsys, tmp_path):
  """Returns a function that runs a program and returns its message; it exits with status 2."""
  monkeypatch.chdir(tmp_path)
  monkeypatch.setattr(command_line, 'keep_freed_memory', lambda: None)

  def run(name, *arguments):
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
    with load_program(name) as program, pytest.raises(SystemExit) as exit_status:
      command_line.run(program)
    error = capsys.readouterr().err
    assert exit_status.value.code == 2 and error.startswith('error: ')
    return error

  return run


CONFIG = f'--config={command_line.__file__.rpartition("classmix_jax")[0]}configs/folder.py'


@pytest.mark.parametrize(
  'name, arguments, parts',
  [
    ('train', [], ['--config is missing', 'configs/scenes.py']),
    ('train', ['--config=nowhere.py'], ['--config=nowhere.py cannot be read', 'configs/']),
    ('train', [CONFIG, '--config.stepz=3'], ['config.stepz does not exist', 'mean config.steps?']),
    ('train', [f'{CONFIG}:method=clasmix'], ["no method 'clasmix'", 'classmix']),
    ('train', [f'{CONFIG}:labels=3'], ["'labels=3' is not understood", 'method=classmix']),
    ('train', [CONFIG, 'stray'], ["'stray' is not understood"]),
    ('train', [CONFIG, '--config.steps=many'], ['steps']),
    ('evaluate', [], ['--workdir is missing', 'directory of a training run']),
    ('evaluate', ['--workdir=nowhere'], ['--workdir=nowhere is not a directory']),
    ('evaluate', ['--workdir=.', '--window=a,b'], ['--window=a,b is not understood', 'commas']),
    ('evaluate', ['--workdir=.'], ['config.json does not exist']),
    ('predict', ['--workdir=.', '--input=x'], ['--output is missing', '--output=DIR']),
    ('predict', ['--workdir=.', '--output=x'], ['--input is missing']),
    ('serve', [], ['--workdir is missing']),
    ('serve', ['--workdir=.', '--port=x'], ['port', 'x']),
    ('serve', ['--workdir=.', '--port=70000'], ['--port=70000 must be from 0']),
    ('serve', ['--workdir=.', '--port=0'], ['config.json does not exist']),
    ('export', ['--workdir=.'], ['--output is missing']),
    ('export', ['--workdir=.', '--output=o', '--sizes=3'], ['--sizes=3 must be HEIGHTxWIDTH']),
    ('report', [], ['missing']),
    ('convert_weights', [], ['--input is missing', '--help']),
    (
      'convert_weights',
      ['--input=a', '--output=b', '--backbone=tiny'],
      ['one must be a file', 'directory'],
    ),
    ('convert_weights', ['--input=a.pth', '--output=b'], ['--backbone is missing']),
    (
      'convert_weights',
      ['--input=a.pth', '--output=b', '--backbone=tiny', '--preprocessing=odd'],
      ['--preprocessing=odd'],
    ),
    ('convert_labels', ['--from=coco'], ['--input is missing', '--help']),
    ('check_data', [], ['--config is missing']),
    ('table', [], ['--config is missing']),
    ('table', [CONFIG, '--seeds=0,a'], ["--seeds has 'a'", '--seeds=0,1,2']),
    ('table', [CONFIG, '--config.seed=3'], ['--config.seed belongs to each cell', '--seeds']),
    ('table', [CONFIG, '--methods=clasmix'], ["--methods is 'clasmix'", "mean 'classmix'?"]),
    ('table', [CONFIG, '--methods=classmix:thresh=1'], ["mean 'threshold'?"]),
    ('table', [CONFIG, '--methods=classmix:config.model.bacbone=1'], ["mean 'backbone'?"]),
  ],
)
def test_mistakes(fail, name, arguments, parts):
  toy.assert_says(fail(name, *arguments), *parts)


def test_check_data_counts_findings(fail, tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  (root / 'labeled/masks/street/0.png').write_text('no image')
  text = fail('check_data', CONFIG, f'--config.data.root={root}', '--output=OUT')
  toy.assert_says(text, 'see above and OUT/report.txt')


def test_table_of_another_config(fail, tmp_path):
  (tmp_path / 'OUT').mkdir()
  (tmp_path / 'OUT/table.json').write_text(json.dumps({'config': 'other.py', 'overrides': []}))
  text = fail('table', CONFIG, '--methods=supervised', '--output=OUT')
  toy.assert_says(text, 'OUT holds a table of', 'other.py', 'use another --output')


def test_failed_cells_are_reported(fail, tmp_path, monkeypatch):
  from classmix_jax.tools.sweep import scheduler

  monkeypatch.setattr(scheduler, 'run_cells', lambda cells, *_: {cells[0]: 'the disk is full'})
  text = fail('table', CONFIG, '--methods=supervised', '--labeled=2', '--output=OUT')
  toy.assert_says(text, 'supervised, 2 labelled, seed 0 failed: the disk is full', 'log.txt')
