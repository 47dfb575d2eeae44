"""Trains a network, or continues a training run.

    python launch/main.py --config=configs/scenes.py
    python launch/main.py --config=configs/camvid.py:method=supervised,labeled=46 \
        --config.data.root=DIR --workdir=RUN

The same command again goes on where the last run stopped. Ctrl-C and SIGTERM save and end; the
second time at once. Several processes, one per host, train
together: under Slurm and Open MPI by themselves, on TPU pods and Kubernetes with
--coordinator=cluster, anywhere else with --coordinator=HOST:PORT --processes=N --process=I.
"""

from pathlib import Path

from absl import flags
from ml_collections import config_flags

from classmix_jax.cli import command_line, gpu_flags
from classmix_jax.cli.start import STOP
from classmix_jax.utils.interrupt import Stopped

CONFIG = config_flags.DEFINE_config_file('config', None, 'A config, by name or path.')
WORKDIR = flags.DEFINE_string(
  'workdir', '', 'Folder of the run; default: runs/<config name>-<method>.'
)
COORDINATOR = flags.DEFINE_string(
  'coordinator', '', "HOST:PORT of process 0, or 'cluster'; default: what Slurm or MPI say."
)
PROCESSES = flags.DEFINE_integer('processes', None, 'How many processes train together.')
PROCESS = flags.DEFINE_integer('process', None, 'Which of them this is, from 0.')


def main() -> None:
  from classmix_jax.training.distributed import connect, start_watch

  gpu_flags.set_flags(command_line.required(CONFIG.value).deterministic)
  connect(COORDINATOR.value, PROCESSES.value, PROCESS.value)
  with start_watch() as watch:
    STOP.together(watch.count)
    train(watch.reached)


def train(reached) -> None:
  from classmix_jax.tools.report.write_report import report_training
  from classmix_jax.training.trainer import run_training

  config = command_line.required(CONFIG.value)
  default = Path('runs') / f'{config.name}-{config.method.name}'
  run = Path(WORKDIR.value or default).expanduser().absolute()
  try:
    run_training(config, run, reached, STOP, report_training)
  except Stopped as stopped:
    print(
      f'{run}: saved after step {stopped.step}; the same command goes on from there', flush=True
    )
    STOP.leave()
