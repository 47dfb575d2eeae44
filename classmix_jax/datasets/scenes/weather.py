"""Daytime and weather of a scene, and its sky.

Synopsis:

    weather = draw_weather(rng)
    sky = paint_sky(rng, camera.horizon, weather)  # float32 [96, 192, 3]
"""

from collections.abc import Sequence
import dataclasses
from typing import NamedTuple

import numpy as np

from classmix_jax.datasets.scenes import noise
from classmix_jax.datasets.scenes.canvas import HEIGHT, WIDTH
from classmix_jax.datasets.scenes.draws import Rgb, Rng, chance

_Triple = tuple[float, float, float]  # red, green, blue, 0..1


class _Mood(NamedTuple):
  """Means of a kind of weather, see `Weather`."""

  probability: float
  sky_top: _Triple
  sky_low: _Triple
  cloud: _Triple
  ambient: _Triple
  sun: float
  haze: float


_MOODS = {
  'clear': _Mood(
    probability=0.3,
    sky_top=(0.25, 0.47, 0.85),
    sky_low=(0.72, 0.83, 0.95),
    cloud=(1, 1, 1),
    ambient=(0.5, 0.56, 0.68),
    sun=0.75,
    haze=0.003,
  ),
  'fair': _Mood(
    probability=0.2,
    sky_top=(0.42, 0.58, 0.82),
    sky_low=(0.82, 0.86, 0.9),
    cloud=(0.95, 0.95, 0.97),
    ambient=(0.58, 0.6, 0.66),
    sun=0.5,
    haze=0.005,
  ),
  'overcast': _Mood(
    probability=0.2,
    sky_top=(0.6, 0.63, 0.67),
    sky_low=(0.8, 0.81, 0.83),
    cloud=(0.5, 0.52, 0.56),
    ambient=(0.8, 0.82, 0.86),
    sun=0.08,
    haze=0.008,
  ),
  'dusk': _Mood(
    probability=0.14,
    sky_top=(0.38, 0.36, 0.55),
    sky_low=(0.98, 0.62, 0.36),
    cloud=(0.75, 0.4, 0.38),
    ambient=(0.42, 0.36, 0.42),
    sun=0.42,
    haze=0.007,
  ),
  'night': _Mood(
    probability=0.1,
    sky_top=(0.05, 0.06, 0.12),
    sky_low=(0.17, 0.15, 0.19),
    cloud=(0.14, 0.13, 0.16),
    ambient=(0.44, 0.43, 0.5),
    sun=0.03,
    haze=0.004,
  ),
  'fog': _Mood(
    probability=0.06,
    sky_top=(0.74, 0.76, 0.78),
    sky_low=(0.82, 0.83, 0.84),
    cloud=(0.8, 0.8, 0.82),
    ambient=(0.8, 0.81, 0.84),
    sun=0.04,
    haze=0.026,
  ),
}


@dataclasses.dataclass(frozen=True)
class Weather:
  """Light and air of one image; colours are float [3].

  Attributes:
    sky_top, sky_low: colours of the zenith and of the horizon.
    cloud: colour of clouds.
    cover: fraction of the sky under clouds.
    ambient, sun: colours of the two lights.
    sun_side: -1 for a sun on the left to 1 on the right.
    sun_front: -1 for a sun ahead, so that front faces are in the shade, to 1 behind the camera.
    haze: extinction per metre.
    rain: whether it rains.
    night: 0 by day to 1 at night, when lamps are lit.
  """

  sky_top: Rgb
  sky_low: Rgb
  cloud: Rgb
  cover: float
  ambient: Rgb
  sun: Rgb
  sun_side: float
  sun_front: float
  haze: float
  rain: bool
  night: float


def draw_weather(rng: Rng) -> Weather:
  """Draws daytime and weather, and varies their colours."""
  mood = rng.choice(list(_MOODS), p=[mood.probability for mood in _MOODS.values()])
  _, top, low, cloud, ambient, sun, haze = _MOODS[mood]

  def vary(rgb: Sequence[float], spread: float) -> Rgb:
    return np.array(rgb) * rng.uniform(1 - spread, 1 + spread, 3)

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
  """Returns a gradient with clouds, float32 `[HEIGHT, WIDTH, 3]`."""
  rise = np.clip(1 - 2 * np.arange(HEIGHT) / max(horizon, 1), 0, 1)[:, None, None]
  rise = rise ** rng.uniform(0.6, 1.3)
  sky = weather.sky_low * (1 - rise) + weather.sky_top * rise
  _, _, coarse = noise.tiles()
  clouds = noise.window(rng, coarse, HEIGHT, WIDTH, stretch=int(rng.integers(1, 4)))[..., None]
  alpha = np.clip((clouds + 3 * weather.cover - 1.6) * rng.uniform(0.5, 1.8), 0, 0.9)
  return (sky + (weather.cloud - sky) * alpha).astype(np.float32)
