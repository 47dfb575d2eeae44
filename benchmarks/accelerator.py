"""Runs the measurements that matter most on one GPU, in nine minutes.

    python benchmarks/accelerator.py --output=DIR [--data=CAMVID] [--weights=LITE0] \
        [--minutes=9] [--only=NAME,NAME] [--summary=FILE.json] [--dry]

    probe                 peak of the GPU: copy, product
    step_deterministic    ResNet-101 ClassMix with config.deterministic, without autotuning
    step                  the same with default flags: the headline, with the slowest kernels
    torch                 the same work in torch: eager, compiled, CUDA graphs
    camvid_*, same_bits   concurrently: three training runs on CamVid at full size, 46 labels; one
                          run twice, once killed and resumed

Each measurement is a process group with a time limit, killed at its end. DIR/NAME.json holds its
results so far, DIR/NAME.log its output, and DIR/summary.json all results, written after each. A
failure does not affect the others. If XLA aborts while it fuses products, the measurement is
repeated once without that fusion. --only chooses more measurements, see `plan`. --dry runs the same
in small sizes on a CPU, as a test; without --data it draws some frames. Neither needs TensorFlow.

`make accelerator-kit` packs data, weights and wheels, and prints the command for a bare machine.
"""

import argparse
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import json_file  # noqa: E402

HERE = Path(__file__).resolve().parent
NO_FUSED_PRODUCTS = '--xla_gpu_enable_triton_gemm=false'
NO_SPLIT = '--xla_gpu_experimental_force_split_k=1'
LEAST = 30.0  # seconds, below which nothing is started


class Measurement(NamedTuple):
  """Arguments and time limit of one process.

  Attributes:
    seconds: time limit.
    program: file name in this directory.
    arguments: of the program; {names} are replaced by `places`.
    alone: whether nothing else may run on the GPU; False for training runs, which are not timed.
    flags: added to XLA_FLAGS.
    package: package that it needs, or it is skipped.
  """

  seconds: float
  program: str
  arguments: tuple[str, ...]
  alone: bool = True
  flags: str = ''
  package: str = 'jax'


def _step(*more: str, batch: int = 2) -> tuple[str, ...]:
  return (
    '--config=classmix_jax/config/defaults.py:method=classmix',
    '--config.model.backbone={backbone}',
    '--config.model.head={head}',
    '--config.model.dtype=bfloat16',
    '--config.data.crop=({size})',
    f'--config.batch_size={batch}',
    f'--config.unlabeled_batch_size={batch}',
    '--config.method.jitter=0',
    '--config.method.blur=False',
    '--classes=19',
    '--steps={steps}',
    *more,
  )


def _camvid(method: str, *more: str) -> tuple[str, ...]:
  return (
    f'--config=configs/camvid.py:method={method}',
    '--config.data.labeled={labeled}',
    '--config.data.root={data}',
    '--config.data.working_copy=device',
    '--config.data.copy_root={output}/copies',
    '--config.eval_every=0',
    '--workdir={output}/runs/{name}',
    *more,
  )


PRETRAINED = (
  '--config.model.backbone=efficientnet_lite0',
  '--config.model.head=deeplab_v3plus_small',
  '--config.model.pretrained={weights}',
  '--config.data.size=()',
  '--config.data.crop=(320,416)',
)


def _training(method: str, steps: int, network: tuple[str, ...]) -> Measurement:
  return Measurement(
    170,
    'training.py',
    _camvid(
      method,
      *network,
      f'--config.steps={steps}',
      f'--config.checkpoint_every={steps}',
      f'--config.log_every={max(steps // 20, 1)}',
    ),
    alone=False,
  )


