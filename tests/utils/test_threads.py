"""Several calls at a time: their order, how many, their exceptions, their end."""

import itertools
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from classmix_jax.utils.threads import THREADS, in_parallel


def test_results_come_in_the_order_of_the_items():
  assert list(in_parallel(lambda i: (time.sleep(0.002 * (i % 3)), i)[1], range(50))) == [*range(50)]
  assert list(in_parallel(abs, [])) == []


@pytest.mark.parametrize('ahead', [0, 1, 40])
def test_endless_items_are_taken_as_results_are_used(ahead):
  taken = []

  def items():
    for i in itertools.count():
      taken.append(i)
      yield i

  results = in_parallel(abs, items(), ahead)
  for i in range(5):
    assert next(results) == i
    assert len(taken) == i + max(ahead, 2 * THREADS)
  results.close()
  assert len(taken) == 4 + max(ahead, 2 * THREADS)


def test_several_run_at_a_time():
  together = threading.Barrier(THREADS, timeout=60)
  assert len(list(in_parallel(lambda _: together.wait(), range(2 * THREADS)))) == 2 * THREADS


def test_an_exception_comes_out_in_its_turn():
  error = ValueError('four')

  def fail(i):
    if i == 4:
      raise error
    time.sleep(0.01)
    return i

  results = in_parallel(fail, range(1000))
  assert list(itertools.islice(results, 4)) == [0, 1, 2, 3]
  with pytest.raises(ValueError) as caught:
    next(results)
  assert caught.value is error and list(results) == []


def test_closing_cancels_what_has_not_begun():
  begun = []

  def slow(i):
    begun.append(i)
    time.sleep(0.02)

  results = in_parallel(slow, range(1000), ahead=500)
  next(results)
  results.close()
  count = len(begun)
  assert count <= 3 * THREADS
  time.sleep(0.1)
  assert len(begun) == count, 'closing waits for what runs'


def test_a_program_ends_with_calls_under_way():
  program = textwrap.dedent("""
      import itertools, time
      from classmix_jax.utils.threads import in_parallel
      results = in_parallel(lambda i: time.sleep(0.05), itertools.count())
      next(results)
      raise SystemExit(7)
  """)
  assert subprocess.run([sys.executable, '-c', program], timeout=60).returncode == 7
