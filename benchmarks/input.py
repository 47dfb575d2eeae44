"""Times batches of 512x1024 from frames of 2048x1024: PIL loop, pipeline, working copies.

    python benchmarks/input.py [--frames=32] [--working=512,1024] [--crop=H,W] [--batch=2]
        [--output=benchmarks/results/input.json]

Draws random frames in the layout of Cityscapes, as PNG pairs, then measures, in images
per second of wall clock and per second of one core's time:

    PIL loop         the work of the original loader in every epoch: decode image and label,
                     resize both, map the ids
    first epoch      the pipeline, which decodes with the same library on several threads
    preparing        writing the working copy, once
    prepared epoch   the pipeline on the working copy
    device           batches cut on the device from resident frames
    device: draws    what of this is the host's: which frame, which crop

and the fraction of a training step that waits for the next batch.
"""

import argparse
from collections.abc import Callable, Iterator
import json
from pathlib import Path
import resource
import sys
import tempfile
import time
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from provenance import provenance  # noqa: E402

from classmix_jax.data.device_pipeline import device_stream  # noqa: E402
from classmix_jax.data.disk_cache import copy_images, copy_labels  # noqa: E402
from classmix_jax.data.feed import to_devices  # noqa: E402
from classmix_jax.data.files.decoding import Decoding, label_table  # noqa: E402
from classmix_jax.data.files.file_source import paired_source  # noqa: E402
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.pairs import pair  # noqa: E402
from classmix_jax.data.input_pipeline import train_batches  # noqa: E402
from classmix_jax.data.random_crop import Geometry, draw_example  # noqa: E402
from classmix_jax.data.sampler import LABELED  # noqa: E402
from classmix_jax.data.source import Source  # noqa: E402
from classmix_jax.datasets.scenes.render import render  # noqa: E402

FRAME = 1024, 2048
CLASSES = tuple(f'class{i}' for i in range(9))
DECODING = Decoding(CLASSES, label_table(len(CLASSES)))


class Sizes(NamedTuple):
  """What training reads.

  Attributes:
    working: (H, W) of the frames in the working copy.
    geometry: of the crops.
    batch: images per step.
  """

  working: tuple[int, int]
  geometry: Geometry
  batch: int


def draw_frames(directory: Path, count: int) -> None:
  """Writes scenes at the size of Cityscapes, with sensor noise for realistic PNG files."""
  for kind in ('images', 'masks'):
    (directory / kind).mkdir()
  for index in range(count):
    image, label = render(3, index)
    rng = np.random.default_rng(index)
    image = np.asarray(Image.fromarray(image).resize(FRAME[::-1], Image.Resampling.BICUBIC))
    image = np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    Image.fromarray(image).save(directory / 'images' / f'{index:03d}.png')
    Image.fromarray(label).resize(FRAME[::-1], Image.Resampling.NEAREST).save(
      directory / 'masks' / f'{index:03d}.png'
    )


