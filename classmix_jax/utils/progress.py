"""Progress lines for long work."""

from collections.abc import Callable
import time

SECONDS_PER_LINE = 10.0  # of progress


def format_duration(seconds: float) -> str:
  """Formats seconds for people.

  Example:
    >>> format_duration(3725), format_duration(59.6)
    ('1h02m', '1m00s')
  """
  minutes, rest = divmod(round(seconds), 60)
  if minutes < 60:
    return f'{minutes}m{rest:02d}s'
  return f'{minutes // 60}h{minutes % 60:02d}m'


def progress(title: str, total: int, noun: str = 'images') -> Callable[[int], None]:
  """Returns `say(done)`, which prints a line now and then and one at the end."""
  start = last = time.monotonic()
  print(f'{title}: {total} to do', flush=True)

  def say(done: int) -> None:
    nonlocal last
    now = time.monotonic()
    if done < total and now - last < SECONDS_PER_LINE:
      return
    last, rate = now, done / max(now - start, 1e-9)
    eta = format_duration((total - done) / rate)
    print(f'  {done}/{total}  {rate:.0f} {noun}/s  ETA {eta}', flush=True)

  return say
