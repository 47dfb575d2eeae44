"""How the pixels of masks, ids or colours, map to class ids.

Synopsis:

    decoding = Decoding(('road', 'car'), label_table(2, {7: 1}))
    label = read_mask('a.png', decoding)    # mask_io.py
"""

from collections.abc import Mapping
import dataclasses

import numpy as np

from classmix_jax.data.files.colors import Color
from classmix_jax.types import VOID

UNKNOWN = -1  # entry of a label table for values that masks must not have
RAW_VALUES = 65536  # masks have up to 16 bits

# What transparent pixels of masks are, besides void or a class id.
BY_COLOR = 'color'  # the class of the colour below the transparency
BY_ALPHA = 'alpha'  # transparent pixels are class 0, opaque ones class 1
BY_INVERSE_ALPHA = 'inverse_alpha'
TRANSPARENT, OPAQUE, OTHERS = 'transparent', 'opaque', 'others'  # in counts of raw values

Raw = int | Color | str  # value of a mask's pixel: an id, a colour, or its transparency


@dataclasses.dataclass(frozen=True, eq=False)
class Decoding:
  """How the pixels of a mask map to class ids.

  Attributes:
    class_names: name of class 0, 1, ...
    table: `[65536]` int16, raw value -> class id, `VOID` or `UNKNOWN`; see `label_table`.
    colors: `(r, g, b)` -> class id or `VOID`, for RGB masks.
    advice: remedy for masks of a wrong encoding; '' advises the options of `configs/folder.py`,
      which only some data sets have.
    threshold: grey values 0..255 from this one on are class 1, those below it class 0; 0 if
      masks hold ids.
    color_distance: largest Euclidean distance in RGB, 0..442, of a pixel to the colour of its
      class, of which the nearest counts.
    others_are_void: whether values and colours without a class are void instead of an error.
    transparent: what transparent pixels are: a class id, `VOID`, `BY_COLOR`, `BY_ALPHA` or
      `BY_INVERSE_ALPHA`; None if transparency that the colours do not repeat is an error.
    turns_masks: whether masks are turned by the EXIF orientation of their images.
  """

  class_names: tuple[str, ...]
  table: np.ndarray
  colors: Mapping[Color, int] = dataclasses.field(default_factory=dict)
  advice: str = ''
  threshold: int = 0
  color_distance: float = 0.0
  others_are_void: bool = False
  transparent: int | str | None = None
  turns_masks: bool = False

  @property
  def reads_lossy(self) -> bool:
    """Whether compression that changes values, such as JPEG's, leaves the classes readable."""
    return self.threshold > 0 or self.color_distance > 0

  def identity(self) -> str:
    """Returns a text that differs if any pixel may get another class."""
    options = (self.threshold, self.color_distance, self.others_are_void, self.transparent)
    return (
      f'{self.table.tobytes().hex()} {sorted(self.colors.items())} {options} {self.turns_masks}'
    )

  def label_of(self, raw: Raw) -> int | None:
    """Returns the class id or `VOID` of a raw value, None if it has no meaning."""
    if isinstance(raw, tuple):
      label = self.colors.get(raw, UNKNOWN)
    elif isinstance(raw, int):
      label = int(self.table[raw]) if 0 <= raw < RAW_VALUES else UNKNOWN
    elif raw == OTHERS:
      label = UNKNOWN
    elif isinstance(self.transparent, int):
      label = self.transparent
    else:
      label = int((raw == OPAQUE) == (self.transparent == BY_ALPHA))
    if label != UNKNOWN:
      return label
    return VOID if self.others_are_void else None


def label_table(
  num_classes: int, label_map: Mapping[int, int] | None = None, threshold: int = 0
) -> np.ndarray:
  """Returns the `[65536]` int16 table raw value -> class id, `VOID` or `UNKNOWN`.

  Ids below `num_classes` are class ids and 255 is void, unless `label_map` maps them; every other
  value is `UNKNOWN`. With a threshold, values from it on are class 1 and the others class 0.

  Example: `label_table(2, {255: 1})` reads masks of 0 and 255 as classes 0 and 1.
  """
  table = np.full(RAW_VALUES, UNKNOWN, np.int16)
  if threshold:
    table[:256] = np.arange(256) >= threshold
  else:
    table[:num_classes] = np.arange(num_classes)
    table[VOID] = VOID
  for raw, label in (label_map or {}).items():
    table[raw] = label
  return table
