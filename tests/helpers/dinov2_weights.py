"""Random weights of vision transformers and heads: as arrays here, and by their published names.

Synopsis:

    tensors = draw(shapes := init_shapes(Segmenter(backbone, head)))     # name -> float32
    variables = to_variables(shapes, tensors)
"""

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.backbones.preprocessing import Preprocessing
from classmix_jax.models.segmenter import Segmenter, initialize
from classmix_jax.pretrained import LAYOUTS
from classmix_jax.pretrained.layouts.layout import NATIVE
from classmix_jax.pretrained.matching import to_array_path

LAYOUT = LAYOUTS['dinov2']
AS_IT_IS = Preprocessing('rgb', (0.0,) * 3, (1.0,) * 3, 1.0)


def small_dinov2(**options):
  """Two heads of attention and a tap after each of four blocks."""
  return DinoV2(
    **{'width': 128, 'depth': 4, 'taps': (0, 1, 2, 3), 'preprocessing': AS_IT_IS, **options}
  )


def init_shapes(backbone, head):
  """Shapes of the parameters of a backbone and a head."""
  image = jax.ShapeDtypeStruct((1, 28, 28, 3), jnp.float32)
  model = Segmenter(backbone, head)
  params, _ = jax.eval_shape(lambda key: initialize(model, key, image), jax.random.key(0))
  return {'params': params}


def draw(shapes, seed=0):
  """Tensors in the layout dinov2, of the size of trained ones, for a tree of shapes."""
  rng = np.random.default_rng(seed)
  tensors = {}
  for key_path, leaf in jax.tree.leaves_with_path(shapes):
    path = to_array_path(key_path)
    shape = LAYOUT.to_file_shape(path, leaf.shape)
    x = rng.standard_normal(shape, np.float32)
    if path[-1] == 'kernel':
      x /= np.sqrt(np.prod(leaf.shape[:-1]))
    elif path[-1] in ('scale', 'gamma'):
      x = 1 + x / 10
    else:  # biases and tokens
      x /= 5
    tensors[LAYOUT.tensor_name(path)] = x
  return tensors


def to_variables(shapes, tensors):
  """The tree of arrays for tensors in the layout dinov2."""

  def convert(key_path, leaf):
    path = to_array_path(key_path)
    x = LAYOUT.from_file(path, tensors[LAYOUT.tensor_name(path)])
    assert x.shape == leaf.shape, NATIVE.tensor_name(path)
    return x

  return jax.tree.map(jnp.asarray, jax.tree.map_with_path(convert, shapes))


def to_torch(x):
  """A torch tensor that owns its memory."""
  import torch

  return torch.from_numpy(np.array(x))


def nchw(image):
  return to_torch(np.moveaxis(np.asarray(image), -1, 1))