def plan(dry: bool, pretrained: bool) -> dict[str, Measurement]:
  """Returns the measurements by name, in order; the ones behind `same_bits` only if named.

  Args:
    dry: whether sizes are toys.
    pretrained: whether training runs start from ImageNet features, at CamVid's own size; else from
      scratch, at half of it.
  """
  steps, network = (4, 4) if dry else (4000, 2500), PRETRAINED if pretrained else ()
  bits = _camvid('classmix', f'--steps={6 if dry else 200}', '--config.log_every=2')
  profile = ('--profile={output}/trace', '--hlo={output}/step.hlo.txt')
  return {
    'probe': Measurement(45, 'probe.py', ('--side=256', '--megabytes=4') if dry else ()),
    'step_deterministic': Measurement(130, 'step.py', _step('--config.deterministic=True')),
    'step': Measurement(200, 'step.py', _step(*profile)),
    'torch': Measurement(
      150,
      'peer_torch.py',
      (
        '--method=classmix',
        '--backbone={backbone}',
        '--size={size}',
        '--batch=2',
        '--classes=19',
        '--dtype=bfloat16',
        '--steps={steps}',
      ),
      package='torch',
    ),
    'camvid_supervised': _training('supervised', steps[0], network),
    'camvid_classmix': _training('classmix', steps[0], network),
    'camvid_unimatch': _training('unimatch', steps[1], network),
    'same_bits': Measurement(
      170, 'same_bits.py', (*bits, '--config.deterministic=True'), alone=False
    ),
    'same_bits_by_default': Measurement(170, 'same_bits.py', bits, alone=False),
    'step_no_split': Measurement(130, 'step.py', _step(), flags=NO_SPLIT),
    'step_16': Measurement(200, 'step.py', _step(batch=16)),
  }


def default_names(names: list[str]) -> list[str]:
  """Returns the measurements that run without --only: those up to `same_bits`."""
  return names[: names.index('same_bits') + 1]


def places(options: argparse.Namespace, output: Path) -> dict[str, str]:
  """Returns the values of the {names} in arguments."""
  network = ('tiny', 'conv3x3', '32,64') if options.dry else ('resnet101', 'deeplab_v2', '512,1024')
  return {
    **dict(zip(('backbone', 'head', 'size'), network, strict=True)),
    'output': str(output),
    'data': options.data,
    'weights': options.weights,
    'labeled': '4' if options.dry else '46',
    'steps': '3' if options.dry else '30',
  }


def draw_frames(directory: Path, count: int = 8) -> Path:
  """Draws a data set in the layout of CamVid, for --dry without data."""
  from PIL import Image

  from classmix_jax.datasets.scenes.render import render

  for seed, part in enumerate(('train', 'val')):
    for kind in (part, f'{part}annot'):
      (directory / kind).mkdir(parents=True, exist_ok=True)
    for index in range(count):
      image, label = render(seed, index)
      label[label > 10] = 11  # CamVid's void
      Image.fromarray(image).save(directory / part / f'{index:03d}.png')
      Image.fromarray(label).save(directory / f'{part}annot' / f'{index:03d}.png')
  return directory


def environment(one: Measurement, output: Path, extra: str) -> dict[str, str]:
  """Returns the environment variables of a measurement's process."""
  flags = f'{os.environ.get("XLA_FLAGS", "")} {one.flags} {extra}'.strip()
  share = '0.92' if one.alone else '0.22'
  return {
    **os.environ,
    'PYTHONUNBUFFERED': '1',
    'XLA_FLAGS': flags,
    'JAX_COMPILATION_CACHE_DIR': str(output / 'cache'),
    'XLA_PYTHON_CLIENT_MEM_FRACTION': share,
  }


def start(
  name: str, one: Measurement, known: Mapping[str, str], output: Path, extra: str
) -> subprocess.Popen:
  """Starts a measurement in a new process group."""
  words = [text.format(**known, name=name) for text in one.arguments]
  with open(output / f'{name}.log', 'w') as log:
    return subprocess.Popen(
      [sys.executable, str(HERE / one.program), *words, f'--output={output / name}.json'],
      cwd=HERE.parent,
      env=environment(one, output, extra),
      stdout=log,
      stderr=subprocess.STDOUT,
      start_new_session=True,
    )


def finish(process: subprocess.Popen, seconds: float) -> str:
  """Waits for a process, kills its group after the time limit; returns how it ended."""
  try:
    status = process.wait(max(seconds, 1.0))
    return 'done' if status == 0 else f'status {status}'
  except subprocess.TimeoutExpired:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return f'stopped after {seconds:.0f} s'


def collect(name: str, state: str, seconds: float, output: Path) -> dict:
  """Returns the results of a measurement, with the end of its log if it failed."""
  path, log = output / f'{name}.json', output / f'{name}.log'
  result = json.loads(path.read_text()) if path.exists() else {}
  row = {'state': state, 'seconds': round(seconds, 1), **result}
  return row if state == 'done' else {**row, 'log': log.read_text(errors='replace')[-1500:]}


