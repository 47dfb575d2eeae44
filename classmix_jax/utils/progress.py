"""Progress lines for long work.

Synopsis:

    for image in track(images, 'predicting', len(images)):
      ...
"""

from collections.abc import Callable, Iterable, Iterator
import time
from typing import TypeVar

Item = TypeVar('Item')

SECONDS_BETWEEN_LINES = 10.0


def format_duration(seconds: float) -> str:
  """Formats a duration as hours and minutes, or as minutes and seconds.

  Example:
    >>> format_duration(3725), format_duration(59.6)
    ('1h02m', '1m00s')
  """
  minutes, rest = divmod(round(seconds), 60)
  if minutes < 60:
    return f'{minutes}m{rest:02d}s'
  return f'{minutes // 60}h{minutes % 60:02d}m'


def format_rate(rate: float) -> str:
  """Formats a number per second with two digits or all whole ones.

  Example:
    >>> format_rate(0.4187), format_rate(3.14), format_rate(271.8)
    ('0.42', '3.1', '272')
  """
  return f'{rate:.2f}' if rate < 1 else f'{rate:.1f}' if rate < 10 else f'{rate:.0f}'


def progress(title: str, total: int | None, noun: str = 'images') -> Callable[[int], None]:
  """Prints a first line and returns `report(done)`, which prints rate and remaining time.

  `report` prints at most one line in `SECONDS_BETWEEN_LINES`, and the last one when all is done.
  If `total` is None, as for a video, it prints the number that is done and the rate.
  """
  start = last = time.monotonic()
  print(title if total is None else f'{title}: {total} to do', flush=True)

  def report(done: int) -> None:
    nonlocal last
    now = time.monotonic()
    if done != total and now - last < SECONDS_BETWEEN_LINES:
      return
    last, rate = now, done / max(now - start, 1e-9)
    of, eta = '', ''
    if total is not None:
      of, eta = f'/{total}', f'  ETA {format_duration((total - done) / rate)}'
    print(f'  {done}{of}  {format_rate(rate)} {noun}/s{eta}', flush=True)

  return report


def track(items: Iterable[Item], title: str, total: int, noun: str = 'images') -> Iterator[Item]:
  """Yields the items and prints progress lines as `progress` does.

  Example: `for mask in track(masks, 'painting', len(masks), 'masks'): ...`.
  """
  report = progress(title, total, noun)
  for done, item in enumerate(items, start=1):
    yield item
    report(done)