def pil_loop(directory: Path, working: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Decodes and resizes one pair after the other."""
  table = DECODING.table.astype(np.uint8)
  for path in sorted((directory / 'images').iterdir()):
    image = Image.open(path).convert('RGB').resize(working[::-1], Image.Resampling.BILINEAR)
    label = Image.open(directory / 'masks' / path.name).resize(
      working[::-1], Image.Resampling.NEAREST
    )
    yield np.asarray(image), table[np.asarray(label)]


def timed(run: Callable[[], int]) -> dict[str, float]:
  """Returns images per second of wall clock and of a core; `run` returns the number of images."""
  wall, core = time.perf_counter(), time.process_time()
  images = run()
  wall, core = time.perf_counter() - wall, time.process_time() - core
  return {'images': images, 'per_second': images / wall, 'per_core_second': images / core}


def in_turn(runs: dict[str, Callable[[], int]], times: int = 5) -> dict[str, dict[str, float]]:
  """Measures A B A B ...; returns the measurement with the median rate per core of each."""
  rounds = [{name: timed(run) for name, run in runs.items()} for _ in range(times)]
  return {
    name: sorted((r[name] for r in rounds), key=lambda row: row['per_core_second'])[times // 2]
    for name in runs
  }


def epoch(source: Source, sizes: Sizes, epochs: int = 1) -> Callable[[], int]:
  """Returns a function that reads `epochs` epochs of labelled batches."""

  def run() -> int:
    steps = epochs * len(source) // sizes.batch
    for _ in train_batches(
      source,
      None,
      batch_size=sizes.batch,
      unlabeled_batch_size=0,
      geometry=sizes.geometry,
      seed=0,
      start_step=0,
      stop_step=steps,
      local_devices=1,
    ):
      pass
    return steps * sizes.batch

  return run


def draws(length: int, sizes: Sizes, epochs: int) -> Callable[[], int]:
  """Returns a function that does what is left to the host if frames are on the device."""

  def run() -> int:
    for position in range(epochs * length):
      draw_example(
        sizes.geometry,
        seed=0,
        stream=LABELED,
        position=position,
        length=length,
        frame=sizes.working,
      )
    return epochs * length

  return run


def waiting_share(batches: Iterator, steps: int, milliseconds: float) -> float:
  """Returns the fraction of time in which an accelerator with such steps waits for a batch.

  The accelerator is simulated: a step starts when its batch is ready and the step before
  is done. As in training, the host fetches the next batch while a step runs.
  """
  next(batches)
  start = free = time.perf_counter()
  idle = 0.0
  for _ in range(steps):
    next(batches)
    now = time.perf_counter()
    idle += max(0.0, now - free)
    begin = max(now, free)
    free = begin + milliseconds / 1000
    time.sleep(begin - now)
  return idle / (free - start)


def measure(directory: Path, frames: int, sizes: Sizes) -> dict[str, object]:
  draw_frames(directory, frames)
  pairs = pair(find_images(directory / 'images'), find_images(directory / 'masks'))
  source = paired_source(pairs, DECODING, sizes.working)
  epoch(source, sizes)()  # warms imports, threads and the file cache for all variants
  rows = in_turn(
    {
      'PIL loop': lambda: sum(1 for _ in pil_loop(directory, sizes.working)),
      'first epoch': epoch(source, sizes),
    }
  )
  copies = directory / 'copies'
  rows['preparing'] = timed(lambda: len(copy_labels(copy_images(source, copies), copies)))
  prepared = copy_labels(copy_images(source, copies), copies)
  rows['prepared epoch'] = timed(epoch(prepared, sizes, epochs=8))
  stream = device_stream(
    labeled=prepared,
    unlabeled=None,
    batch_size=sizes.batch,
    unlabeled_batch_size=0,
    geometry=sizes.geometry,
    seed=0,
    devices=jax.local_devices()[:1],
  )
  next(stream(0, 1))
  steps = 8 * frames // sizes.batch

  def resident() -> int:
    for batch in stream(0, steps):
      jax.block_until_ready(batch)
    return steps * sizes.batch

  rows['device'] = timed(resident)
  rows['device: draws'] = timed(draws(frames, sizes, epochs=8))
  host = to_devices(
    train_batches(
      prepared,
      None,
      batch_size=sizes.batch,
      unlabeled_batch_size=0,
      geometry=sizes.geometry,
      seed=0,
      start_step=0,
      stop_step=100,
      local_devices=1,
    ),
    jax.local_devices()[:1],
  )
  waiting = {
    'prepared epoch': waiting_share(host, 40, milliseconds=100),
    'device': waiting_share(stream(0, 100), 40, milliseconds=100),
  }
  return {
    'rows': rows,
    'waiting_share_of_a_100_ms_step': waiting,
    'frames': frames,
    'working': sizes.working,
    'crop': sizes.geometry.crop,
    'batch': sizes.batch,
    'memory_gb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
    'device': str(jax.devices()[0].device_kind),
    **provenance('jax', 'tensorflow-cpu', 'numpy', 'pillow'),
  }


def size(text: str) -> tuple[int, int]:
  height, width = map(int, text.split(','))
  return height, width


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--frames', type=int, default=32)
  parser.add_argument('--working', type=size, default=(512, 1024), help='H,W of the working copy')
  parser.add_argument('--crop', type=size, help='H,W; whole frames by default')
  parser.add_argument('--batch', type=int, default=2)
  parser.add_argument('--output', type=Path)
  options = parser.parse_args()
  sizes = Sizes(options.working, Geometry(options.crop), options.batch)
  with tempfile.TemporaryDirectory() as directory:
    result = measure(Path(directory), options.frames, sizes)
  base = result['rows']['PIL loop']['per_core_second']
  print(f'{"":16}{"images/s":>10}{"per core":>10}{"times PIL":>10}')
  for name, row in result['rows'].items():
    print(
      f'{name:16}{row["per_second"]:10.1f}{row["per_core_second"]:10.1f}'
      f'{row["per_core_second"] / base:10.1f}'
    )
  for name, share in result['waiting_share_of_a_100_ms_step'].items():
    print(f'{name}: {100 * share:.1f} % of a step of 100 ms waits for its batch')
  print(
    f'{result["memory_gb"]:.2f} GB of memory at most, {result["cores"]} cores, {result["date"]}'
  )
  if options.output:
    options.output.write_text(json.dumps(result, indent=2) + '\n')


if __name__ == '__main__':
  main()
