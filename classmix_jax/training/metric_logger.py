"""What a run leaves behind: metrics.jsonl, TensorBoard events, progress lines.

Synopsis:

    logbook = Logbook(run, steps=3000, images_per_step=8)
    logbook.resume(step=1200)
    logbook.collect(step, metrics)              # every step; stays on the device
    logbook.write(1250, {'eval/miou': 0.41})    # when it is time
"""

from collections.abc import Mapping
import json
import math
from pathlib import Path
import time
from typing import Any

import jax
import numpy as np

from classmix_jax.training.tensorboard_writer import TensorBoardWriter, has_tensorboard
from classmix_jax.types import Metrics
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.progress import format_duration
from classmix_jax.workdir.metrics_file import truncate_metrics


def one_by_one(metrics: Metrics, count: int) -> list[Metrics]:
  """Returns the metrics of each of the `count` steps of a dispatch."""
  if count == 1:
    return [metrics]
  return [jax.tree.map(lambda x, i=index: x[i], metrics) for index in range(count)]


def progress_line(step: int, steps: int, row: Mapping[str, Any], best: float | None) -> str:
  """One line on where the training stands; fractions are printed in percent."""
  parts = [f'step {step:>{len(str(steps))}}/{steps}']
  parts += [f'{key} {row[key]:.4f}' for key in sorted(row) if key.startswith('loss/')]
  if 'confident_share' in row:
    parts.append(f'confident {100 * row["confident_share"]:.0f} %')
  if row.get('skipped_steps'):
    parts.append(f'skipped {row["skipped_steps"]}')
  if 'eval/miou' in row:
    parts.append(f'mIoU {100 * row["eval/miou"]:.2f}')
  if best is not None:
    parts.append(f'best {100 * best:.2f}')
  if 'steps_per_second' in row:
    rate = row['steps_per_second']
    eta = format_duration((steps - step) / rate)
    parts.append(f'{rate:.1f} steps/s  {row["images_per_second"]:.0f} images/s  ETA {eta}')
  return '  '.join(parts)


class Logbook:
  """Collects metrics on the device and writes them when asked.

  Only process 0 writes. Metrics between two rows are averaged. The clock starts again at
  `restart_clock()`, and leaves out what is compiled with the first dispatch after that.
  """

  def __init__(self, run: Path, *, steps: int, images_per_step: int, writing: bool = True):
    self._path = run / 'metrics.jsonl'
    self._steps = steps
    self._images_per_step = images_per_step
    self._writing = writing
    self._waiting: list[tuple[int, Metrics]] = []  # of how many steps
    self._collected = 0  # last step
    self.restart_clock()
    self._best: float | None = None
    self._tensorboard: TensorBoardWriter | None = None
    if writing and has_tensorboard():
      self._tensorboard = TensorBoardWriter(run / 'tensorboard')
    elif writing:
      print('no TensorBoard events: the package tensorboard is not installed', flush=True)

  def resume(self, step: int) -> None:
    """Drops what an interrupted run wrote after the checkpoint of `step`."""
    self._collected = step
    if self._writing and self._path.exists():
      kept = truncate_metrics(self._path.read_text(encoding='utf-8'), step)
      write_atomically(self._path, kept)
      scores = [json.loads(line).get('eval/miou') for line in kept.splitlines()]
      self._best = max((score for score in scores if score is not None), default=None)

  def collect(self, step: int, metrics: Metrics) -> None:
    """Takes the metrics of the steps until `step`; waits only for the first after a restart."""
    count = step - self._collected
    self._waiting.append((count, metrics))
    self._collected = step
    if self._first is None:
      jax.block_until_ready(metrics)
      self._first = count, time.monotonic()

  def restart_clock(self) -> None:
    """Forgets the time spent on an evaluation, or before the first step."""
    self._clock = time.monotonic()
    self._first: tuple[int, float] | None = None  # steps of the first dispatch, when it was done

  def _rate(self, count: int) -> float:
    """Returns steps per second of the `count` steps since the last row, and starts a new one.

    The first dispatch does not count, unless there was no other.
    """
    now, since, first = time.monotonic(), self._clock, self._first or (0, 0.0)
    if 0 < first[0] < count:
      count, since = count - first[0], first[1]
    self._clock, self._first = now, (0, now)
    return count / max(now - since, 1e-9)

  def averages(self) -> dict[str, Any]:
    """Means of the metrics collected since the last call, and the rates.

    Steps that are not `finite` were skipped: they are counted and left out.
    """
    fetched = [
      metrics
      for count, several in jax.device_get(self._waiting)
      for metrics in one_by_one(several, count)
    ]
    finite = [metrics for metrics in fetched if metrics.get('finite', True)]
    row = {
      key: np.mean([metrics[key] for metrics in finite], axis=0).tolist()
      for key in fetched[0]
      if finite and key != 'finite'
    }
    if len(finite) < len(fetched):
      row['skipped_steps'] = len(fetched) - len(finite)
    row['steps_per_second'] = self._rate(len(fetched))
    row['images_per_second'] = self._images_per_step * row['steps_per_second']
    self._waiting = []
    return row

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    """Appends one JSON line, writes numbers and words to TensorBoard, prints progress."""
    if not self._writing:
      return
    with open(self._path, 'a', encoding='utf-8') as file:
      file.write(json.dumps({'step': step, **row}) + '\n')
    self._show(step, row)

  def amend(self, step: int, row: Mapping[str, Any]) -> None:
    """Adds to the last row, of `step`, what was not known when it was written."""
    if not self._writing:
      return
    lines = self._path.read_text(encoding='utf-8').splitlines() if self._path.exists() else []
    own = json.loads(lines.pop()) if lines and json.loads(lines[-1])['step'] == step else {}
    lines.append(json.dumps({**own, 'step': step, **row}))
    write_atomically(self._path, '\n'.join([*lines, '']))
    self._show(step, row)

  def _show(self, step: int, row: Mapping[str, Any]) -> None:
    if row.get('eval/miou', math.nan) >= (self._best or 0.0):  # never for NaN
      self._best = row['eval/miou']
    if self._tensorboard is not None:
      words = {key: value for key, value in row.items() if isinstance(value, str)}
      self._tensorboard.write_scalars(step, {key: row[key] for key in row.keys() - words.keys()})
      self._tensorboard.write_texts(step, words)
    print(progress_line(step, self._steps, row, self._best), flush=True)

  def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
    """Writes uint8 images `[B, H, W, 3]` to TensorBoard."""
    if self._tensorboard is not None:
      self._tensorboard.write_images(step, images)

  def write_settings(self, settings: Mapping[str, Any]) -> None:
    """Writes settings by name to TensorBoard, whose page 'hparams' compares runs by them."""
    if self._tensorboard is not None:
      self._tensorboard.write_hparams(
        {
          key: value if isinstance(value, bool | int | float) else str(value)
          for key, value in settings.items()
        }
      )

  def close(self) -> None:
    if self._tensorboard is not None:
      self._tensorboard.close()
