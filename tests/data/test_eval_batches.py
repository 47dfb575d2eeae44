"""Validation batches: every pixel once, in order, padded to one shape."""

import threading

import jax
import numpy as np
import pytest
from test_input_pipeline import flat, make_source

from classmix_jax.data.eval_batches import eval_batches
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID
from classmix_jax.utils.threads import THREADS


def ragged(length: int) -> Source:
  """Image i has the size (3 + i, 9 - i); every label is i."""
  return Source(
    tuple(map(str, range(length))),
    lambda i: np.full((3 + i, 9 - i, 3), i, np.uint8),
    lambda i: np.full((3 + i, 9 - i), i, np.uint8),
  )


@pytest.mark.parametrize('devices, processes', [(1, 1), (2, 1), (2, 2)])
def test_evaluation_counts_every_pixel_once_in_order(devices, processes):
  source, parts = ragged(5), []
  for p in range(processes):
    options = dict(local_devices=devices, process_index=p, process_count=processes, size=(8, 12))
    parts.append([flat(e) for e in eval_batches(source, batch_size=4, **options)])
  steps = [
    jax.tree.map(lambda *x: np.concatenate(x), *shares) for shares in zip(*parts, strict=True)
  ]
  assert len(steps) == 2
  image, label, valid = jax.tree.map(lambda *x: np.concatenate(x), *steps)
  assert image.shape == (8, 8, 12, 3)
  for i in range(8):
    inside = np.zeros((8, 12), bool)
    if i < 5:
      inside[: 3 + i, : 9 - i] = True
    np.testing.assert_array_equal(valid[i], inside)
    np.testing.assert_array_equal(label[i], np.where(inside, i, VOID))
    np.testing.assert_array_equal(image[i, ..., 2], np.where(inside, i, 0))


def test_evaluation_without_labels_of_a_known_size_and_its_errors():
  source = Source(ragged(2).names, ragged(2).read_image)
  (example,) = eval_batches(source, batch_size=2, local_devices=2, size=(10, 10))
  assert example.image.shape == (2, 1, 10, 10, 3) and (example.label == VOID).all()
  assert example.valid.sum() == 3 * 9 + 4 * 8
  with pytest.raises(ValueError, match='does not fit'):
    list(eval_batches(source, batch_size=2, local_devices=1, size=(3, 9)))
  with pytest.raises(UserError, match='config.eval_batch_size=3'):
    eval_batches(source, batch_size=3, size=(4, 9), local_devices=2)
  with pytest.raises(UserError, match='no examples'):
    eval_batches(make_source(0), batch_size=2, size=(4, 4), local_devices=1)


def test_the_error_of_a_reader_comes_out_as_it_was():
  error = UserError("'b.png' does not decode: copy it again")

  def read(i):
    if i == 3:
      raise error
    return np.zeros((14, 16, 3), np.uint8)

  source = Source(make_source().names, read, make_source().read_label)
  batches = eval_batches(source, batch_size=2, local_devices=1, size=(14, 16))
  assert next(batches).valid.all()
  with pytest.raises(UserError) as caught:
    next(batches)
  assert caught.value is error


def test_a_large_set_is_not_read_at_once():
  """No more than the readers need is in memory, and closing stops them."""
  read, lock = set(), threading.Lock()

  def image(i):
    with lock:
      read.add(i)
    return np.zeros((2, 2, 3), np.uint8)

  source = Source(tuple(map(str, range(1000))), image, lambda i: np.zeros((2, 2), np.uint8))
  batches = eval_batches(source, batch_size=4, local_devices=1, size=(2, 2))
  next(batches)
  batches.close()
  assert len(read) <= 4 + max(2 * 4, 2 * THREADS)
