"""Batches cut on the devices are those of the input pipeline."""

import types

import jax
import numpy as np
import pytest
from test_input_pipeline import make_source
import toy

from classmix_jax.data import device_pipeline
from classmix_jax.data.device_pipeline import device_stream
from classmix_jax.data.feed import micro_batches
from classmix_jax.data.input_pipeline import train_batches
from classmix_jax.data.random_crop import Geometry
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError

GEOMETRIES = {
  'crop': Geometry(crop=(12, 10), flip=True),
  'larger than the frame': Geometry(crop=(20, 30), flip=True),
  'scaled': Geometry(crop=(12, 10), scale=(0.5, 1.6), flip=True),
  'steps of the scale, padded': Geometry(
    crop=(16, 18), scale=(0.5, 1.6), scale_step=0.1, scale_apart=True
  ),
  'whole frames': Geometry(),
}
SIZES = dict(batch_size=4, unlabeled_batch_size=8)


def on_device(
  geometry,
  start=0,
  stop=3,
  devices=1,
  accumulate=1,
  unlabeled=True,
  labeled=None,
  pseudo_labels=False,
  **options,
):
  labeled = labeled or make_source()
  other = make_source(9, labels=pseudo_labels) if unlabeled else None
  stream = device_stream(
    labeled=labeled,
    unlabeled=other,
    geometry=geometry,
    seed=1,
    accumulate=accumulate,
    devices=jax.devices()[:devices],
    **(SIZES | options),
  )
  return [jax.device_get(batch) for batch in stream(start, stop)]


def on_host(geometry, start=0, stop=3, accumulate=1, unlabeled=True, pseudo_labels=False):
  other = make_source(9, labels=pseudo_labels) if unlabeled else None
  batches = train_batches(
    make_source(),
    other,
    geometry=geometry,
    seed=1,
    start_step=start * accumulate,
    stop_step=stop * accumulate,
    local_devices=1,
    **SIZES,
  )
  return list(micro_batches(batches, accumulate))


def assert_equal_batches(ours, reference, rounding=0):
  for example, other in zip(ours, reference, strict=True):
    assert example.image.shape == other.image.shape and example.image.dtype == np.uint8
    difference = np.abs(example.image.astype(int) - other.image)
    assert difference.max(initial=0) <= rounding
    np.testing.assert_array_equal(example.label, other.label)
    np.testing.assert_array_equal(example.valid, other.valid)


@pytest.mark.parametrize('name', GEOMETRIES)
def test_the_same_batches_as_the_input_pipeline(name):
  geometry, pseudo_labels = GEOMETRIES[name], name == 'scaled'
  ours, reference = (
    batches(geometry, pseudo_labels=pseudo_labels) for batches in (on_device, on_host)
  )
  assert len(ours) == 3
  for a, b in zip(ours, reference, strict=True):
    assert_equal_batches(a, b, rounding=int(geometry.resizes))


def test_any_number_of_devices_gives_one_global_batch():
  geometry = GEOMETRIES['scaled']
  (one,) = on_device(geometry, stop=1)
  for devices in (2, 4):
    (many,) = on_device(geometry, stop=1, devices=devices)
    flat = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(1, 1, -1, *x.shape[3:]), many)
    jax.tree.map(np.testing.assert_array_equal, flat, one)


@pytest.mark.parametrize('processes', [2, 4])
def test_processes_cut_their_shares_of_one_global_batch(processes):
  geometry = GEOMETRIES['crop']
  (one,) = on_device(geometry, stop=1, accumulate=2)
  shares = [
    on_device(geometry, stop=1, accumulate=2, process_index=index, process_count=processes)[0]
    for index in range(processes)
  ]
  joined = jax.tree.map(lambda *parts: np.concatenate(parts, axis=2), *shares)
  jax.tree.map(np.testing.assert_array_equal, joined, one)


def test_micro_batches_and_resuming():
  geometry = GEOMETRIES['crop']
  ours = on_device(geometry, start=2, stop=4, accumulate=2)
  for a, b in zip(ours, on_host(geometry, start=2, stop=4, accumulate=2), strict=True):
    assert a.labeled.image.shape == (1, 2, 4, 12, 10, 3)
    assert_equal_batches(a, b)


def test_micro_batches_are_parts_of_one_global_batch():
  """The same images in the same order, whatever the numbers of parts and of devices."""
  geometry = GEOMETRIES['crop']
  (one,) = on_device(geometry, start=2, stop=3, batch_size=8, unlabeled_batch_size=16)
  for accumulate, devices in ((2, 1), (2, 4), (4, 2)):
    (parts,) = on_device(
      geometry,
      start=2,
      stop=3,
      accumulate=accumulate,
      devices=devices,
      batch_size=8 // accumulate,
      unlabeled_batch_size=16 // accumulate,
    )
    flat = jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(1, 1, -1, *x.shape[3:]), parts)
    jax.tree.map(np.testing.assert_array_equal, flat, one)


def test_without_unlabeled_the_example_is_empty():
  (batch,) = on_device(GEOMETRIES['crop'], stop=1, unlabeled=False)
  assert batch.unlabeled.image.shape == (1, 1, 0, 12, 10, 3)
  assert batch.unlabeled.label.shape == (1, 1, 0, 12, 10)


def test_frames_of_several_sizes_are_refused():
  sizes = [(4, 5), (4, 6)]
  mixed = Source(
    ('a', 'b'), lambda i: np.zeros((*sizes[i], 3), np.uint8), lambda i: np.zeros(sizes[i], np.uint8)
  )
  with pytest.raises(UserError, match=r"'a' is 4x5, 'b' is 4x6.*config.data.size=\(H, W\)"):
    on_device(GEOMETRIES['crop'], labeled=mixed)


def test_a_batch_that_cannot_be_shared_is_refused():
  with pytest.raises(UserError, match='config.batch_size=4 cannot be shared by 3 devices'):
    on_device(GEOMETRIES['crop'], devices=3)


def test_frames_that_exceed_the_memory_of_a_device():
  device = types.SimpleNamespace(
    memory_stats=lambda: {'bytes_limit': 10**9}, __str__=lambda self: 'small'
  )
  check = device_pipeline._check_memory
  toy.assert_fails(lambda: check(6 * 10**8, device), '0.6 GB', 'has 1.0 GB', 'disk')
  check(5 * 10**8, device)
