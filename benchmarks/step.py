"""How long a training step takes, on made-up images that are already on the devices.

    python benchmarks/step.py --config=configs/camvid.py:method=classmix,labeled=46 \
        [--config.FIELD=VALUE] [--classes=11] [--steps=30] [--devices=0] [--times_batch=1] \
        [--default_malloc] [--output=FILE.json]

Builds network, method, optimizer and step as launch/main.py does; the config's crop (or size)
says how large images are. Prints how long it compiles, the median and the extremes of a step in ms,
images/s, and, of the process, page faults and processor time per step; XLA's count of operations,
and how much that is of what one large product of matrices reaches on these devices; how often
devices exchange data, and how much. On devices that tell, also their peak memory.
"""

import json
import math
import os
from pathlib import Path
import platform
import re
import resource
import statistics
import sys
import time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import app, flags  # noqa: E402
from ml_collections import config_flags  # noqa: E402
from provenance import provenance  # noqa: E402

from launch.allocator import keep_freed_memory  # noqa: E402

CONFIG = config_flags.DEFINE_config_file('config', None, 'A file of configs/.')
CLASSES = flags.DEFINE_integer('classes', 11, 'Number of classes.')
STEPS = flags.DEFINE_integer('steps', 30, 'Steps that are timed.')
DEFAULT_MALLOC = flags.DEFINE_boolean(
    'default_malloc', False, "Keep the C library's settings for freed memory.")
DEVICES = flags.DEFINE_integer('devices', 0, 'Number of devices, 0 for all that the batch fits.')
TIMES_BATCH = flags.DEFINE_integer('times_batch', 1, "Multiplies the config's batch.")
OUTPUT = flags.DEFINE_string('output', '', 'File for the result.')
WARM_UP = 3
BYTES = {'f32': 4, 's32': 4, 'u32': 4, 'bf16': 2, 'f16': 2, 'pred': 1}
PRODUCT_SIDE = {'cpu': 2048}  # of square matrices, large enough to keep a device busy


def usage() -> tuple[float, int]:
  """Returns the processor time of this process in seconds, and its page faults."""
  used = resource.getrusage(resource.RUSAGE_SELF)
  return used.ru_utime + used.ru_stime, used.ru_minflt


def image_size(config) -> tuple[int, int]:
  """The (H, W) of training images: the crop, or the working size of whole images."""
  size = tuple(config.data.crop) or tuple(config.data.size)
  if not size:
    raise SystemExit('config.data.crop and config.data.size are empty: how large are images?')
  return size


