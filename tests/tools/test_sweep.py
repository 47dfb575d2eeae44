"""Tables from synthetic cells; the scheduler with programs that write a training's files."""

import json
from pathlib import Path
import subprocess
import sys

import jax
import numpy as np
import pytest
import toy

from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS
from classmix_jax.tools.sweep.grid import grid, plan, read, seconds_per_step
from classmix_jax.tools.sweep.random_step import image_size, random_batch, time_steps
from classmix_jax.tools.sweep.scheduler import run_cells, shares_of_cores, start_process
from classmix_jax.tools.sweep.step_times import step_times
from classmix_jax.tools.sweep.table import (
  PUBLISHED,
  markdown,
  plot,
  published_for,
  summarize,
  table_csv,
)
from configs import camvid

ROOT = Path(__file__).resolve().parents[2]
STEPS = 10
SCORES = {('supervised', 0): 0.40, ('supervised', 1): 0.44, ('classmix', 0): 0.50}


def result(miou, **fields):
  networks = {'student': {'miou': miou}, 'teacher': {'miou': round(miou + 0.01, 2)}}
  return {
    'miou': miou,
    'network': 'student',
    'networks': networks,
    'labeled': 46,
    'devices': '1 x cpu',
    **fields,
  }


def finish(cell, miou):
  (cell.run / 'eval').mkdir(parents=True)
  (cell.run / 'eval' / f'{STEPS}.json').write_text(json.dumps(result(miou)))
  log(cell, STEPS)


def log(cell, step):
  """Two steps per second."""
  cell.run.mkdir(parents=True, exist_ok=True)
  rows = [{'step': done, 'steps_per_second': 2.0} for done in range(5, step + 1, 5)]
  (cell.run / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows) + '{"st')


@pytest.fixture
def cells(tmp_path):
  """Three of four cells are finished; of the last, half of the steps are done."""
  cells = grid(tmp_path, ['supervised', 'classmix'], ['46'], [0, 1], STEPS)
  for cell in cells:
    if (cell.method, cell.seed) in SCORES:
      finish(cell, SCORES[cell.method, cell.seed])
    else:
      log(cell, 5)
  return cells


def test_cells(tmp_path):
  (cell,) = grid(tmp_path, ['classmix:mask=cut:blur=False'], ['46'], [0], 1)
  assert cell.run == tmp_path / 'cells' / 'classmix+mask=cut+blur=False-46-0'
  names = [cell.run.name for cell in grid(tmp_path, ['a', 'b'], ['46', '1/8', 'x/y.txt'], [3], 1)]
  assert names == ['a-46-3', 'b-46-3', 'a-1_8-3', 'b-1_8-3', 'a-y-3', 'b-y-3']


def test_plan(cells):
  results = [read(cell) for cell in cells]
  text = plan(results, seconds_per_step(results))
  assert 'supervised               labelled       46  seed 1  mIoU 44.00' in text
  assert 'classmix                 labelled       46  seed 1  0m02s to go' in text  # 5 steps left
  assert text.endswith('4 cells, 1 to do, 0m02s of training')


def test_plan_of_what_has_not_run(tmp_path):
  """10 steps of 2 s for each of three cells, two at once; nothing is known of the fourth."""
  cells = grid(tmp_path, ['cps'], ['46', '92', '183'], [0], STEPS)
  cells += grid(tmp_path, ['unimatch'], ['46'], [0], STEPS)
  text = plan([read(cell) for cell in cells], {'cps': 2.0}, jobs=2)
  assert text.count('0m20s to go') == 3 and text.count('not begun') == 1
  assert text.endswith('4 cells, 4 to do, 0m30s of training and 1 of unknown length')


def test_a_step_of_each_method_is_timed_once(tmp_path, capsys):
  def command(cell, path):
    text = json.dumps({'ms': 250.0 + cell.seed})
    return [sys.executable, '-c', f'open({str(path)!r}, "w").write({text!r})']

  cells = grid(tmp_path, ['cps', 'unimatch'], ['46'], [0, 1], STEPS)
  assert step_times(cells, command, set()) == {'cps': 0.25, 'unimatch': 0.25}
  assert 'timed 2/2  unimatch: 250 ms a step' in capsys.readouterr().out


def test_a_failed_step_prints_the_reason(tmp_path):
  cells = grid(tmp_path, ['cps'], ['46'], [0], STEPS)
  with pytest.raises(UserError, match='a step of cps cannot be timed: no images'):
    step_times(cells, lambda *_: [sys.executable, '-c', 'raise SystemExit("no images")'], set())


