"""Resizing with antialiasing equals Pillow's, but for rounding."""

import jax
from jax import export as jax_export
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from classmix_jax.core.antialias import resize_antialiased


@pytest.mark.parametrize('size, new', [((40, 60), (20, 23)), ((17, 9), (40, 11)), ((9, 9), (9, 4))])
def test_as_pillow(size, new):
  """Each of Pillow's two passes rounds, so that a value is off by 1 at most."""
  images = np.random.default_rng(0).integers(0, 256, (2, *size, 3), np.uint8)
  shape = (*jax_export.symbolic_shape('b, h, w'), 3)
  program = jax_export.export(jax.jit(lambda x: resize_antialiased(x, new)))(
    jax.ShapeDtypeStruct(shape, jnp.float32)
  )
  ours = program.call(images.astype(np.float32))
  for image, result in zip(images, ours, strict=True):
    theirs = np.asarray(Image.fromarray(image).resize(new[::-1], Image.Resampling.BILINEAR))
    assert np.abs(result - theirs.astype(np.float32)).max() <= 1.01
    assert np.abs(result - theirs).mean() < 0.35


def test_at_its_own_size_an_image_stays():
  image = jnp.arange(12.0).reshape(1, 2, 2, 3)
  assert resize_antialiased(image, (2, 2)) is image
