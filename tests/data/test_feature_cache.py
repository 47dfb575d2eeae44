"""Cached features belong to the pixels of their example, mirrored or not."""

import itertools

import numpy as np
import pytest

from classmix_jax.data.example_reader import padding
from classmix_jax.data.feature_cache import (
  FeatureStream,
  cache_features,
  with_features,
  with_frame_features,
)
from classmix_jax.data.random_crop import Geometry
from classmix_jax.data.sampler import LABELED, UNLABELED
from classmix_jax.data.source import Source
from classmix_jax.data.thread_pipeline import train_batches

CELL, FRAME = (2, 4), (6, 16)


def cell_means(pixels):
  """Features that can be read off the pixels: the mean of each cell, `[..., h, w, 3]`."""
  *lead, height, width, _ = pixels.shape
  cells = np.asarray(pixels, np.float64).reshape(
    *lead, height // CELL[0], CELL[0], width // CELL[1], CELL[1], 3
  )
  return cells.mean(axis=(-4, -2)).astype(np.float16)


def source(count, seed, version=lambda: 'v1'):
  frames = np.random.default_rng(seed).integers(0, 256, (count, *FRAME, 3), np.uint8)
  names = tuple(f'{index}' for index in range(count))
  return Source(names, frames.__getitem__, lambda index: np.zeros(FRAME, np.uint8), version=version)


@pytest.mark.parametrize('crop', [(4, 8), None])
@pytest.mark.parametrize('devices', [1, 2])
def test_features_of_every_example(tmp_path, crop, devices):
  sources = source(5, 0), source(7, 1)
  geometry = Geometry(crop=crop, flip=True, grid=CELL if crop else (1, 1))
  batches = train_batches(
    *sources,
    batch_size=4,
    unlabeled_batch_size=2,
    geometry=geometry,
    seed=3,
    start_step=2,
    stop_step=9,
    local_devices=devices,
  )
  streams = [
    FeatureStream(
      cache_features(part, cell_means, tmp_path, identity='means', mirror=True),
      number,
      len(part),
      size,
      FRAME,
    )
    for part, number, size in zip(sources, (LABELED, UNLABELED), (4, 2), strict=True)
  ]
  batches = list(
    with_features(batches, streams, range(2, 9), geometry=geometry, seed=3, local_devices=devices)
  )
  assert len(batches) == 7
  for example in itertools.chain(*batches):
    assert example.image.features.dtype == np.float16
    np.testing.assert_array_equal(example.image.features, cell_means(example.image.pixels))


def test_features_are_computed_once(tmp_path):
  calls = []

  def encode(frame):
    calls.append(frame)
    return cell_means(frame)

  def open_cache(identity='a', **options):
    return cache_features(source(3, 0, **options), encode, tmp_path, identity=identity, mirror=True)

  first = open_cache()
  assert len(calls) == 6
  again = open_cache()
  assert len(calls) == 6
  np.testing.assert_array_equal(first(1, 1), again(1, 1))
  np.testing.assert_array_equal(first(1, 0), cell_means(source(3, 0).read_image(1)))
  open_cache(identity='b')  # other weights
  assert len(calls) == 12
  open_cache(version=lambda: 'v2')  # edited files
  assert len(calls) == 18


def test_validation_frames_in_order(tmp_path):
  val = source(3, 0)
  read = cache_features(val, cell_means, tmp_path, identity='a', mirror=False)
  pad = padding(FRAME)
  batches = []
  for names in ((0, 1), (2, None)):
    images = [pad.image if index is None else val.read_image(index) for index in names]
    batches.append(pad._replace(image=np.stack(images)[None]))
  result = list(with_frame_features(batches, itertools.count(), read, range(3)))
  for batch, valid in zip(result, (2, 1), strict=True):
    image = batch.image
    np.testing.assert_array_equal(image.features[:, :valid], cell_means(image.pixels[:, :valid]))
