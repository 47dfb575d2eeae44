"""Renders a painted canvas as a photograph: light, air, lens.

Synopsis:

    image = photograph(rng, canvas, sky, weather)  # uint8 [96, 192, 3]
"""

import functools

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from classmix_jax.datasets.scenes import noise
from classmix_jax.datasets.scenes.canvas import GROUND, HEIGHT, LAMP, WIDTH, Canvas, depth_table
from classmix_jax.datasets.scenes.classes import CLASS_NAMES, SKY
from classmix_jax.datasets.scenes.draws import Rng, chance
from classmix_jax.datasets.scenes.weather import Weather

# Amplitudes of fine and coarse noise on each class.
_FINE = np.array([0, 0.05, 0.0, 0.0, 0.1, 0.03, 0.06, 0.02, 0.02], np.float32)
_COARSE = np.array([0, 0.06, 0.0, 0.0, 0.12, 0.02, 0.05, 0.03, 0.04], np.float32)
_WHITE = np.float32(255)


def photograph(rng: Rng, canvas: Canvas, sky: np.ndarray, weather: Weather) -> np.ndarray:
  """Returns a photograph of a canvas in front of a sky `[HEIGHT, WIDTH, 3]`, uint8 like it."""
  radiance = _light(rng, canvas, weather)
  return _lens(rng, _air(radiance, canvas, sky, weather), weather)


def _coverage(mask: np.ndarray) -> np.ndarray:
  """Averages a uint8 or bool `[CANVAS_H, CANVAS_W]` to 0..1, float32 `[HEIGHT, WIDTH, 1]`."""
  image = Image.fromarray(mask if mask.dtype == np.uint8 else mask.astype(np.uint8) * 255)
  return (np.asarray(image.reduce(2)) / _WHITE)[..., None]


def _light(rng: Rng, canvas: Canvas, weather: Weather) -> np.ndarray:
  """Lights the albedo: radiance without sky and air, float32 `[HEIGHT, WIDTH, 3]`."""
  cls, _, material = canvas.bands()
  albedo = np.asarray(canvas.colour_image.reduce(2)) / _WHITE
  shade = np.asarray(canvas.shade_image.filter(ImageFilter.BoxBlur(1)))
  dark, lamp = _coverage(shade * (material == GROUND)), _coverage(material == LAMP)
  light = weather.ambient.astype(np.float32) * (1 - 0.35 * dark)
  texture = _texture(rng, cls[1::2, 1::2])
  light += weather.sun.astype(np.float32) * (1 - dark)
  if weather.night > 0:
    light += weather.night * _head_light() * rng.uniform(0.2, 0.7)
  light *= texture[..., None]
  return albedo * (light * (1 - lamp) + lamp)


def _texture(rng: Rng, cls: np.ndarray) -> np.ndarray:
  """Returns the texture of surfaces as a factor around 1, float32 of the shape of `cls`."""
  fine, mid, _ = noise.tiles()
  cls = np.minimum(cls, len(CLASS_NAMES) - 1)
  rough = 1 + _FINE[cls] * noise.window(rng, fine, HEIGHT, WIDTH)
  return rough + _COARSE[cls] * noise.window(rng, mid, HEIGHT, WIDTH)


@functools.cache
def _head_light() -> np.ndarray:
  """Returns the light of the camera car's head lamps, float32 `[HEIGHT, WIDTH, 3]`."""
  v, u = np.mgrid[0:HEIGHT, 0:WIDTH]
  pool = np.exp(-(((v / HEIGHT - 0.72) / 0.2) ** 2) - ((u / WIDTH - 0.5) / 0.3) ** 2)
  return (pool[..., None] * np.array([1.0, 0.9, 0.7])).astype(np.float32)


def _air(light: np.ndarray, canvas: Canvas, sky: np.ndarray, weather: Weather) -> np.ndarray:
  """Fades objects into the haze and adds the sky; `light` is 0 in the sky."""
  cls, depth, _ = canvas.bands()
  clear = np.exp(-weather.haze * depth_table()).astype(np.float32)
  fade, open_sky = clear[depth[1::2, 1::2]][..., None], _coverage(cls == SKY)
  haze = weather.sky_low.astype(np.float32) * ((1 - fade) * (1 - open_sky))
  return light * fade + haze + sky * open_sky


def _lens(rng: Rng, radiance: np.ndarray, weather: Weather) -> np.ndarray:
  """Applies exposure, white balance, tone curve, blur and sensor noise: uint8 `[96, 192, 3]`."""
  gain = rng.uniform(0.7, 1.3) * rng.uniform(0.8, 1.2, 3)
  exposed = np.clip(radiance * gain.astype(np.float32), 0, 1.2) / 1.05
  toned = np.clip(exposed, 0, 1) ** np.float32(rng.uniform(0.75, 1.25))
  image = Image.fromarray((toned * 255).astype(np.uint8))
  if weather.rain:
    _rain(rng, image)
  if chance(rng, 0.25):
    image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 0.6)))
  sigma = np.float32(rng.uniform(0.5, 3) + 4 * weather.night * rng.random())
  grain = rng.standard_normal((HEIGHT, WIDTH, 3), dtype=np.float32) * sigma
  return np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)


def _rain(rng: Rng, image: Image.Image):
  """Draws bright streaks with a common slant."""
  draw, slant = ImageDraw.Draw(image), rng.uniform(-0.3, 0.3)
  for u, v, length in rng.uniform((0, 0, 4), (WIDTH, HEIGHT, 11), (rng.integers(20, 80), 3)):
    grey = int(rng.uniform(110, 185))
    draw.line((u, v, u + slant * length, v + length), fill=(grey, grey, grey + 8))