def test_random_batch():
  """8 labelled, 8 unlabelled images: two micro-batches of two images on each of two devices."""
  config = camvid.get_config('method=classmix')
  config.update({'batch_size': 8, 'unlabeled_batch_size': 8, 'accumulate': 2})
  batch, images = random_batch(config, 3, jax.devices()[:2])
  assert images == 16
  assert batch.labeled.image.shape == batch.unlabeled.image.shape == (2, 2, 2, 128, 160, 3)
  assert set(np.unique(batch.labeled.label)) == {0, 1, 2} and batch.labeled.valid.all()


def test_size_of_random_images():
  config = camvid.get_config()
  assert image_size(config) == (128, 160)  # the crop
  config.data.crop = ()
  assert image_size(config) == (180, 240)
  config.data.size = ()
  with pytest.raises(UserError, match=r'only known from the data; give one, .*config.data.crop='):
    image_size(config)


def test_time_steps():
  config = camvid.get_config('method=supervised')
  config.update({'batch_size': 4, 'data': {'crop': (16, 16)}})
  milliseconds, images = time_steps(config, 3, 2)
  assert images == 4 and milliseconds > 0


def test_processes_import_this_package_from_any_directory(tmp_path, monkeypatch):
  monkeypatch.delenv('PYTHONPATH', raising=False)
  command = [sys.executable, '-c', 'import classmix_jax; print(classmix_jax.__file__)']
  process = start_process(command, set(), stdout=subprocess.PIPE, text=True, cwd=tmp_path)
  assert process.communicate()[0] == f'{ROOT / "classmix_jax" / "__init__.py"}\n'


def test_markdown(cells):
  """40 and 44: mean 42, deviation 4 / sqrt(2); 10 steps at two per second."""
  text = markdown(summarize([read(cell) for cell in cells]), [])
  assert text == (
    '| mIoU in % | 46 labelled | training |\n|---|---|---|\n'
    '| supervised | 42.00 ± 2.83 (2) | 10 steps, 0m05s on 1 x cpu |\n'
    '| classmix | 50.00 (1 of 2) | 10 steps, 0m05s on 1 x cpu |\n'
  )


def test_csv(cells):
  lines = table_csv([read(cell) for cell in cells]).splitlines()
  assert lines[0].startswith('method,labeled,seed,finished,network,miou,miou_student')
  assert lines[1] == 'supervised,46,0,True,student,0.4,0.4,0.41,46,10,0.0014,1 x cpu'
  assert lines[4] == 'classmix,46,1,False,,,,,,5,0.0007,'


def test_plot(cells, tmp_path):
  plot(summarize([read(cell) for cell in cells]), tmp_path / 'table.png')
  assert (tmp_path / 'table.png').read_bytes().startswith(b'\x89PNG')


def test_published_numbers_are_of_methods_that_exist():
  entries = json.loads(PUBLISHED.read_text(encoding='utf-8'))
  assert all(20 < entry['miou'] < 92 for entry in entries)
  assert {entry['method'] for entry in entries} <= METHODS.keys()
  assert len({json.dumps(entry, sort_keys=True) for entry in entries}) == len(entries)
  row = markdown([], [entries[0]]).splitlines()[-1]
  assert row.startswith('| classmix | 100 | 54.07 | DeepLab-v2, ResNet-101 | COCO | ClassMix')


@pytest.mark.parametrize(
  'dataset, method, network, scores',
  [
    ('pascal_voc', 'unimatch_v2', 'DINOv2-S, DPT', [79.03, 85.5, 85.85, 86.69, 87.82]),
    ('pascal_voc', 'supervised', 'DINOv2-L, DPT', [76.92, 82.42, 86.81, 89.42, 90.73]),
    ('cityscapes', 'unimatch_v2', 'DINOv2-B, DPT', [83.6, 84.3, 84.51, 85.14, 85.47]),
    ('ade20k', 'fixmatch', 'DINOv2-B, DPT', [37.76, 43.23, 46.36, 49.51, 51.03]),
    ('coco', 'unimatch_v2', 'DINOv2-S frozen, DPT', [37.36, 42.36, 48.17, 51.12, 52.3]),
  ],
)
def test_published_numbers_on_dinov2(dataset, method, network, scores):
  entries = published_for(dataset, {method})
  assert [entry['miou'] for entry in entries if entry['network'] == network] == scores


# Stands for a training: writes its result, or fails.
PROGRAM = """
import pathlib, sys
run, method = pathlib.Path(sys.argv[1]), sys.argv[2]
(run / 'began').open('a').write('x')
if method == 'classmix':
  sys.exit('error: no images')
(run / 'eval').mkdir()
(run / 'eval' / '10.json').write_text(sys.argv[3])
"""


