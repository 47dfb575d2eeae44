"""Times a training step on random images that are already on the devices.

    python benchmarks/step.py --config=configs/camvid.py:method=classmix,labeled=46 \
        [--config.FIELD=VALUE] [--classes=11] [--steps=30] [--devices=0] [--times_batch=1] \
        [--default_malloc] [--profile=DIR] [--hlo=FILE.txt] [--output=FILE.json]

Builds network, method, optimizer and step, and sets XLA's flags, as launch/main.py does; the
config's crop (or size) is the size of the images. Three times of a step, all in ms:

    ms               of --steps consecutive steps, with one wait at the end, as in training
    ms_one_by_one    median, minimum and maximum of as many steps, with a wait after each
    dispatch_ms      median until the call returns, of the same steps: the time of the host

Also, in the file: compile_s; temp_mib, XLA's plan of temporaries; peak_bytes, peak memory of the
devices (None on CPUs); losses of the last step; processor time and page faults of the process;
operations of products and convolutions (benchmarks/operations.py) relative to one large product of
random matrices on these devices; number and bytes of collectives. --profile traces three more steps
into DIR and lists the slowest kernels of a GPU; --hlo writes the optimized program. The file is
written after compiling, and after each stage.
"""

import os
from pathlib import Path
import platform
import resource
import statistics
import sys
import time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import app, flags  # noqa: E402
from compiled.hlo import parse  # noqa: E402
from compiled.kernels import is_collective  # noqa: E402
import json_file  # noqa: E402
from kernel_times import kernel_times  # noqa: E402
from ml_collections import config_flags  # noqa: E402
from provenance import provenance  # noqa: E402

from classmix_jax.cli import gpu_flags  # noqa: E402
from classmix_jax.cli.allocator import keep_freed_memory  # noqa: E402

CONFIG = config_flags.DEFINE_config_file('config', None, 'A file of configs/.')
CLASSES = flags.DEFINE_integer('classes', 11, 'Number of classes.')
STEPS = flags.DEFINE_integer('steps', 30, 'Steps that are timed.')
DEFAULT_MALLOC = flags.DEFINE_boolean(
  'default_malloc', False, "Keep the C library's settings for freed memory."
)
DEVICES = flags.DEFINE_integer('devices', 0, 'Number of devices, 0 for all that the batch fits.')
TIMES_BATCH = flags.DEFINE_integer('times_batch', 1, "Multiplies the config's batch.")
PROFILE = flags.DEFINE_string('profile', '', "Directory for the profiler's trace of three steps.")
HLO = flags.DEFINE_string('hlo', '', "File for the optimised program's text.")
OUTPUT = flags.DEFINE_string('output', '', 'File for the result.')
PROFILED = 3  # steps
PRODUCTS = 10  # in a row, for their peak
PRODUCT_SIDE = {'cpu': 2048}  # of square matrices, large enough to keep a device busy


def usage() -> tuple[float, int]:
  """Returns the processor time of this process in seconds, and its page faults."""
  used = resource.getrusage(resource.RUSAGE_SELF)
  return used.ru_utime + used.ru_stime, used.ru_minflt


def product_peak(dtype: str, devices) -> float:
  """Returns the operations per second of a product of random square matrices on all devices."""
  import jax

  from classmix_jax.tools.sweep.random_step import time_calls

  side = PRODUCT_SIDE.get(devices[0].platform, 8192)
  draw = jax.pmap(lambda key: jax.random.normal(key, (side, side), dtype), devices=devices)
  matrix = draw(jax.random.split(jax.random.key(0), len(devices)))  # on the devices at once
  product = jax.pmap(lambda x: x @ x, devices=devices)
  jax.block_until_ready(product(matrix))
  ms = time_calls(lambda: product(matrix), PRODUCTS)
  return 2 * side**3 * len(devices) / (ms / 1000)


def collectives(program: str) -> list[float]:
  """Returns the bytes of every collective, from the text of a compiled program."""
  return [one.bytes for one in parse(program).instructions if is_collective(one)]


def about(config, devices) -> dict:
  """Returns the provenance of a result: where, when, and of what."""
  from classmix_jax.tools.sweep.random_step import image_size

  return {
    'device': f'{len(devices)} x {devices[0].device_kind} ({platform.machine()}, '
    f'{len(os.sched_getaffinity(0))} cores)',
    **provenance('jax', 'jaxlib', 'flax', 'optax'),
    'xla_flags': os.environ.get('XLA_FLAGS', ''),
    'config': config.name,
    'method': config.method.name,
    'model': config.model.to_dict(),
    'crop': list(image_size(config)),
    'batch_size': config.batch_size,
    'classes': CLASSES.value,
  }


def one_by_one(program, steps: int) -> tuple[list[float], list[float]]:
  """Returns the ms of calls with a wait after each, and of these until the call returned."""
  import jax

  whole, dispatch = [], []
  for _ in range(steps):
    begin = time.perf_counter()
    result = program()
    dispatch.append(1000 * (time.perf_counter() - begin))
    jax.block_until_ready(result)
    whole.append(1000 * (time.perf_counter() - begin))
  return whole, dispatch


