"""The run directory: writing, resuming, locking, and refusing another config."""

import errno
import json
import os
from pathlib import Path
import socket
import subprocess
import sys

from flax.traverse_util import flatten_dict
import pytest
import toy

from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.workdir import layout, resume, run_files

CONFIG = {
  'seed': 0,
  'steps': 10,
  'eval_network': 'teacher',
  'data': {'root': 'A', 'crop': (4, 6)},
  'method': {'name': 'classmix', 'threshold': 0.9},
  'paper': {'steps': '40000'},
}


def changed(**fields):
  """CONFIG with other values of dotted names, `__` for a dot."""
  config = json.loads(json.dumps(CONFIG))
  for name, value in fields.items():
    *parents, key = name.split('__')
    inner = config
    for parent in parents:
      inner = inner[parent]
    inner[key] = value
  return config


def test_the_same_config_resumes(tmp_path):
  resume.open_run(tmp_path / 'a' / 'run', CONFIG)
  resume.open_run(tmp_path / 'a' / 'run', CONFIG)  # tuples are lists in the file
  assert run_files.read_json(tmp_path / 'a' / 'run' / 'config.json') == changed()


@pytest.mark.parametrize(
  'name, value',
  [
    ('steps', 20),
    ('data__root', 'B'),
    ('paper__steps', '1'),
    ('eval_every', 5),
    ('on_nan', 'skip'),
    ('data__on_error', 'skip'),
  ],
)
def test_some_fields_may_change(tmp_path, name, value):
  resume.open_run(tmp_path, CONFIG)
  config = changed(**{name: value})
  resume.open_run(tmp_path, config)
  assert run_files.read_json(tmp_path / 'config.json') == config


@pytest.mark.parametrize(
  'fields, text',
  [
    (dict(seed=1), 'config.seed was 0 and is now 1'),
    (dict(data__crop=[4, 8]), 'config.data.crop was (4, 6) and is now (4, 8)'),
    (
      dict(method__name='cutmix', method__threshold=0.5),
      "config.method.name was 'classmix' and is now 'cutmix'; config.method.threshold was 0.9",
    ),
    (dict(eval_network='student'), "config.eval_network was 'teacher' and is now 'student'"),
    (dict(method__new=1), 'config.method.new did not exist and is now 1'),
  ],
)
def test_other_fields_may_not(tmp_path, fields, text):
  resume.open_run(tmp_path, CONFIG)
  with pytest.raises(UserError) as caught:
    resume.open_run(tmp_path, changed(**fields))
  assert text in str(caught.value) and str(tmp_path) in str(caught.value)
  assert run_files.read_json(tmp_path / 'config.json') == changed()  # untouched


def test_a_broken_config_is_named(tmp_path):
  (tmp_path / 'config.json').write_text('{"seed"')
  with pytest.raises(UserError, match='config.json cannot be read'):
    resume.open_run(tmp_path, CONFIG)


def test_a_missing_file_is_named(tmp_path):
  with pytest.raises(UserError, match='config.json does not exist; --workdir must be'):
    run_files.read_json(tmp_path / 'config.json')


def test_a_file_in_the_way(tmp_path):
  (tmp_path / 'run').write_text('')
  with pytest.raises(UserError, match='cannot be written .*give another --workdir'):
    resume.open_run(tmp_path / 'run', CONFIG)


def test_written_files_can_be_read(tmp_path):
  source = Source(('a',), lambda i: None)
  dataset = Dataset('d', ('road', 'Bürgersteig'), ((1, 2, 3), (4, 5, 6)), source, source)
  run_files.write_classes(tmp_path, dataset)
  assert run_files.read_json(tmp_path / 'classes.json') == {
    'names': ['road', 'Bürgersteig'],
    'palette': [[1, 2, 3], [4, 5, 6]],
  }
  run_files.write_split(tmp_path, ['b/é', 'a'], ['c'], ['v'])
  assert run_files.read_split(tmp_path, 'val') == ['v']
  assert (tmp_path / 'splits' / 'labeled.txt').read_text(encoding='utf-8') == 'b/é\na\n'
  assert (tmp_path / 'splits' / 'unlabeled.txt').read_text() == 'c\n'
  result = {'step': 30, 'miou': 0.5, 'iou': {'a, b': 0.5, 'c': 0.5}}
  confusion = [[3, 1], [0, 5]]
  run_files.write_evaluation(tmp_path, {**result, 'confusion': confusion})
  run_files.write_evaluation(
    tmp_path, {**result, 'miou': 0.4, 'confusion': confusion}, 'full-at-4x6'
  )
  assert run_files.read_json(layout.evaluation_path(tmp_path, 30)) == result
  assert (tmp_path / 'eval' / '30-confusion.csv').read_text() == (
    'truth,"a, b",c\n"a, b",3,1\nc,0,5\n'
  )
  assert run_files.read_json(tmp_path / 'eval' / '30-full-at-4x6.json')['miou'] == 0.4


