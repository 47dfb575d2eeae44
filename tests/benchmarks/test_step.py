"""A small step, timed in a process of its own. Its duration is never asserted."""

import json
import math
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
# XLA for GPUs gives None.
PROGRAM = """
import os
import runpy
import sys
import jax
sys.path.insert(0, os.path.dirname(sys.argv[0]))
jax.stages.Compiled.cost_analysis = lambda self: None
sys.modules['tensorflow'] = None  # importing it raises
runpy.run_path(sys.argv[0], run_name='__main__')
"""


@pytest.mark.slow
def test_a_small_step(tmp_path):
  path, text = tmp_path / 'result.json', tmp_path / 'program.txt'
  arguments = [
    str(ROOT / 'benchmarks' / 'step.py'),
    f'--config={ROOT / "classmix_jax" / "config" / "defaults.py"}:method=classmix',
    '--config.data.crop=(16,24)',
    '--config.model.backbone=tiny',
    '--config.model.head=conv3x3',
    '--classes=3',
    '--steps=2',
    '--devices=1',
    f'--profile={tmp_path / "trace"}',
    f'--hlo={text}',
    f'--output={path}',
  ]
  program = f'import sys; sys.argv = {arguments!r}\n{PROGRAM}'
  done = subprocess.run(
    [sys.executable, '-c', program], cwd=ROOT, check=True, text=True, capture_output=True
  )
  result = json.loads(path.read_text())
  assert set(result) >= {
    'ms',
    'ms_one_by_one',
    'dispatch_ms',
    'compile_s',
    'temp_mib',
    'peak_bytes',
    'xla_flags',
    'images_per_s',
    'product_operations_per_s',
    'share_of_product',
    'versions',
    'commit',
  }
  assert set(result['ms_one_by_one']) == {'median', 'least', 'most'}
  assert set(result['losses']) == {'loss/sup', 'loss/unsup'} and result['finite'] is True
  assert all(map(math.isfinite, result['losses'].values()))
  assert result['operations'] > 1e6 and result['loops_counted_once'] == 0
  assert result['kernels'] == []  # of a GPU
  assert text.read_text().startswith('HloModule') and not list(tmp_path.glob('*.tmp'))
  for phrase in ('ms a step', 'one by one', 'dispatch', 'XLA_FLAGS='):
    assert phrase in done.stdout