@pytest.mark.parametrize('jobs', [1, 2])
def test_a_failed_cell_stops_no_other(tmp_path, jobs, capsys):
  cells = grid(tmp_path, ['classmix', 'supervised'], ['46'], [0, 1], STEPS)

  def command(cell):
    return [sys.executable, '-c', PROGRAM, str(cell.run), cell.method, json.dumps(result(0.4))]

  for attempts in (1, 2):
    failed = run_cells(cells, command, jobs)
    assert {(cell.method, cell.seed): line for cell, line in failed.items()} == {
      ('classmix', 0): 'error: no images',
      ('classmix', 1): 'error: no images',
    }
    for cell in cells:
      assert read(cell).finished == (cell.method == 'supervised')
      # Finished cells do not run again, failed ones do.
      began = len((cell.run / 'began').read_text())
      assert began == (1 if cell.method == 'supervised' else attempts)
  out = capsys.readouterr().out
  assert 'supervised, 46 labelled, seed 1: mIoU 40.00' in out and 'FAILED (status 1)' in out


def test_jobs_share_the_cores():
  assert shares_of_cores(1) == [set()]
  first, second = shares_of_cores(2)
  assert not first & second
  assert shares_of_cores(10_000) == [set()] * 10_000


def run_table(*arguments):
  return subprocess.run(
    [
      sys.executable,
      str(ROOT / 'launch' / 'table.py'),
      f'--config={ROOT / "configs" / "scenes.py"}',
      *arguments,
    ],
    capture_output=True,
    text=True,
    timeout=120,
  )


def test_dry_run(tmp_path):
  for cell in grid(tmp_path / 'OUT', ['supervised', 'cps'], ['31'], [0], STEPS):
    log(cell, 5)
  process = run_table(
    '--methods=supervised,cps',
    '--labeled=31,62',
    '--config.steps=10',
    '--dry-run',
    f'--output={tmp_path / "OUT"}',
  )
  assert process.returncode == 0, process.stderr
  assert process.stdout.count('labelled') == 4
  # 30 steps at two a second
  assert process.stdout.endswith('4 cells, 4 to do, 0m15s of training\n')
  assert not (tmp_path / 'OUT' / 'table.json').exists()


@pytest.mark.slow
def test_dry_run_times_steps_itself(tmp_path):
  process = run_table('--methods=supervised', '--dry-run', f'--output={tmp_path / "OUT"}')
  assert process.returncode == 0 and 'timed 1/1  supervised: ' in process.stdout, process.stderr
  assert not (tmp_path / 'OUT').exists()


@pytest.mark.parametrize(
  'argument, message',
  [
    ('--methods=supervised,clasmix', "--methods is 'clasmix'. Did you mean 'classmix'?"),
    ('--methods=classmix:jiter=0', "an option of classmix is 'jiter'. Did you mean 'jitter'?"),
    ('--methods=classmix:config.data.crob=3', "a part of config.data.crob is 'crob'. Did you mean"),
    ('--seeds=a', "--seeds has 'a'; give numbers, e.g. --seeds=0,1,2."),
    ('--config.seed=3', '--config.seed belongs to each cell: use --seeds.'),
  ],
)
def test_mistakes_end_with_a_sentence(argument, message):
  process = run_table(argument, '--dry-run')
  assert process.returncode == 2 and message in process.stderr


@pytest.mark.slow
def test_a_small_table(tmp_path):
  """Two methods in two processes at once; a second call trains nothing."""
  arguments = [
    sys.executable,
    str(ROOT / 'launch' / 'table.py'),
    f'--config={ROOT / "configs" / "folder.py"}',
    '--labeled=3',
    '--jobs=2',
    f'--config.data.root={toy.write_folder(tmp_path / "data")}',
    '--config.steps=3',
    '--config.batch_size=2',
    '--config.unlabeled_batch_size=2',
    '--config.data.crop=(32,32)',
    '--config.eval_every=0',
    '--methods=supervised,unimatch:num_views=1:config.steps=3',
    f'--output={tmp_path / "OUT"}',
  ]
  for begun in ('2 to do', '0 to do'):
    process = subprocess.run(arguments, capture_output=True, text=True, timeout=580)
    assert process.returncode == 0, process.stderr
    assert begun in process.stdout and process.stdout.count('num_views=1:config.steps=3 |') == 1
  lines = (tmp_path / 'OUT' / 'table.csv').read_text().splitlines()
  assert len(lines) == 3 and all(',True,student,' in line for line in lines[1:])
  assert (tmp_path / 'OUT' / 'table.png').exists()
