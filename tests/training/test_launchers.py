"""Launchers of clusters, with stand-ins for srun, gcloud and Kubernetes."""

import os
from pathlib import Path
import shlex
import subprocess
import sys

import pytest
from test_distributed import free_port, losses
import toy
import yaml

from classmix_jax.config import defaults

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / 'launch'

SRUN = """#!/usr/bin/env bash
# Two tasks on one node, with the environment variables of Slurm.
while [[ $1 == --* ]]; do shift; done
export SLURM_JOB_ID=1 SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=1
export SLURM_NTASKS=2 SLURM_STEP_NUM_TASKS=2
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" & first=$!
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" & second=$!
wait $first && wait $second
"""
GCLOUD = """#!/usr/bin/env bash
printf '%q ' "$@" >> "$SAID"; echo >> "$SAID"
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
  """Writes a program that is found before the real one."""

  def write(name, text):
    path = tmp_path / 'bin' / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)

  monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{os.environ["PATH"]}')
  return write


def test_tpu_vm(stub, tmp_path, monkeypatch):
  """Arguments reach every host as they were written."""
  stub('gcloud', GCLOUD)
  for name, value in {'SAID': str(tmp_path / 'said'), 'TPU': 'mine', 'ZONE': 'here'}.items():
    monkeypatch.setenv(name, value)

  def run(*words):
    return subprocess.run([LAUNCH / 'tpu_vm.sh', *words], cwd=ROOT, check=True)

  run('create', 'v4-32', 'tpu-ubuntu2204-base')
  run('install')
  run('train', '--config=configs/scenes.py', '--workdir=my runs', '--config.data.crop=(64,64)')
  create, copy, install, train = map(shlex.split, (tmp_path / 'said').read_text().splitlines())
  assert create[:5] == ['compute', 'tpus', 'tpu-vm', 'create', 'mine']
  assert {'--zone=here', '--accelerator-type=v4-32', '--version=tpu-ubuntu2204-base'} < set(create)
  assert copy[3] == 'scp' and copy[5] == 'mine:classmix_jax.tar.gz' and '--worker=all' in copy
  assert '--worker=all' in install and '.[tpu]' in install[-1]
  change, start = train[-1].removeprefix('--command=').split('; ')
  assert change == 'cd classmix_jax' and '--worker=all' in train
  assert shlex.split(start)[2:] == [
    '--coordinator=cluster',
    '--config=configs/scenes.py',
    '--workdir=my runs',
    '--config.data.crop=(64,64)',
  ]


def test_tpu_vm_without_names(monkeypatch):
  monkeypatch.delenv('TPU', raising=False)
  process = subprocess.run([LAUNCH / 'tpu_vm.sh'], capture_output=True, text=True)
  assert process.returncode != 0 and 'TPU: is the name of the TPU VM' in process.stderr


@pytest.mark.parametrize('name', ['kubernetes.yaml', 'gke_tpu.yaml'])
def test_kubernetes(name):
  """The job's files exist; it has one process per pod, and they share the batch."""
  service, job = yaml.safe_load_all((LAUNCH / name).read_text())
  spec = job['spec']
  pod = spec['template']['spec']
  program, *arguments = pod['containers'][0]['args']
  options = dict(argument.split('=', 1) for argument in arguments)
  assert program == 'launch/main.py' and (ROOT / options['--config']).exists()
  assert spec['completions'] == spec['parallelism']
  assert int(options.get('--processes', spec['completions'])) == spec['completions']
  host = options['--coordinator'].partition(':')[0]
  name = service['metadata']['name']
  assert pod['subdomain'] == name and host in ('cluster', f'{job["metadata"]["name"]}-0.{name}')
  (devices,) = pod['containers'][0]['resources']['limits'].values()
  for field in ('batch_size', 'unlabeled_batch_size'):
    assert field in defaults.get_config()
    assert int(options[f'--config.{field}']) % (devices * spec['completions']) == 0


@pytest.mark.slow
def test_slurm(stub, tmp_path, monkeypatch):
  """The script starts two processes that find each other by the variables of Slurm."""
  stub('srun', SRUN)
  directory, run = toy.write_folder(tmp_path / 'data'), tmp_path / 'run'
  for name, value in {
    'PYTHON': sys.executable,
    'JAX_COORDINATOR_PORT': str(free_port()),
    'JAX_NUM_CPU_DEVICES': '1',
    'XLA_FLAGS': '',
  }.items():
    monkeypatch.setenv(name, value)
  process = subprocess.run(
    [
      LAUNCH / 'slurm.sh',
      f'--config={ROOT}/configs/folder.py',
      f'--config.data.root={directory}',
      f'--workdir={run}',
      '--config.steps=3',
      '--config.data.crop=(32,32)',
      '--config.batch_size=2',
      '--config.unlabeled_batch_size=2',
      '--config.log_every=1',
    ],
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=550,
  )
  assert process.returncode == 0, process.stderr
  assert '1 of 2 (cpu)' in process.stdout or '2 of 2 (cpu)' in process.stdout, process.stdout
  assert len(losses(run)) == 3
