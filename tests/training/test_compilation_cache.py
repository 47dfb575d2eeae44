"""What makes a training on a GPU repeat itself, as far as no GPU is needed to see it."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

from classmix_jax.cli import gpu_flags
from classmix_jax.config import defaults

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
from pathlib import Path
import sys
import jax
from classmix_jax.training.compilation_cache import keep_programs
hits = []
jax.monitoring.register_event_listener(lambda name, **_: hits.append('cache_hits' in name))
jax.jit(lambda x: x + 1)(1.0)  # opens the directory of all runs
keep_programs(Path(sys.argv[1]), sys.argv[2])
jax.jit(lambda x: x * 3)(2.0)
print(sum(hits))
"""


def compile_in(run: Path, platform: str, shared: Path) -> int:
  """Returns how many programs were found compiled."""
  environ = {
    **os.environ,
    'JAX_COMPILATION_CACHE_DIR': str(shared),
    'JAX_PLATFORMS': 'cpu',
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
  }
  done = subprocess.run(
    [sys.executable, '-c', PROGRAM, run, platform],
    env=environ,
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=True,
  )
  return int(done.stdout)


def test_a_gpu_run_keeps_its_programs_and_finds_them_again(tmp_path):
  run = tmp_path / 'run'
  assert compile_in(run, 'gpu', tmp_path / 'first') == 0
  assert any((run / 'compiled').iterdir())
  # On another machine, where nothing was compiled before, only what came before is missing.
  assert compile_in(run, 'gpu', tmp_path / 'second') >= 1


def test_other_platforms_share_one_directory(tmp_path):
  compile_in(tmp_path / 'run', 'cpu', tmp_path / 'shared')
  assert not (tmp_path / 'run').exists()
  assert compile_in(tmp_path / 'other', 'cpu', tmp_path / 'shared') >= 2


@pytest.mark.skipif(gpu_flags.has_cuda(), reason='the plugin for NVIDIA GPUs is installed')
def test_cuda_is_found_by_its_plugin(tmp_path, monkeypatch):
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.delitem(sys.modules, 'jax_plugins', raising=False)
  assert not gpu_flags.has_cuda()
  (tmp_path / 'jax_plugins' / 'xla_cuda13').mkdir(parents=True)
  assert gpu_flags.has_cuda()


def test_xla_accepts_the_flag(tmp_path):
  environ = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': gpu_flags.with_fixed_order('')}
  subprocess.run([sys.executable, '-c', 'import jax; jax.devices()'], env=environ, check=True)


def test_a_flag_set_by_the_user_stays():
  off = '--xla_dump_to=DIR --xla_gpu_exclude_nondeterministic_ops=false'
  assert gpu_flags.with_fixed_order(off) == off
  assert gpu_flags.with_fixed_order('--xla_dump_to=DIR') == (
    '--xla_dump_to=DIR --xla_gpu_exclude_nondeterministic_ops=true'
  )


@pytest.mark.parametrize(
  'deterministic, cuda, expected',
  [
    (True, True, '--xla_dump_to=DIR --xla_gpu_exclude_nondeterministic_ops=true'),
    (False, True, '--xla_dump_to=DIR'),
    (True, False, '--xla_dump_to=DIR'),  # XLA for TPUs may not have the flag, and aborts then
  ],
)
def test_the_flag_is_a_choice(monkeypatch, deterministic, cuda, expected):
  monkeypatch.setenv('XLA_FLAGS', '--xla_dump_to=DIR')
  monkeypatch.setattr(gpu_flags, 'has_cuda', lambda: cuda)
  gpu_flags.set_flags(deterministic)
  assert os.environ['XLA_FLAGS'] == expected


def test_by_default_it_is_not_chosen():
  assert defaults.get_config().deterministic is False


MAIN = """
import os, sys
import jax
from classmix_jax.cli import gpu_flags
gpu_flags.has_cuda = lambda: True
set_flags = gpu_flags.set_flags
def checked(deterministic):
  jax.config.update('jax_num_cpu_devices', 3)  # an error if devices are open
  set_flags(deterministic)
gpu_flags.set_flags = checked
os.environ.pop('XLA_FLAGS', None)
from classmix_jax.cli import command_line, train
from classmix_jax.training import prepare, trainer
prepare.prepare = lambda config, run: (None, None)
def stop(*_, **__):
  print(os.environ.get('XLA_FLAGS', 'none'))
trainer.run_training = stop
command_line.run(train)
"""


@pytest.mark.parametrize(
  'chosen, expected', [('True', '--xla_gpu_exclude_nondeterministic_ops=true'), ('False', 'none')]
)
def test_the_program_sets_the_flag_before_devices_are_opened(tmp_path, chosen, expected):
  done = subprocess.run(
    [
      sys.executable,
      '-c',
      MAIN,
      '--config=configs/scenes.py',
      f'--config.deterministic={chosen}',
      f'--workdir={tmp_path}',
    ],
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    cwd=ROOT,
    capture_output=True,
    text=True,
  )
  assert done.returncode == 0, done.stderr
  assert done.stdout.split() == [expected]
