"""What benchmarks/accelerator.py does without a card: its plan, its limits, failures."""

import argparse
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

import accelerator
import accelerator_kit
from PIL import Image
import pytest

from classmix_jax.cli import command_line
from classmix_jax.config.flags import load_without_overrides


@pytest.fixture
def options(tmp_path):
  return argparse.Namespace(
    dry=True, weights='', data=str(tmp_path), minutes=9.0, only='', summary=None
  )


def test_what_runs_alone_and_what_side_by_side(options):
  known = accelerator.plan(dry=False, pretrained=True)
  names = accelerator.default_names(list(known))
  assert names[0] == 'probe' and names[-1] == 'same_bits' and 'step_16' not in names
  result = list(accelerator.groups(names, known))
  assert result[:4] == [['probe'], ['step_deterministic'], ['step'], ['torch']]
  assert result[4:] == [['camvid_supervised', 'camvid_classmix', 'camvid_unimatch', 'same_bits']]
  limits = sum(max(known[name].seconds for name in group) for group in result)
  assert limits < 12 * 60  # of a quarter of an hour that is lent


@pytest.mark.parametrize('pretrained', [False, True])
def test_every_config_field_exists(options, tmp_path, pretrained):
  options.weights = 'W' * pretrained
  known = accelerator.places(options, tmp_path)
  for name, one in accelerator.plan(dry=True, pretrained=pretrained).items():
    words = [text.format(**known, name=name) for text in one.arguments]
    config = next((word for word in words if word.startswith('--config=')), None)
    if config:
      fields = load_without_overrides(['program', config])
      command_line.check_overrides(words, fields)


def run(tmp_path, monkeypatch, options, programs):
  """Measures with programs written here; returns name -> result."""
  for name, code in programs.items():
    (tmp_path / f'{name}.py').write_text(code)

  def one(name):
    return accelerator.Measurement(2.0, f'{name}.py', ('{name}',))

  monkeypatch.setattr(accelerator, 'HERE', tmp_path)
  monkeypatch.setattr(
    accelerator, 'plan', lambda dry, pretrained: {name: one(name) for name in programs}
  )
  options.only = ','.join(programs)
  output = tmp_path / 'output'
  output.mkdir()
  return dict(accelerator.measure(options, output))


WRITE = """
import json, os, sys
path = sys.argv[-1].removeprefix('--output=')
with open(path, 'w') as file:
  json.dump({'seen': sys.argv[1], 'flags': os.environ['XLA_FLAGS']}, file)
"""


def test_failures_cost_nothing_else(tmp_path, monkeypatch, options):
  result = run(
    tmp_path,
    monkeypatch,
    options,
    {
      'good': WRITE,
      'bad': WRITE + 'raise SystemExit("no memory")',
      'slow': WRITE + 'import time; time.sleep(60)',
      'last': WRITE,
    },
  )
  assert [row['state'] for row in result.values()] == [
    'done',
    'status 1',
    'stopped after 2 s',
    'done',
  ]
  assert [row['seen'] for row in result.values()] == ['good', 'bad', 'slow', 'last']
  assert 'no memory' in result['bad']['log'] and 'log' not in result['last']


def test_an_abort_is_repeated_once_without_fused_products(tmp_path, monkeypatch, options):
  abort = (
    WRITE
    + f"""
if {accelerator.NO_FUSED_PRODUCTS!r} not in os.environ['XLA_FLAGS']:
  print('Check failed: planted', flush=True)
  os.abort()
"""
  )
  result = run(tmp_path, monkeypatch, options, {'first': abort, 'second': WRITE})
  assert list(result) == ['first_aborted', 'first', 'second']
  assert result['first_aborted']['state'] == f'status {-signal.SIGABRT}'
  assert 'planted' in result['first_aborted']['log']
  assert accelerator.NO_FUSED_PRODUCTS in result['second']['flags']


def test_without_time_nothing_is_started(tmp_path, monkeypatch, options):
  options.minutes = 0.1
  assert run(tmp_path, monkeypatch, options, {'one': WRITE}) == {'one': {'state': 'no time left'}}


def test_children_of_a_stopped_measurement_die(tmp_path):
  code = (
    'import subprocess, sys\n'
    'child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])\n'
    'print(child.pid, flush=True)\nchild.wait()'
  )
  process = subprocess.Popen(
    [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True, start_new_session=True
  )
  child = int(process.stdout.readline())
  assert accelerator.finish(process, 1.0) == 'stopped after 1 s'
  state = Path(f'/proc/{child}/stat')
  for _ in range(100):  # the kernel reaps it in its own time
    if not state.exists() or 'Z' in state.read_text().split():
      break
    time.sleep(0.05)
  else:
    pytest.fail('the child is still running')


@pytest.mark.parametrize(
  'row, line',
  [
    ({'product_tflops': 700.4, 'copy_gb_s': 3000.0, 'device': 'X'}, '700 TFLOP/s, 3000 GB/s, X'),
    (
      {'variants': {'eager': {'ms': 50.0}, 'graphs': {'error': 'no'}}},
      'eager 50.0 ms, graphs failed',
    ),
    ({'same': True}, 'the same bits'),
    ({'state': 'status 1', 'log': 'a\nSystemExit: no memory\n'}, 'SystemExit: no memory'),
  ],
)
def test_headlines(row, line):
  assert accelerator.headline(row) == line


def test_a_data_set_is_packed(tmp_path):
  source = accelerator.draw_frames(tmp_path / 'source', count=60)
  accelerator_kit.pack_camvid(source, tmp_path / 'packed')
  images = {path.stem: path for path in (tmp_path / 'packed' / 'train').iterdir()}
  assert len(images) == 60
  lossless = [path for path in images.values() if path.suffix == '.webp']
  assert len(lossless) == 46
  for path in [*lossless[:3], *(tmp_path / 'packed' / 'val').iterdir()][:6]:
    with (
      Image.open(path) as packed,
      Image.open(source / path.parent.name / f'{path.stem}.png') as whole,
    ):
      assert packed.convert('RGB').tobytes() == whole.tobytes()
  masks = tmp_path / 'packed' / 'trainannot' / '000.png'
  assert masks.read_bytes() == (source / 'trainannot' / '000.png').read_bytes()


def test_the_command_names_what_was_packed():
  text = accelerator_kit.command(accelerator_kit.ROOT / 'build' / 'kit')
  assert '--data=build/kit/camvid --weights=build/kit/lite0' in text and 'wheels/*.whl' in text


def test_summary_is_json(tmp_path, monkeypatch, options):
  result = run(tmp_path, monkeypatch, options, {'good': WRITE})
  assert json.loads(json.dumps(result)) == result
