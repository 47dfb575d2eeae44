"""Rows that a run logs, and rows that a resumed run drops."""

import io
import json
import sys

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from classmix_jax.training import metric_logger
from classmix_jax.training.metric_logger import MetricLogger, progress_line
from classmix_jax.utils.progress import format_duration
from classmix_jax.workdir.metrics_file import truncate_metrics


@pytest.fixture
def clock(monkeypatch):
  """A clock that stands still until it is moved."""
  now = [100.0]
  monkeypatch.setattr(metric_logger.time, 'monotonic', lambda: now[0])
  return now


def rows(run):
  return [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]


def test_averages_and_rates(tmp_path, clock):
  logger = MetricLogger(tmp_path, steps=10, images_per_step=8, writing=False)
  for loss in (1.0, 2.0, 6.0):
    clock[0] += 0.5
    logger.collect({'loss/sup': jnp.array(loss), 'finite': jnp.array(1.0)})
  assert logger.averages() == {'loss/sup': 3.0, 'steps_per_second': 2.0, 'images_per_second': 16.0}
  logger.collect({'loss/sup': jnp.array(5.0), 'finite': jnp.array(1.0)})
  clock[0] += 100  # an evaluation
  logger.restart_clock()
  clock[0] += 0.5
  assert logger.averages() == {'loss/sup': 5.0, 'steps_per_second': 2.0, 'images_per_second': 16.0}


def test_what_is_compiled_with_the_first_step_is_not_its_speed(tmp_path, clock):
  logger = MetricLogger(tmp_path, steps=100, images_per_step=8, writing=False)
  ones = dict.fromkeys(('loss/sup', 'finite'), jnp.array(1.0))

  def rate(count):
    for _ in range(count):
      clock[0] += 0.5
      logger.collect(ones)
    return logger.averages()['steps_per_second']

  clock[0] += 60  # compiling
  assert rate(6) == 2.0 and rate(4) == 2.0
  logger.restart_clock()
  clock[0] += 60
  assert rate(1) == pytest.approx(1 / 60.5)  # nothing else


def test_write_and_resume(tmp_path, capsys):
  logger = MetricLogger(tmp_path, steps=100, images_per_step=8)
  logger.write(10, {'loss/sup': 2.0})
  logger.write(20, {'loss/sup': 1.0, 'eval/miou': 0.5})
  logger.write(30, {'eval/miou': 0.4})
  logger.close()
  assert rows(tmp_path)[1] == {'step': 20, 'loss/sup': 1.0, 'eval/miou': 0.5}
  printed = capsys.readouterr().out.splitlines()
  assert printed[0] == 'step  10/100  loss/sup 2.0000'
  assert printed[2] == 'step  30/100  mIoU 40.00  best 50.00'
  assert list((tmp_path / 'tensorboard').iterdir())

  with open(tmp_path / 'metrics.jsonl', 'a') as file:
    file.write('{"step": 40, "loss')  # a crash while writing
  logger = MetricLogger(tmp_path, steps=100, images_per_step=8)
  logger.resume(20)
  assert [row['step'] for row in rows(tmp_path)] == [10, 20]
  logger.write(30, {'eval/miou': 0.1})
  logger.close()
  assert capsys.readouterr().out == 'step  30/100  mIoU 10.00  best 50.00\n'


def test_events_are_what_tensorboard_reads(tmp_path):
  """Settings for its page 'hparams', beside the scores that it compares; words and images."""
  accumulators = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
  from tensorboard.plugins.hparams import plugin_data_pb2
  from tensorboard.util.tensor_util import make_ndarray

  logger = MetricLogger(tmp_path, steps=10, images_per_step=8)
  logger.write_settings({'method.name': 'classmix', 'data.crop': (96, 96), 'seed': 1, 'flip': True})
  logger.write(5, {'eval/miou': 0.25})
  logger.write(10, {'eval/miou': 0.5, 'eval/protocol': 'paper at 96x96'})
  images = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 3), np.uint8)
  logger.write_images(10, {'train/mixed': images})
  logger.close()
  events = accumulators.EventAccumulator(str(tmp_path / 'tensorboard')).Reload()
  content = events.SummaryMetadata('_hparams_/session_start_info').plugin_data.content
  settings = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
  assert settings['method.name'].string_value == 'classmix'
  assert settings['data.crop'].string_value == '(96, 96)'
  assert settings['seed'].number_value == 1 and settings['flip'].bool_value is True
  values = {
    tag: [(event.step, make_ndarray(event.tensor_proto)) for event in events.Tensors(tag)]
    for tag in ('eval/miou', 'eval/protocol', 'train/mixed')
  }
  assert values['eval/miou'] == [(5, 0.25), (10, 0.5)]
  assert values['eval/protocol'] == [(10, b'paper at 96x96')]
  ((_, (width, height, *encoded)),) = values['train/mixed']
  assert (width, height) == (b'4', b'3')
  decoded = [np.asarray(Image.open(io.BytesIO(png))) for png in encoded]
  np.testing.assert_array_equal(decoded, images)
  plugins = [events.SummaryMetadata(tag).plugin_data.plugin_name for tag in values]
  assert plugins == ['scalars', 'text', 'images']


