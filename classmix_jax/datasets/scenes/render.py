"""Renders procedural street scenes: a pure function from two integers to a labelled image.

Synopsis:

    image, label = render(seed=1, index=0)  # uint8 [96, 192, 3] and [96, 192]

A pinhole camera is on a road in a flat world, in metres: `s` to the right of the camera (following
the curve of the road), `y` up from the ground, `z` ahead. The ground is computed per pixel; objects
are painted from far to near with PIL, at twice the final resolution. A second image, `meta`, has
class, depth and material of every pixel, from which NumPy computes light, haze and texture at the
final resolution.

Light, weather and white balance vary between images more than the colours of objects: a few
labelled images show only some of this variety, the unlabelled images show all of it.
"""

import numpy as np

from classmix_jax.datasets.scenes.camera import draw_camera
from classmix_jax.datasets.scenes.canvas import Canvas
from classmix_jax.datasets.scenes.draws import chance
from classmix_jax.datasets.scenes.ground import paint_backdrop, paint_ground
from classmix_jax.datasets.scenes.photo import photograph
from classmix_jax.datasets.scenes.scene import Scene
from classmix_jax.datasets.scenes.stage import jobs
from classmix_jax.datasets.scenes.street import draw_street
from classmix_jax.datasets.scenes.vehicle_painters import paint_bonnet
from classmix_jax.datasets.scenes.weather import draw_weather, paint_sky


def render(seed: int, index: int) -> tuple[np.ndarray, np.ndarray]:
  """Renders one scene.

  Args:
    seed: number of the stream; different seeds give unrelated scenes.
    index: number of the scene in its stream.

  Returns:
    `(image, label)`: uint8 `[96, 192, 3]` RGB, and uint8 `[96, 192]` with ids 0..8 or VOID.

  Example: `image, label = render(seed=1, index=0)`.
  """
  rng = np.random.default_rng([seed, index])
  camera, weather, street = draw_camera(rng), draw_weather(rng), draw_street(rng)
  sky = paint_sky(rng, camera.horizon, weather)
  canvas = Canvas(*paint_ground(rng, camera, street))
  scene = Scene(camera, weather, street, canvas, rng)
  paint_backdrop(scene)
  for _, paint, *arguments in sorted(jobs(scene), key=lambda job: -job[0]):  # far to near
    paint(scene, *arguments)
  if chance(rng, 0.35):
    paint_bonnet(scene)
  cls, _, _ = canvas.bands()
  return photograph(rng, canvas, sky, weather), cls[1::2, 1::2].copy()