def compile_step(step, state, batch, config, devices):
  """Compiles the step; returns it, and the analyses of the compiler."""
  import jax
  from operations import count

  begin = time.perf_counter()
  compiled = step.lower(state, batch).compile()
  seconds = time.perf_counter() - begin
  counted = count(jax.make_jaxpr(step)(state, batch))
  memory = compiled.memory_analysis()
  exchanged = collectives(compiled.as_text()) if len(devices) > 1 else []
  if HLO.value:
    Path(HLO.value).write_text(compiled.as_text(), encoding='utf-8')
  return compiled, {
    'compile_s': seconds,
    'temp_mib': memory and memory.temp_size_in_bytes / 2**20,
    'operations': counted.operations,
    'loops_counted_once': counted.loops,
    'collectives': len(exchanged),
    'collective_bytes': sum(exchanged),
  }


def time_step(run) -> dict:
  """Times a warm step; see the module's three times."""
  from classmix_jax.tools.sweep.random_step import time_calls

  before = usage()
  ms = time_calls(run, STEPS.value)
  processor, faults = (
    (now - then) / STEPS.value for now, then in zip(usage(), before, strict=True)
  )
  whole, dispatch = one_by_one(run, STEPS.value)
  return {
    'ms': ms,
    'dispatch_ms': statistics.median(dispatch),
    'ms_one_by_one': {'median': statistics.median(whole), 'least': min(whole), 'most': max(whole)},
    'processor_ms': 1000 * processor,
    'page_faults': faults,
  }


def last_metrics(metrics) -> dict:
  """Returns the losses of a step, and whether it was finite."""
  import numpy as np

  last = {name: float(np.ravel(value)[-1]) for name, value in metrics.items()}
  return {
    'losses': {name: value for name, value in last.items() if name.startswith('loss')},
    'finite': bool(last['finite']),
  }


def profile(run, directory: Path) -> list:
  """Traces `PROFILED` calls; returns the rows of benchmarks/kernel_times.py."""
  import jax

  from classmix_jax.tools.sweep.random_step import time_calls

  with jax.profiler.trace(str(directory)):
    time_calls(run, PROFILED)
  return kernel_times(directory, PROFILED)


def measure(config):
  """Compiles, times and profiles the step; yields the result so far after each stage."""
  from classmix_jax.config.model import choose_devices
  from classmix_jax.tools.sweep.random_step import WARM_UP, build_step, time_calls

  config.batch_size *= TIMES_BATCH.value
  config.unlabeled_batch_size *= TIMES_BATCH.value
  devices = choose_devices(config)[: DEVICES.value or None]
  step, state, (batch, images) = build_step(config, CLASSES.value, devices)
  step, compiled = compile_step(step, state, batch, config, devices)
  result = {
    **about(config, devices),
    'images_per_step': images,
    'steps': STEPS.value,
    'default_malloc': DEFAULT_MALLOC.value,
    'devices': len(devices),
    'made_up_devices': devices[0].platform == 'cpu',
    **compiled,
  }
  yield result

  def run():
    nonlocal state
    state, metrics = step(state, batch)
    return metrics

  time_calls(run, WARM_UP)
  result |= time_step(run)
  result |= {
    'images_per_s': 1000 * images / result['ms'],
    **last_metrics(run()),
    'peak_bytes': (devices[0].memory_stats() or {}).get('peak_bytes_in_use'),
  }
  yield result
  peak = product_peak(config.model.dtype, devices)
  result |= {
    'product_operations_per_s': peak,
    'share_of_product': 1000 * result['operations'] / result['ms'] / peak,
  }
  yield result
  if PROFILE.value:
    kernels = profile(run, Path(PROFILE.value))
    yield result | {'kernels': [list(row) for row in kernels]}


def sentence(result: dict) -> str:
  """Returns the printed line of a result."""
  model, each = result['model'], result['ms_one_by_one']
  return (
    f'{result["method"]}, {model["backbone"]} + {model["head"]}, {model["dtype"]}, '
    f'{result["device"]}: {result["ms"]:.1f} ms a step, {result["images_per_s"]:.1f} images/s; '
    f'one by one {each["median"]:.1f} ms ({each["least"]:.1f} to {each["most"]:.1f}), dispatch '
    f'{result["dispatch_ms"]:.1f} ms; {result["processor_ms"]:.0f} ms of processor time, '
    f'{result["page_faults"]:.0f} page faults; compiled in {result["compile_s"]:.0f} s, '
    f"{result['operations'] / 1e9:.0f} GFLOP, {result['share_of_product']:.0%} of a product's "
    f'{result["product_operations_per_s"] / 1e9:.0f} GFLOP/s; losses '
    + ', '.join(f'{name} {value:.4g}' for name, value in result['losses'].items())
    + f'; XLA_FLAGS={result["xla_flags"]!r}'
  )


def prepare(config) -> None:
  """Sets the flags of launch/main.py before JAX opens its devices."""
  if not DEFAULT_MALLOC.value:
    keep_freed_memory()
  gpu_flags.set_flags(config.deterministic)


def main(_) -> None:
  prepare(CONFIG.value)
  for result in measure(CONFIG.value):
    json_file.write(OUTPUT.value, result)
  print(sentence(result))


if __name__ == '__main__':
  app.run(main)