def test_flatten():
  assert flatten_dict({'a': {'b': {'c': 1}}, 'd': [2], 'e': {}}, sep='.') == {'a.b.c': 1, 'd': [2]}


def test_a_second_training_is_refused(tmp_path):
  run = tmp_path / 'run'
  with resume.lock_run(run):
    with pytest.raises(UserError) as caught, resume.lock_run(run):
      pass
    assert str(caught.value) == (
      f'{run} is in use by process {os.getpid()} on {socket.gethostname()}; wait for its end, '
      'or give another --workdir.'
    )
  with resume.lock_run(run):
    pass


def test_a_killed_training_leaves_no_lock_and_no_torn_file(tmp_path):
  run = tmp_path / 'run'
  code = (
    'import os, pathlib; from classmix_jax.workdir import resume; '
    'resume.lock_run(pathlib.Path(os.environ["RUN"])).__enter__(); print(os.getpid(), flush=True)'
    '; os.kill(os.getpid(), 9)'
  )
  ended = subprocess.run(
    [sys.executable, '-c', code],
    cwd=Path(__file__).parents[2],
    capture_output=True,
    text=True,
    env={**os.environ, 'RUN': str(run)},
  )
  assert ended.returncode == -9
  assert (run / 'lock').read_text().startswith(f'process {ended.stdout.strip()} on ')
  (run / 'splits').mkdir()
  torn = run / 'splits' / f'.labeled.txt.{ended.stdout.strip()}.tmp'
  torn.write_text('aachen_0')
  with resume.lock_run(run):
    assert not torn.exists()
  assert (run / 'lock').read_text() == f'process {os.getpid()} on {socket.gethostname()}\n'


def test_only_process_0_locks_and_writes(tmp_path, monkeypatch):
  monkeypatch.setattr(resume.jax, 'process_index', lambda: 1)
  with resume.lock_run(tmp_path / 'run'):
    assert not (tmp_path / 'run').exists()
  resume.open_run(tmp_path, CONFIG)
  assert not (tmp_path / 'config.json').exists()


def test_a_directory_that_cannot_be_made(tmp_path):
  (tmp_path / 'file').write_text('')
  with (
    pytest.raises(UserError, match='cannot be written .*give another --workdir'),
    resume.lock_run(tmp_path / 'file' / 'run'),
  ):
    pass


def test_disk_errors_are_one_sentence(tmp_path):
  full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), 'metrics.jsonl')
  with (
    pytest.raises(UserError, match='^metrics.jsonl: No space left on device; free disk space'),
    resume.convert_disk_errors(tmp_path),
  ):
    raise full
  with (
    pytest.raises(UserError, match='run: Input/output error; free disk space'),
    resume.convert_disk_errors(tmp_path / 'run'),
  ):
    raise OSError(errno.EIO, os.strerror(errno.EIO))
  with pytest.raises(FileNotFoundError), resume.convert_disk_errors(tmp_path):
    (tmp_path / 'nothing').read_text()


@pytest.mark.parametrize('palette, names', [([[0, 0, 0]], ['a', 'b']), ([[0, 0, 0]] * 2, [1, 2])])
def test_damaged_classes(tmp_path, palette, names):
  path = tmp_path / 'classes.json'
  path.write_text(json.dumps({'names': names, 'palette': palette}))
  toy.assert_fails(
    lambda: run_files.read_classes(tmp_path), path, 'is damaged', 'as many names as colours'
  )


def test_missing_split(tmp_path):
  toy.assert_fails(lambda: run_files.read_split(tmp_path, 'labeled'), 'labeled.txt cannot be read')
