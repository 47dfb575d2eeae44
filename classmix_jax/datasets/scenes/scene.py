"""The state that every painter takes: `painter(scene, ...)`."""

import dataclasses

import numpy as np

from classmix_jax.datasets.scenes.camera import Camera
from classmix_jax.datasets.scenes.canvas import Canvas
from classmix_jax.datasets.scenes.draws import Rng
from classmix_jax.datasets.scenes.street import Street
from classmix_jax.datasets.scenes.weather import Weather

_ANGLES = np.linspace(0, 2 * np.pi, 10)[:-1]
_COS, _SIN = np.cos(_ANGLES), np.sin(_ANGLES)


@dataclasses.dataclass(frozen=True)
class Scene:
  """Camera, weather, street, canvas and random generator of a scene."""

  camera: Camera
  weather: Weather
  street: Street
  canvas: Canvas
  rng: Rng

  def cast_shadow(self, s: float, z: float, reach: float, half: float):
    """Paints a round shadow on the ground, `half` metres in radius and cast `reach` sideways."""
    shift = -self.weather.sun_side * reach
    across = 0.5 * shift + (half + 0.5 * abs(shift)) * _COS
    self.canvas.shadow(self.camera.project(s + across, 0, z + 0.6 * half * _SIN))
