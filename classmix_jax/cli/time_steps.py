"""Times training steps on random images, without a data set.

    classmix-jax time-steps --config=camvid:method=classmix [--config.FIELD=VALUE] [--steps=5]

Builds network, method, optimizer and step as a training does; config.data.crop, or
config.data.size, is the size of the images. `table --dry-run` starts this program for each method
that has not been trained yet. benchmarks/step.py, in the repository, measures more.
"""

import json
from pathlib import Path

from absl import flags

from classmix_jax.cli import command_line, gpu_flags
from classmix_jax.config.flags import define_config

CONFIG = define_config('A config, by name or path.')
STEPS = flags.DEFINE_integer('steps', 5, 'Steps that are timed.', lower_bound=1)
CLASSES = flags.DEFINE_integer('classes', 11, 'Number of classes.', lower_bound=2)
OUTPUT = flags.DEFINE_string('output', '', 'JSON file for the result; default: none.')


def main() -> None:
  config = command_line.required(CONFIG.value)
  gpu_flags.set_flags(config.deterministic)
  from classmix_jax.config.complete import complete
  from classmix_jax.tools.sweep.random_step import time_steps
  from classmix_jax.utils.atomic_write import write_atomically

  config, _ = complete(config, None)  # opens the data if the config leaves fields open
  milliseconds, images = time_steps(config, CLASSES.value, STEPS.value)
  if OUTPUT.value:
    write_atomically(Path(OUTPUT.value), json.dumps({'ms': milliseconds}) + '\n')
  rate = 1000 * images / milliseconds
  print(f'{config.method.name}: {milliseconds:.0f} ms a step, {rate:.1f} images/s')
