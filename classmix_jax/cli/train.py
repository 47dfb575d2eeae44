"""Trains a network, or continues a training run.

    python launch/main.py --config=configs/scenes.py
    python launch/main.py --config=configs/camvid.py:method=supervised,labeled=46 \
        --config.data.root=DIR --workdir=RUN

The same command again resumes the run. Ctrl-C and SIGTERM save and end it; the second signal ends
it at once. Several processes, one per host, train together: under Slurm and Open MPI without a
flag, on TPU pods and Kubernetes with --coordinator=cluster, anywhere else with
--coordinator=HOST:PORT --processes=N --process=I.
"""

from collections.abc import Callable
from pathlib import Path
import sys

from absl import flags

from classmix_jax.cli import command_line, gpu_flags
from classmix_jax.cli.start import STOP
from classmix_jax.cli.supervised_command import supervised_command
from classmix_jax.config.flags import define_config
from classmix_jax.utils.interrupt import Stopped

CONFIG = define_config('A config, by name or path.')
WORKDIR = flags.DEFINE_string(
  'workdir', '', 'Directory of the run; default: runs/<config name>-<method>.'
)
VERBOSE = flags.DEFINE_bool(
  'verbose', False, 'Print all settings and parameters before the first step.'
)
COORDINATOR = flags.DEFINE_string(
  'coordinator', '', "HOST:PORT of process 0, or 'cluster'; default: that of Slurm or Open MPI."
)
PROCESSES = flags.DEFINE_integer('processes', None, 'Number of processes that train together.')
PROCESS = flags.DEFINE_integer('process', None, 'Index of this process, from 0.')


def main() -> None:
  from classmix_jax.training.distributed import connect, start_watch

  gpu_flags.set_flags(command_line.required(CONFIG.value).deterministic)
  connect(COORDINATOR.value, PROCESSES.value, PROCESS.value)
  with start_watch() as watch:
    STOP.together(watch.count)
    train(watch.on_step)


def train(on_step: Callable[[int], None]) -> None:
  """Trains the run of the flags; `on_step` is called with the number of finished steps."""
  from classmix_jax.tools.report.write_report import report_training
  from classmix_jax.training.prepare import prepare
  from classmix_jax.training.trainer import run_training

  config = command_line.required(CONFIG.value)
  default = Path('runs') / f'{config.name}-{config.method.name}'
  run = Path(WORKDIR.value or default).expanduser().absolute()
  try:
    setup, weights = prepare(config, run)
    run_training(
      setup,
      run,
      weights,
      on_step=on_step,
      stop=STOP,
      on_end=report_training,
      verbose=VERBOSE.value,
      supervised_command=supervised_command(sys.orig_argv[1:]),
    )
  except Stopped as stopped:
    print(
      f'{run}: saved after step {stopped.step}; the same command resumes from there', flush=True
    )
    STOP.leave()
