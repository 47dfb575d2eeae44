"""Noise for clouds, surfaces and textures, cut from tiles that are computed once.

Synopsis:

    fine, mid, coarse = tiles()
    texture = window(rng, fine, 96, 192)     # [96, 192]
    grain = on_ground(coarse, s, z, scale=9)  # like s and z
"""

import functools

import numpy as np

from classmix_jax.datasets.scenes.draws import Rng

_SIDE = 512  # side of a tile; a power of two, for bit masks


@functools.cache
def tiles() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns fine, mid and coarse periodic noise, `[512, 512]` float32, standardized."""
  rng = np.random.default_rng(20)
  axis = np.fft.fftfreq(_SIDE)
  radius = np.hypot(axis[:, None], axis[None, :]) + 1.0 / _SIDE
  noise = []
  for slope in (0.3, 1.0, 1.8):  # white noise with a spectrum of 1 / frequency^slope
    spectrum = np.fft.fft2(rng.standard_normal((_SIDE, _SIDE))) / radius**slope
    tile = np.fft.ifft2(spectrum).real
    noise.append(((tile - tile.mean()) / tile.std()).astype(np.float32))
  return tuple(noise)


def window(rng: Rng, tile: np.ndarray, height: int, width: int, stretch: int = 1) -> np.ndarray:
  """Returns a random `[height, width]` window of a tile, stretched sideways."""
  v = (np.arange(height) + rng.integers(_SIDE)) % _SIDE
  u = (np.arange(width) // stretch + rng.integers(_SIDE)) % _SIDE
  return tile.take(v, 0).take(u, 1)


def on_ground(tile: np.ndarray, s: np.ndarray, z: np.ndarray, scale: float) -> np.ndarray:
  """Samples a tile at points of the ground, at `scale` cells per metre."""
  u = (s * scale).astype(np.int32) & (_SIDE - 1)
  v = (z * scale).astype(np.int32) & (_SIDE - 1)
  return tile.ravel()[v * _SIDE + u]