def test_without_tensorboard_a_line_is_printed(tmp_path, monkeypatch, capsys):
  monkeypatch.setitem(sys.modules, 'tensorboard', None)  # as if it was not installed
  logger = MetricLogger(tmp_path, steps=10, images_per_step=8)
  logger.write_settings({'seed': 1})
  logger.write(10, {'eval/miou': 0.5, 'eval/protocol': 'paper'})
  logger.write_images(10, {})
  logger.close()
  assert capsys.readouterr().out.splitlines() == [
    'no TensorBoard events: the package tensorboard is not installed',
    'step 10/10  mIoU 50.00  best 50.00',
  ]
  assert [path.name for path in tmp_path.iterdir()] == ['metrics.jsonl']


def test_resume_at_zero_drops_everything(tmp_path):
  (tmp_path / 'metrics.jsonl').write_text('{"step": 10, "eval/miou": 0.5}\n')
  logger = MetricLogger(tmp_path, steps=100, images_per_step=8)
  logger.resume(0)
  logger.close()
  assert rows(tmp_path) == []


def test_only_one_process_writes(tmp_path, capsys):
  logger = MetricLogger(tmp_path, steps=10, images_per_step=8, writing=False)
  logger.resume(5)
  logger.write(5, {'loss/sup': 1.0})
  logger.write_images(5, {})
  logger.close()
  assert list(tmp_path.iterdir()) == [] and capsys.readouterr().out == ''


@pytest.mark.parametrize(
  'before, row',
  [
    ([{'step': 1}, {'step': 2, 'loss/sup': 1.0}], {'step': 2, 'loss/sup': 1.0, 'eval/miou': 0.5}),
    ([{'step': 1}], {'step': 2, 'eval/miou': 0.5}),
    ([], {'step': 2, 'eval/miou': 0.5}),
  ],
)
def test_a_row_is_amended(tmp_path, before, row):
  """An evaluation that was interrupted is made up for by the next start."""
  if before:
    (tmp_path / 'metrics.jsonl').write_text(''.join(json.dumps(x) + '\n' for x in before))
  logger = MetricLogger(tmp_path, steps=10, images_per_step=8)
  logger.amend(2, {'eval/miou': 0.5})
  logger.close()
  assert rows(tmp_path) == [*before[:1], row]
  silent = MetricLogger(tmp_path, steps=10, images_per_step=8, writing=False)
  silent.amend(2, {'eval/miou': 0.7})
  assert rows(tmp_path) == [*before[:1], row]


@pytest.mark.parametrize(
  'text, remaining',
  [
    ('', ''),
    ('{"step": 1}\n{"step": 2}\n{"step": 3}\n', '{"step": 1}\n{"step": 2}\n'),
    ('{"step": 1}\n{"st', '{"step": 1}\n'),
    ('{"other": 1}\n[]\n7\n\n{"step": 2}', '{"step": 2}\n'),
  ],
)
def test_lines_until(text, remaining):
  assert truncate_metrics(text, 2) == remaining


@pytest.mark.parametrize(
  'seconds, text',
  [
    (0, '0m00s'),
    (59.4, '0m59s'),
    (60, '1m00s'),
    (3599.6, '1h00m'),
    (3725, '1h02m'),
    (100 * 3600, '100h00m'),
  ],
)
def test_durations(seconds, text):
  assert format_duration(seconds) == text


def test_progress_line():
  row = {
    'loss/unsup': 0.25,
    'loss/sup': 1.5,
    'confident_share': 0.126,
    'eval/miou': 0.4567,
    'steps_per_second': 2.0,
    'images_per_second': 16.0,
  }
  assert progress_line(40, 1000, row, 0.5) == (
    'step   40/1000  loss/sup 1.5000  loss/unsup 0.2500  confident 13 %  mIoU 45.67  '
    'best 50.00  2.0 steps/s  16 images/s  ETA 8m00s'
  )
