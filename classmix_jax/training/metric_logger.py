"""Writes metrics to metrics.jsonl, TensorBoard and the terminal.

Synopsis:

    logger = MetricLogger(run, steps=3000, images_per_step=8)
    logger.resume(step=1200)
    logger.collect(metrics)                                        # stays on the device
    logger.write(1250, {**logger.averages(), 'eval/miou': 0.41})   # waits for the steps
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


def progress_line(step: int, steps: int, row: Mapping[str, Any], best: float | None) -> str:
  """Returns the progress line of a row; fractions are printed in percent."""
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


class MetricLogger:
  """Collects metrics on the device and writes their means as rows.

  Rates leave out the time before `restart_clock()`, and the first step after it, which compiles.

  Args:
    run: directory of the run.
    steps: length of the training run.
    images_per_step: over all devices.
    writing: False writes nothing, for other processes than the first.
  """

  def __init__(self, run: Path, *, steps: int, images_per_step: int, writing: bool = True):
    self._path = run / 'metrics.jsonl'
    self._steps = steps
    self._images_per_step = images_per_step
    self._writing = writing
    self._waiting: list[Metrics] = []
    self._first: tuple[int, float] | None = None  # steps that do not count, and their end
    self.restart_clock()
    self._best: float | None = None
    self._tensorboard: TensorBoardWriter | None = None
    if writing and has_tensorboard():
      self._tensorboard = TensorBoardWriter(run / 'tensorboard')
    elif writing:
      print('no TensorBoard events: the package tensorboard is not installed', flush=True)

  def resume(self, step: int) -> None:
    """Drops the rows that an interrupted run wrote after the checkpoint of `step`."""
    if self._writing and self._path.exists():
      text = truncate_metrics(self._path.read_text(encoding='utf-8'), step)
      write_atomically(self._path, text)
      scores = [json.loads(line).get('eval/miou') for line in text.splitlines()]
      self._best = max((score for score in scores if score is not None), default=None)

  def collect(self, metrics: Metrics) -> None:
    """Adds the metrics of a step; waits only for the first after a restart."""
    self._waiting.append(metrics)
    if self._first is None:
      jax.block_until_ready(metrics)
      self._first = 1, time.monotonic()

  def restart_clock(self) -> None:
    """Leaves out the time since the last row, e.g. of an evaluation."""
    self._clock = time.monotonic()
    self._first = None

  def _rate(self, count: int) -> float:
    """Returns steps per second of the `count` steps since the last row; restarts the clock.

    The first does not count, unless it is the only one.
    """
    now, start = time.monotonic(), self._clock
    first_count, first_end = self._first or (0, 0.0)
    if 0 < first_count < count:
      count, start = count - first_count, first_end
    self._clock, self._first = now, (0, now)
    return count / max(now - start, 1e-9)

  def averages(self) -> dict[str, Any]:
    """Returns the means of the metrics since the last call, and the rates.

    Non-finite steps are counted as `skipped_steps` and left out of the means.
    """
    steps = jax.device_get(self._waiting)
    finite = [metrics for metrics in steps if metrics['finite']]
    keys = [key for key in finite[0] if key != 'finite'] if finite else []
    row = {key: np.mean([metrics[key] for metrics in finite], axis=0).tolist() for key in keys}
    if len(finite) < len(steps):
      row['skipped_steps'] = len(steps) - len(finite)
    row['steps_per_second'] = self._rate(len(steps))
    row['images_per_second'] = self._images_per_step * row['steps_per_second']
    self._waiting = []
    return row

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    """Appends a row to metrics.jsonl, writes it to TensorBoard and prints a progress line."""
    if not self._writing:
      return
    with open(self._path, 'a', encoding='utf-8') as file:
      file.write(json.dumps({'step': step, **row}) + '\n')
    self._show(step, row)

  def amend(self, step: int, row: Mapping[str, Any]) -> None:
    """Adds fields to the last row if it is that of `step`, else appends a row."""
    if not self._writing:
      return
    lines = self._path.read_text(encoding='utf-8').splitlines() if self._path.exists() else []
    last = json.loads(lines.pop()) if lines and json.loads(lines[-1])['step'] == step else {}
    lines.append(json.dumps({**last, 'step': step, **row}))
    write_atomically(self._path, '\n'.join([*lines, '']))
    self._show(step, row)

  def _show(self, step: int, row: Mapping[str, Any]) -> None:
    if row.get('eval/miou', math.nan) >= (self._best or 0.0):  # False for NaN
      self._best = row['eval/miou']
    if self._tensorboard is not None:
      texts = {key: value for key, value in row.items() if isinstance(value, str)}
      self._tensorboard.write_scalars(step, {key: row[key] for key in row.keys() - texts.keys()})
      self._tensorboard.write_texts(step, texts)
    print(progress_line(step, self._steps, row, self._best), flush=True)

  def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
    """Writes uint8 images `[B, H, W, 3]` to TensorBoard."""
    if self._tensorboard is not None:
      self._tensorboard.write_images(step, images)

  def write_settings(self, settings: Mapping[str, Any]) -> None:
    """Writes settings by name for TensorBoard's page 'hparams', which compares runs."""
    if self._tensorboard is not None:
      self._tensorboard.write_hparams(
        {
          key: value if isinstance(value, bool | int | float) else str(value)
          for key, value in settings.items()
        }
      )

  def close(self) -> None:
    """Closes the TensorBoard events."""
    if self._tensorboard is not None:
      self._tensorboard.close()
