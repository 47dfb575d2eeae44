"""Opens the cached features of the frames of a training run.

Synopsis:

    features = open_features(setup, state)        # None unless config.model.cache_features
    stream = open_streams(setup.batches, setup.split, setup.devices, features)
"""

import hashlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.config.setup import Setup
from classmix_jax.data.feature_cache import Encode, ReadFeatures, cache_features
from classmix_jax.data.source import Source
from classmix_jax.evaluation.eval_step import sees_whole_images
from classmix_jax.models.segmenter import to_unit_range
from classmix_jax.types import Array, PyTree, TrainState


class CachedFeatures(NamedTuple):
  """How the features of each part of the data set are read."""

  labeled: ReadFeatures
  unlabeled: ReadFeatures | None
  val: ReadFeatures | None  # None if the evaluation sees other images than the frames


def make_encode(backbone: Any, params: PyTree) -> Encode:
  """Returns a function from a frame `[H, W, 3]` uint8 to all levels `[h, w, F]` float16."""

  @jax.jit
  def compute(params: PyTree, frame: Array) -> Array:
    features = backbone.apply({'params': params}, to_unit_range(frame[None]), train=False)
    return jnp.concatenate(features.levels, axis=-1)[0].astype(jnp.float16)

  return lambda frame: np.asarray(compute(params, frame))


def identify(backbone: Any, params: PyTree) -> str:
  """Returns a text that changes with the backbone, its weights and its input."""
  digest = hashlib.sha256(repr(backbone).encode())
  for leaf in jax.tree.leaves(params):
    digest.update(np.ascontiguousarray(leaf).tobytes())
  return digest.hexdigest()


def open_features(setup: Setup, state: TrainState) -> CachedFeatures | None:
  """Computes the features of all frames that a run reads, or opens those of an earlier run.

  Args:
    setup: of the training run.
    state: has the frozen backbone.
  """
  directory = setup.feature_directory
  if directory is None:
    return None
  backbone = setup.method.model.backbone
  params = jax.device_get(state.frozen['segmenter']['backbone'])
  params = jax.device_put(params, setup.devices[0])
  encode, identity = make_encode(backbone, params), identify(backbone, params)
  flip = setup.batches.geometry.flip

  def open_source(source: Source, mirror: bool) -> ReadFeatures:
    return cache_features(source, encode, directory, identity=identity, mirror=mirror)

  unlabeled = setup.split.unlabeled if setup.batches.unlabeled else None
  sees_frames = sees_whole_images(setup.evaluation.protocol)
  return CachedFeatures(
    labeled=open_source(setup.split.labeled, flip),
    unlabeled=None if unlabeled is None else open_source(unlabeled, flip),
    val=open_source(setup.dataset.val, mirror=False) if sees_frames else None,
  )
