"""The programs as people start them: in a process of their own."""

import json
from pathlib import Path
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.workdir import checkpoint_lookup

ROOT = Path(__file__).resolve().parents[2]
FIELDS = (
  '--config.steps=2',
  '--config.eval_every=0',
  '--config.log_every=1',
  '--config.batch_size=2',
  '--config.unlabeled_batch_size=2',
  '--config.data.crop=(24,32)',
)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
  return toy.write_folder(tmp_path_factory.mktemp('data'))


def command(program, *arguments):
  return [sys.executable, str(ROOT / 'launch' / program), *map(str, arguments)]


def run(program, *arguments, cwd):
  return subprocess.run(
    command(program, *arguments), cwd=cwd, capture_output=True, text=True, timeout=300
  )


def train_arguments(data, workdir, *fields):
  return (
    '--config',
    ROOT / 'configs' / 'folder.py',
    f'--config.data.root={data}',
    f'--workdir={workdir}',
    *FIELDS,
    *fields,
  )


@pytest.mark.slow
def test_train_evaluate_predict_from_another_directory(data, tmp_path):
  trained = run('main.py', *train_arguments(data, 'RUN'), cwd=tmp_path)
  assert trained.returncode == 0, trained.stderr
  for text in ('global batch', '2 labelled + 2 unlabelled', 'differs (paper:', 'step 2/2', 'mIoU'):
    assert text in trained.stdout
  evaluated = run('evaluate.py', '--workdir=RUN', cwd=tmp_path)
  assert evaluated.returncode == 0, evaluated.stderr
  assert all(name in evaluated.stdout for name in toy.CLASSES)
  assert json.loads((tmp_path / 'RUN' / 'eval' / '2.json').read_text())['step'] == 2
  evaluated = run(
    'evaluate.py',
    '--workdir=RUN',
    '--step=best',
    '--protocol=sliding',
    '--window=16,24',
    '--stride=16,24',
    '--flip',
    '--scales=0.5,1',
    '--eval_batch_size=1',
    '--write_predictions=PREDICTIONS',
    cwd=tmp_path,
  )
  assert evaluated.returncode == 0, evaluated.stderr
  assert 'sliding 16x24/16x24 at 32x48 + scales 0.5,1 + flip, 4 labelled' in evaluated.stdout
  written = list((tmp_path / 'RUN' / 'eval').glob('2-sliding-16x24-*-scales-0.5-1-flip.json'))
  assert len(written) == 1 and len(list((tmp_path / 'PREDICTIONS').iterdir())) == 3
  source = data / 'unlabeled' / 'images'
  predicted = run('predict.py', '--workdir=RUN', f'--input={source}', '--output=OUT', cwd=tmp_path)
  assert predicted.returncode == 0, predicted.stderr
  assert np.asarray(Image.open(tmp_path / 'OUT' / '3.png')).shape == (toy.HEIGHT, toy.WIDTH)
  assert (tmp_path / 'OUT' / '3_overlay.png').exists()
  compared = run('report.py', '--workdir=RUN', '--compare=RUN', cwd=tmp_path)
  assert compared.returncode == 0, compared.stderr
  assert 'Their configs are the same' in (tmp_path / 'RUN' / 'compare.html').read_text()
  exported = run('export.py', '--workdir=RUN', '--output=EXPORTED', cwd=tmp_path)
  assert exported.returncode == 0, exported.stderr
  assert 'stablehlo: logits within' in exported.stdout


def test_check_data_ends_with_status_2_after_its_report(data, tmp_path):
  ended = run(
    'check_data.py',
    '--config',
    ROOT / 'configs' / 'folder.py',
    f'--config.data.root={data}',
    '--config.data.labeled=99',
    '--output=OUT',
    cwd=tmp_path,
  )
  assert ended.returncode == 2 and 'config.data.labeled=99' in ended.stdout
  assert ended.stderr.endswith('error: 1 finding, see above and OUT/report.txt.\n')
  assert (tmp_path / 'OUT' / 'report.txt').read_text() in ended.stdout


@pytest.mark.parametrize(
  'program, arguments, parts',
  [
    (
      'main.py',
      ['--config=configs/scenes.py', '--config.stepz=3'],
      ['config.stepz does not exist', 'config.steps'],
    ),
    ('main.py', ['--config=configs/scenes.py', '--config.steps=many'], ['config.steps', 'many']),
    ('main.py', ['--config=configs/scenes.py:method=clasmix'], ["'clasmix'", 'classmix']),
    ('main.py', ['--config=configs/nothing.py'], ['configs/nothing.py', 'configs/']),
    (
      'main.py',
      ['--config=configs/camvid.py', '--config.data.root=/no/where'],
      ['/no/where', '--config.data.root'],
    ),
    ('evaluate.py', ['--workdir=/no/where'], ['/no/where', 'run']),
    ('evaluate.py', ['--workdir=.', '--window=801x801'], ['--window=801x801', 'numbers']),
  ],
)
def test_mistakes_end_with_one_sentence_and_status_2(program, arguments, parts, tmp_path):
  workdir = [] if program == 'evaluate.py' else [f'--workdir={tmp_path / "run"}']
  ended = run(program, *arguments, *workdir, cwd=ROOT)
  assert ended.returncode == 2
  errors = [line for line in ended.stderr.splitlines() if line.startswith('error: ')]
  assert len(errors) == 1 and 'Traceback' not in ended.stderr
  assert all(part in errors[0] for part in parts), errors[0]
  assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_killed_at_random_moments_ends_in_the_same_bits(data, tmp_path):
  """SIGKILL at eight random moments, compiling, stepping and saving included."""
  fields = ('--config.steps=40', '--config.checkpoint_every=1', '--config.eval_every=7')
  undisturbed = tmp_path / 'undisturbed'
  start = time.monotonic()
  assert run('main.py', *train_arguments(data, undisturbed, *fields), cwd=ROOT).returncode == 0
  duration = time.monotonic() - start
  moments = random.Random(0)
  killed = tmp_path / 'killed'
  for _ in range(8):
    process = subprocess.Popen(
      command('main.py', *train_arguments(data, killed, *fields)),
      cwd=ROOT,
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
    )
    time.sleep(moments.uniform(0.3, 1.0) * duration)
    process.send_signal(signal.SIGKILL)
    process.wait()
  ended = run('main.py', *train_arguments(data, killed, *fields), cwd=ROOT)
  assert ended.returncode == 0, ended.stderr
  states = [checkpoint_lookup.load(path, 'latest')[1] for path in (undisturbed, killed)]
  jax.tree.map(np.testing.assert_array_equal, *states)
  steps = [json.loads(line)['step'] for line in (killed / 'metrics.jsonl').read_text().splitlines()]
  assert steps == list(range(1, 41))