def made_up(config, devices):
  """Returns the batches of one dispatch `[D, K A, b, ...]`, noise, on the devices."""
  import numpy as np

  from classmix_jax.experiment import unlabeled_batch_size
  from classmix_jax.train import to_devices
  from classmix_jax.types import Batch, Example
  random = np.random.default_rng(0)

  def example(count):
    shape = (len(devices), config.steps_per_dispatch * config.accumulate,
             count // len(devices) // config.accumulate, *image_size(config))
    return Example(
        random.integers(0, 256, (*shape, 3), np.uint8),
        random.integers(0, CLASSES.value, shape, np.uint8), np.ones(shape, bool))

  unlabeled = unlabeled_batch_size(config)
  batch = Batch(example(config.batch_size), example(unlabeled) if unlabeled else None)
  return next(to_devices([batch], devices)), config.batch_size + unlabeled


def product_peak(dtype: str, devices) -> float:
  """Returns the operations per second of a product of square matrices on all devices."""
  import jax
  import jax.numpy as jnp
  side = PRODUCT_SIDE.get(devices[0].platform, 8192)
  product = jax.pmap(lambda x: x @ x, devices=devices)
  matrix = jnp.ones((len(devices), side, side), dtype)
  return 2 * side**3 * len(devices) / (min(milliseconds(lambda: product(matrix), 1, 5)) / 1000)


def collectives(program: str) -> list[int]:
  """Returns the bytes of every result that devices exchange, from a compiled program's text."""
  found = re.findall(
      r'= (.*?) (?:all-reduce|all-gather|collective-permute|reduce-scatter|all-to-all)(?:-start)?'
      r'\(', program)
  return [sum(BYTES[kind] * math.prod(int(length) for length in shape.split(',') if length)
              for kind, shape in re.findall(r'([a-z]+\d*)\[([\d,]*)\]', text))
          for text in found]


def about(config, devices) -> dict:
  """Returns what a result needs said: where, when, and of what."""
  return {
      'device': f'{len(devices)} x {devices[0].device_kind} ({platform.machine()}, '
                f'{len(os.sched_getaffinity(0))} cores)',
      **provenance('jax', 'jaxlib', 'flax', 'optax'),
      'config': config.name, 'method': config.method.name, 'model': config.model.to_dict(),
      'crop': list(image_size(config)), 'batch_size': config.batch_size}


def milliseconds(program, warm_up: int = WARM_UP, steps: int | None = None) -> list[float]:
  """Returns how long each call of a program took that returns arrays, without the first."""
  import jax
  times = []
  for _ in range(warm_up + (steps or STEPS.value)):
    begin = time.perf_counter()
    jax.block_until_ready(program())
    times.append(1000 * (time.perf_counter() - begin))
  return times[warm_up:]


def measure(config):
  """Times the step; returns what is written to the file."""
  import jax
  import numpy as np

  from classmix_jax import build
  from classmix_jax.train import create_state, make_train_step
  config.batch_size *= TIMES_BATCH.value
  config.unlabeled_batch_size *= TIMES_BATCH.value
  devices = build.choose_devices(config)[:DEVICES.value or None]
  method = build.build_method(config, CLASSES.value)
  tx = build.build_optimizer(config, config.steps)
  image = jax.ShapeDtypeStruct((1, *image_size(config), 3), np.float32)
  state = create_state(method, tx, jax.random.key(0, impl='rbg'), image, devices)
  batch, images = made_up(config, devices)
  begin = time.perf_counter()
  step = make_train_step(method, tx, 0, devices, accumulate=config.accumulate).lower(
      state, batch).compile()
  compiling = time.perf_counter() - begin
  exchanged = collectives(step.as_text()) if len(devices) > 1 else []
  operations = step.cost_analysis()['flops'] * len(devices) / config.steps_per_dispatch

  kept = [state]

  def run():
    kept[0], metrics = step(kept[0], batch)
    return kept[0], metrics

  milliseconds(run, 0, WARM_UP)
  before, together = usage(), config.steps_per_dispatch
  times = sorted(time / together for time in milliseconds(run, 0))
  processor, faults = (
      (now - then) / STEPS.value / together for now, then in zip(usage(), before, strict=True))
  median = statistics.median(times)
  memory = devices[0].memory_stats() or {}
  peak = product_peak(config.model.dtype, devices)
  return {
      **about(config, devices), 'images_per_step': images,
      'default_malloc': DEFAULT_MALLOC.value, 'steps': STEPS.value,
      'ms': {'median': median, 'least': times[0], 'most': times[-1]},
      'images_per_s': 1000 * images / median, 'processor_ms': 1000 * processor,
      'page_faults': faults, 'steps_per_dispatch': together,
      'peak_bytes': memory.get('peak_bytes_in_use'),
      'devices': len(devices), 'made_up_devices': devices[0].platform == 'cpu',
      'collectives': len(exchanged), 'collective_bytes': sum(exchanged), 'compile_s': compiling,
      'operations': operations, 'product_operations_per_s': peak,
      'share_of_product': 1000 * operations / median / peak}


def main(_) -> None:
  if not DEFAULT_MALLOC.value:
    keep_freed_memory()
  found = measure(CONFIG.value)
  print(f'{found["method"]}, {found["model"]["backbone"]} + {found["model"]["head"]}, '
        f'{found["model"]["dtype"]}, {found["device"]}: {found["ms"]["median"]:.0f} ms a step '
        f'({found["ms"]["least"]:.0f} to {found["ms"]["most"]:.0f}), '
        f'{found["images_per_s"]:.1f} images/s, {found["processor_ms"]:.0f} ms of processor time, '
        f'{found["page_faults"]:.0f} page faults; compiled in {found["compile_s"]:.0f} s, '
        f'{found["operations"] / 1e9:.0f} GFLOP, {found["share_of_product"]:.0%} of a product\'s '
        f'{found["product_operations_per_s"] / 1e9:.0f} GFLOP/s')
  if OUTPUT.value:
    Path(OUTPUT.value).write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
  app.run(main)
