"""Renders small data sets of different kinds, for benchmarks on more than one kind of image.

Each set is one file with a `SET`; `SETS` has them by name.
"""

from rendered import cells, defects, parcels, plants
from rendered.rendered_set import RenderedSet

SETS: dict[str, RenderedSet] = {
  'cells': cells.SET,
  'plants': plants.SET,
  'defects': defects.SET,
  'parcels': parcels.SET,
}
