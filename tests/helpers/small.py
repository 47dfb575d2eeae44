"""A world small enough to compile in seconds: a network, a batch, a state.

Synopsis:

    method, tx = small.method('classmix'), small.optimizer()
    step = make_train_step(method, tx, 0, devices)
    state, metrics = step(small.place(small.start('classmix'), devices),
                          small.shard(small.batch(), len(devices)))
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.devices import replicated
from classmix_jax.core.optim import poly_optimizer
from classmix_jax.methods import METHODS, hyper_parameters
from classmix_jax.models.layers.batch_norm import batch_norm
from classmix_jax.models.layers.conv_bn import conv
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.training.create_state import create_state
from classmix_jax.types import VOID, Batch, Example, Features

CLASSES = 4
SIZE = (32, 32)  # the least that a discriminator takes
IMAGES = 8  # labelled, and as many unlabelled


def kernel_init(key, shape, dtype=jnp.float32):
  """He's rule with NumPy's variates: XLA takes seconds to compile each of its own."""
  del key
  draw = np.random.default_rng(shape[-1]).uniform(-1, 1, shape)
  return jnp.asarray(draw * np.sqrt(6 / np.prod(shape[:-1])), dtype)


class Backbone(nn.Module):
  """Two convolutions of stride 2, each with batch normalisation."""

  bn: str = 'batch'
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, image, train):
    x = (image - 0.5) / 0.25
    for index, features in enumerate((8, 16)):
      x = conv(
        features, 3, name=f'conv{index}', stride=2, kernel_init=kernel_init, dtype=self.dtype
      )(x)
      x = nn.relu(batch_norm(train=train, bn=self.bn, dtype=self.dtype, name=f'bn{index}')(x))
    return Features((x, x), (1, 1))


class Head(nn.Module):
  """A 3x3 convolution, loud enough to make half of the pixels confident."""

  num_classes: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, features, train):
    layer = nn.Conv(
      self.num_classes, (3, 3), kernel_init=kernel_init, dtype=self.dtype, name='conv'
    )
    return layer(features.levels[-1])


def model(num_classes=CLASSES, bn='batch', dtype=jnp.float32):
  return Segmenter(backbone=Backbone(bn, dtype), head=Head(num_classes, dtype))


def method(name, bn='batch', dtype=jnp.float32, **options):
  """A method of METHODS: unaugmented and with a threshold that half of the pixels pass."""
  options = {
    'threshold': 0.5,
    'jitter': 0.0,
    'strength': 0.0,
    'grey': 0.0,
    'blur': False,
    'trust': 0.5,
    'semi_start': 1,
    'gamma': 0.5,
    'discriminator_width': 4,
    'previous_threshold': 0.5,
    'snapshot_every': 1,
    'ramp_steps': 4,
    **options,
  }
  known = hyper_parameters(name)
  options = {key: value for key, value in options.items() if key in known}
  return METHODS[name](model(bn=bn, dtype=dtype), CLASSES, **options)


def optimizer(method=None):
  """An optimizer of segmentation networks, and of the other networks of a method."""
  others = method.optimizers(10, 0.9) if method else {}
  return poly_optimizer(0.05, 10, head_multiplier=2.0, weight_decay=1e-3, others=others)


def state(method, tx, devices):
  image = jax.ShapeDtypeStruct((1, *SIZE, 3), jnp.float32)
  return create_state(method, tx, jax.random.key(0), image, devices)


def factory(name):
  return getattr(METHODS[name], 'func', METHODS[name])


@functools.cache
def started(kind):
  made = method(kind)
  return jax.device_get(state(made, optimizer(made), jax.devices()[:1]))


def start(name):
  """The state before step 0 as NumPy arrays; variants of a method share theirs."""
  return started(next(other for other in METHODS if factory(other) is factory(name)))


def place(state, devices):
  return jax.device_put(jax.tree.map(np.array, state), replicated(devices))


def batch(seed=0, images=IMAGES):
  """A global batch `[N, ...]` with void and padding in unequal shares."""
  rng = np.random.default_rng(seed)

  def image():
    coarse = rng.integers(0, 256, (images, SIZE[0] // 4, SIZE[1] // 4, 3))
    return np.kron(coarse, np.ones((1, 4, 4, 1), int)).astype(np.uint8)

  def valid():
    valid = np.ones((images, *SIZE), bool)
    valid[1, 20:], valid[-1, :, 10:] = False, False
    return valid

  label = rng.integers(0, CLASSES, (images, *SIZE), np.uint8)
  label[0, :18] = VOID
  label[2] = VOID
  return Batch(
    Example(image(), label, valid()), Example(image(), np.full_like(label, VOID), valid())
  )


def shard(batch, devices, accumulate=1):
  """`[N, ...]` to `[D, A, b, ...]`: micro-batches of the global batch, cut among the devices."""

  def cut(x):
    return x.reshape((accumulate, devices, -1) + x.shape[1:]).swapaxes(0, 1)

  return jax.tree.map(cut, batch)