def groups(names: list[str], known: Mapping[str, Measurement]) -> Iterator[list[str]]:
  """Divides names into those that run alone and those that run concurrently."""
  waiting = []
  for name in names:
    if not known[name].alone:
      waiting.append(name)
      continue
    if waiting:
      yield waiting
      waiting = []
    yield [name]
  if waiting:
    yield waiting


def measure(options: argparse.Namespace, output: Path) -> Iterator[tuple[str, dict]]:
  """Yields (name, result) of every measurement as it ends."""
  known, begin, extra = plan(options.dry, bool(options.weights)), time.monotonic(), ''

  def seconds_left():
    return 60 * options.minutes - (time.monotonic() - begin)

  names = options.only.split(',') if options.only else default_names(list(known))
  for name in [name for name in names if not find_spec(known[name].package)]:
    names.remove(name)
    yield name, {'state': f'skipped: {known[name].package} is not installed'}
  waiting = list(groups(names, known))
  while waiting:
    group = waiting.pop(0)
    if seconds_left() < LEAST:
      yield from ((name, {'state': 'no time left'}) for name in group)
      continue
    since = time.monotonic()

    def measure_spent(since=since):
      return time.monotonic() - since

    running = {
      name: start(name, known[name], places(options, output), output, extra) for name in group
    }
    for name, process in running.items():
      state = finish(process, min(known[name].seconds - measure_spent(), seconds_left() - 5))
      row = collect(name, state, measure_spent(), output)
      if state == f'status {-signal.SIGABRT}' and not extra:
        extra = NO_FUSED_PRODUCTS
        yield f'{name}_aborted', row
        waiting.insert(0, [name])
      else:
        yield name, row


def headline(row: dict) -> str:
  """Returns the figures of a result that fit a line."""
  if 'product_tflops' in row:
    return f'{row["product_tflops"]:.3g} TFLOP/s, {row["copy_gb_s"]:.4g} GB/s, {row["device"]}'
  if 'variants' in row:
    return ', '.join(
      f'{name} {result["ms"]:.1f} ms' if 'ms' in result else f'{name} failed'
      for name, result in row['variants'].items()
    )
  if 'miou' in row:
    return f'{100 * row["miou"]:.2f} mIoU ({row["network"]}), {row["steps_per_second"]:.1f} steps/s'
  if 'same' in row:
    return 'the same bits' if row['same'] else f'not the same bits: {row["same_each"]}'
  if row.get('ms'):
    return (
      f'{row["ms"]:.1f} ms a step, one by one {row["ms_one_by_one"]["median"]:.1f}, dispatch '
      f'{row["dispatch_ms"]:.1f}, compiled in {row["compile_s"]:.0f} s'
    )
  return row.get('log', '').strip().rpartition('\n')[2][:160]


def parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--output', type=Path, required=True)
  parser.add_argument('--data', default='', help='CamVid, in the layout of the SegNet tutorial')
  parser.add_argument('--weights', default='', help='EfficientNet-Lite0, see launch/convert.py')
  parser.add_argument('--minutes', type=float, default=9.0)
  parser.add_argument('--only', default='', help='names, with commas')
  parser.add_argument('--summary', type=Path, help='default: OUTPUT/summary.json')
  parser.add_argument('--dry', action='store_true')
  options = parser.parse_args()
  unknown = set(filter(None, options.only.split(','))) - set(plan(False, False))
  if unknown:
    parser.error(f'no {", ".join(unknown)}; there are {", ".join(plan(False, False))}')
  if not (options.data or options.dry):
    parser.error('--data is missing: CamVid, for the trainings (or --dry)')
  return options


def main() -> None:
  options = parse()
  output, begin, summary = options.output.absolute(), time.monotonic(), {}
  output.mkdir(parents=True, exist_ok=True)
  options.data = str(Path(options.data or draw_frames(output / 'frames')).absolute())
  options.weights = options.weights and str(Path(options.weights).absolute())
  for name, row in measure(options, output):
    summary[name] = row
    json_file.write(options.summary or output / 'summary.json', summary)
    print(
      f'{time.monotonic() - begin:5.0f} s  {name:20} {row["state"]:12} {headline(row)}', flush=True
    )
  done = sum(row['state'] == 'done' for row in summary.values())
  failed = [
    name
    for name, row in summary.items()
    if row['state'] != 'done' and not row['state'].startswith('skipped')
  ]
  print(f'{done} of {len(summary)} measurements done; {options.summary or output / "summary.json"}')
  sys.exit(bool(failed))


if __name__ == '__main__':
  main()
