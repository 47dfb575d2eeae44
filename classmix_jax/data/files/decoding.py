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

Raw = int | Color  # value of a mask's pixel: an id, or a colour


@dataclasses.dataclass(frozen=True, eq=False)
class Decoding:
  """How the pixels of a mask map to class ids.

  Attributes:
    class_names: name of class 0, 1, ...
    table: `[65536]` int16, raw value -> class id, `VOID` or `UNKNOWN`; see `label_table`.
    colors: `(r, g, b)` -> class id or `VOID`, for RGB masks.
    advice: remedy for masks of a wrong encoding; '' advises the options `label_map`, `colors` and
      `ignore`, which only some data sets have.
  """

  class_names: tuple[str, ...]
  table: np.ndarray
  colors: Mapping[Color, int] = dataclasses.field(default_factory=dict)
  advice: str = ''

  def label_of(self, raw: Raw) -> int | None:
    """Returns the class id or `VOID` of an id or a colour, None if it has no meaning."""
    if isinstance(raw, tuple):
      return self.colors.get(raw)
    label = int(self.table[raw]) if 0 <= raw < RAW_VALUES else UNKNOWN
    return None if label == UNKNOWN else label


def label_table(num_classes: int, label_map: Mapping[int, int] | None = None) -> np.ndarray:
  """Returns the `[65536]` int16 table raw value -> class id, `VOID` or `UNKNOWN`.

  Ids below `num_classes` are class ids and 255 is void, unless `label_map` maps them; every other
  value is `UNKNOWN`.

  Example: `label_table(2, {255: 1})` reads masks of 0 and 255 as classes 0 and 1.
  """
  table = np.full(RAW_VALUES, UNKNOWN, np.int16)
  table[:num_classes] = np.arange(num_classes)
  table[VOID] = VOID
  for raw, label in (label_map or {}).items():
    table[raw] = label
  return table
