"""Hour and weather of a scene, and the sky above it.

Synopsis:

    weather = draw_weather(rng)
    sky = paint_sky(rng, camera.horizon, weather)  # float32 [96, 192, 3]
"""

import dataclasses

import numpy as np

from classmix_jax.datasets.scenes import noise
from classmix_jax.datasets.scenes.canvas import HEIGHT, WIDTH
from classmix_jax.datasets.scenes.draws import Rgb, Rng, chance

# Mood: its probability; sky above, sky at the horizon, cloud, ambient; sun, haze.
_MOODS = {
  'clear': (0.3, (0.25, 0.47, 0.85), (0.72, 0.83, 0.95), (1, 1, 1), (0.5, 0.56, 0.68), 0.75, 0.003),
  'fair': (
    0.2,
    (0.42, 0.58, 0.82),
    (0.82, 0.86, 0.9),
    (0.95, 0.95, 0.97),
    (0.58, 0.6, 0.66),
    0.5,
    0.005,
  ),
  'overcast': (
    0.2,
    (0.6, 0.63, 0.67),
    (0.8, 0.81, 0.83),
    (0.5, 0.52, 0.56),
    (0.8, 0.82, 0.86),
    0.08,
    0.008,
  ),
  'dusk': (
    0.14,
    (0.38, 0.36, 0.55),
    (0.98, 0.62, 0.36),
    (0.75, 0.4, 0.38),
    (0.42, 0.36, 0.42),
    0.42,
    0.007,
  ),
  'night': (
    0.1,
    (0.05, 0.06, 0.12),
    (0.17, 0.15, 0.19),
    (0.14, 0.13, 0.16),
    (0.44, 0.43, 0.5),
    0.03,
    0.004,
  ),
  'fog': (
    0.06,
    (0.74, 0.76, 0.78),
    (0.82, 0.83, 0.84),
    (0.8, 0.8, 0.82),
    (0.8, 0.81, 0.84),
    0.04,
    0.026,
  ),
}


@dataclasses.dataclass(frozen=True)
class Weather:
  """Light and air of one image; colours are float [3]."""

  sky_top: Rgb
  sky_low: Rgb
  cloud: Rgb
  cover: float  # share of the sky under clouds
  ambient: Rgb
  sun: Rgb
  sun_side: float  # -1: the sun stands on the left, 1: on the right
  sun_front: float  # -1: the sun stands ahead (faces in shade), 1: behind the camera
  haze: float  # extinction per metre
  rain: bool
  night: float  # 0: day, 1: lamps are lit


def draw_weather(rng: Rng) -> Weather:
  """Picks the hour and the weather, then varies both."""
  mood = rng.choice(list(_MOODS), p=[look[0] for look in _MOODS.values()])
  _, top, low, cloud, ambient, sun, haze = _MOODS[mood]
  vary = lambda rgb, spread: np.array(rgb) * rng.uniform(1 - spread, 1 + spread, 3)
  warmth = rng.uniform(-0.08, 0.12) + (0.25 if mood == 'dusk' else 0)
  return Weather(
    sky_top=vary(top, 0.1),
    sky_low=vary(low, 0.08),
    cloud=vary(cloud, 0.06),
    cover={'clear': 0.15, 'fair': 0.55}.get(mood, 0.5) * rng.uniform(0.3, 1.5),
    ambient=vary(ambient, 0.06) * rng.uniform(0.7, 1.25),
    sun=sun * rng.uniform(0.7, 1.2) * np.array([1 + warmth, 1.0, 1 - warmth]),
    sun_side=rng.uniform(-1, 1),
    sun_front=rng.uniform(-1, 1),
    haze=haze * rng.uniform(0.4, 1.7),
    rain=mood in ('overcast', 'night') and chance(rng, 0.35),
    night={'night': 1.0, 'dusk': 0.5}.get(mood, 0.0),
  )


def paint_sky(rng: Rng, horizon: float, weather: Weather) -> np.ndarray:
  """Gradient with clouds, float32 `[HEIGHT, WIDTH, 3]`."""
  rise = np.clip(1 - 2 * np.arange(HEIGHT) / max(horizon, 1), 0, 1)[:, None, None]
  rise = rise ** rng.uniform(0.6, 1.3)
  sky = weather.sky_low * (1 - rise) + weather.sky_top * rise
  _, _, coarse = noise.tiles()
  clouds = noise.window(rng, coarse, HEIGHT, WIDTH, stretch=int(rng.integers(1, 4)))[..., None]
  alpha = np.clip((clouds + 3 * weather.cover - 1.6) * rng.uniform(0.5, 1.8), 0, 0.9)
  return (sky + (weather.cloud - sky) * alpha).astype(np.float32)
