"""Takes a photograph of a rendered scene: light, lens, sensor, each different in every image."""

import numpy as np
from PIL import Image, ImageFilter
from rendered.fields import Rng, smooth_noise


def photograph(
  rng: Rng,
  radiance: np.ndarray,
  exposure: float = 0.25,
  cast: float = 0.08,
  uneven: float = 0.1,
  blur: tuple[float, float] = (0.2, 1.0),
  noise: tuple[float, float] = (1.0, 5.0),
) -> np.ndarray:
  """Returns an image, uint8 `[H, W, 3]`, of a scene of 0..1, float32 `[H, W, 3]`.

  `exposure`, `cast` and `uneven` are standard deviations of the logarithm of the brightness: of
  the whole image, of a channel, over the image. `blur` is the range of the standard deviation of
  the blur in pixels, `noise` that of the noise in grey values.
  """
  shape = radiance.shape[:2]
  gain = np.exp(np.clip(rng.normal(0, exposure), -2 * exposure, 2 * exposure))
  gains = gain * np.exp(rng.normal(0, cast, 3))
  light = np.exp(uneven * smooth_noise(rng, shape, 0.7 * max(shape)))
  lit = radiance * (light[..., None] * gains.astype(np.float32))
  toned = np.clip(lit, 0, 1) ** np.float32(rng.uniform(0.8, 1.25))
  image = Image.fromarray((255 * toned).astype(np.uint8))
  image = image.filter(ImageFilter.GaussianBlur(rng.uniform(*blur)))
  # The noise of neighbouring pixels is alike after the interpolation of colours in a camera.
  grain = rng.standard_normal((*shape, 1), dtype=np.float32)
  grain = grain + 0.5 * rng.standard_normal((*shape, 3), dtype=np.float32)
  pixels = np.asarray(image, np.float32) + np.float32(rng.uniform(*noise)) * grain
  return np.clip(pixels + 0.5, 0, 255).astype(np.uint8)
