"""The canvas: albedo, shade, and the class, depth and material of every pixel.

Synopsis:

    canvas = Canvas(colour, meta)  # uint8 [192, 384, 3] each
    canvas.polygon([(0, 0), (9, 0), (9, 9)], np.array([1, 0, 0]), kind(CAR, z=12.0))
    cls, depth, material = canvas.bands()
"""

from collections.abc import Sequence
import math

import numpy as np
from PIL import Image, ImageDraw

from classmix_jax.datasets.scenes.draws import Rgb

HEIGHT, WIDTH = 96, 192  # of the finished image
CANVAS_H, CANVAS_W = 2 * HEIGHT, 2 * WIDTH  # scenes are painted at twice the size
GROUND, SOLID, LAMP = 0, 1, 2  # materials: receives shadows; plain; emits light

Kind = tuple[int, int, int]  # class, depth, material
Points = np.ndarray | Sequence  # [N, 2], or a list of (u, v)

_DEPTH_STEPS = 36.0  # per doubling of the distance


def kind(cls: int, z: float, material: int = SOLID) -> Kind:
  """Returns a pixel of the meta image: class, 8-bit depth, material."""
  return cls, min(255, int(_DEPTH_STEPS * math.log2(1.0 + z))), material


def encode_depth(z: np.ndarray) -> np.ndarray:
  """Encodes depth in metres as 0..255, finest near the camera."""
  return np.clip(_DEPTH_STEPS * np.log2(1.0 + z), 0, 255)


def depth_table() -> np.ndarray:
  """Returns the depth in metres of every 8-bit depth, `[256]`."""
  return np.exp2(np.arange(256) / _DEPTH_STEPS) - 1


class Canvas:
  """Three images that are painted together: albedo, meta (class, depth, material), and shade.

  If `kind` is None, a method paints the colour and keeps the meta image.
  """

  def __init__(self, colour: np.ndarray, meta: np.ndarray):
    self.colour_image = Image.fromarray(colour)
    self.shade_image = Image.new('L', (CANVAS_W, CANVAS_H))
    self._meta_image = Image.fromarray(meta)
    self._colour = ImageDraw.Draw(self.colour_image)
    self._shade = ImageDraw.Draw(self.shade_image)
    self._meta = ImageDraw.Draw(self._meta_image)

  def polygon(self, points: Points, rgb: Rgb, kind: Kind | None = None):
    """Paints a polygon."""
    flat = _flat(points)
    self._colour.polygon(flat, fill=_rgb8(rgb))
    if kind is not None:
      self._meta.polygon(flat, fill=kind)

  def polygons(self, points: np.ndarray, rgb: np.ndarray):
    """Paints polygons `[K, N, 2]` in colours `[K, 3]`; keeps the meta image."""
    for flat, fill in zip(points.reshape(len(points), -1).tolist(), _rgb8s(rgb), strict=True):
      self._colour.polygon(flat, fill=fill)

  def ellipse(self, u: float, v: float, ru: float, rv: float, rgb: Rgb, kind: Kind | None = None):
    """Paints an ellipse with centre (u, v) and radii (ru, rv)."""
    box = (u - ru, v - rv, u + ru, v + rv)
    self._colour.ellipse(box, fill=_rgb8(rgb))
    if kind is not None:
      self._meta.ellipse(box, fill=kind)

  def ellipses(self, boxes: np.ndarray, rgb: np.ndarray, kind: Kind):
    """Paints ellipses in boxes `[K, 4]`, in colours `[K, 3]`."""
    for box, fill in zip(boxes.tolist(), _rgb8s(rgb), strict=True):
      self._colour.ellipse(box, fill=fill)
      self._meta.ellipse(box, fill=kind)

  def line(self, points: Points, width: float, rgb: Rgb, kind: Kind):
    """Paints a line of at least one pixel."""
    flat, width = _flat(points), max(1, round(width))
    self._colour.line(flat, fill=_rgb8(rgb), width=width)
    self._meta.line(flat, fill=kind, width=width)

  def mark(self, points: Points, kind: Kind):
    """Paints a polygon in the meta image only."""
    self._meta.polygon(_flat(points), fill=kind)

  def shadow(self, points: Points, strength: float = 0.85):
    """Paints a polygon in the shade image only."""
    self._shade.polygon(_flat(points), fill=round(255 * strength))

  def bands(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns class, depth and material, uint8 `[192, 384]` each."""
    label, depth, material = self._meta_image.split()
    return np.asarray(label), np.asarray(depth), np.asarray(material)


def _flat(points: Points) -> Sequence:
  return points.ravel().tolist() if isinstance(points, np.ndarray) else points


def _rgb8(rgb: Rgb) -> tuple[int, int, int]:
  r, g, b = rgb.tolist()
  return (
    int(255 * min(max(r, 0.0), 1.0)),
    int(255 * min(max(g, 0.0), 1.0)),
    int(255 * min(max(b, 0.0), 1.0)),
  )


def _rgb8s(rgb: np.ndarray) -> list[tuple[int, int, int]]:
  return [tuple(fill) for fill in (np.clip(rgb, 0, 1) * 255).astype(int).tolist()]
