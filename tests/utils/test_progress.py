"""Progress lines: the first, one now and then, and the last."""

import pytest

from classmix_jax.utils import progress


@pytest.fixture
def clock(monkeypatch):
  """A clock that a test sets."""
  now = [0.0]
  monkeypatch.setattr(progress.time, 'monotonic', lambda: now[0])
  return now


def test_lines_of_long_work(clock, capsys):
  items = progress.track(range(4), 'painting', 4, 'masks')
  for seconds in (4.0, 11.0, 12.0, 20.0):
    next(items)
    clock[0] = seconds
  assert list(items) == []
  assert capsys.readouterr().out.splitlines() == [
    'painting: 4 to do',
    '  2/4  0.18 masks/s  ETA 0m11s',  # 11 s after the start, the first line after 10 s
    '  4/4  0.20 masks/s  ETA 0m00s',
  ]


def test_items_pass_unchanged(capsys):
  assert list(progress.track('ab', 'reading', 2)) == ['a', 'b']
  assert capsys.readouterr().out.count('\n') == 2


@pytest.mark.parametrize(
  'seconds, text', [(0, '0m00s'), (59.6, '1m00s'), (3599, '59m59s'), (3600, '1h00m')]
)
def test_durations(seconds, text):
  assert progress.format_duration(seconds) == text
