"""The order of examples and their views is pinned across versions.

Otherwise a run that resumes with a newer version of this project, NumPy or Python would train on
other images. `python tests/data/test_golden_order.py` rewrites the file after a deliberate change.
"""

import json
from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from classmix_jax.data.random_crop import Geometry, draw_view  # noqa: E402
from classmix_jax.data.sampler import index_stream  # noqa: E402
from classmix_jax.data.splits import choose_labeled  # noqa: E402

FILE = Path(__file__).parent / 'golden' / 'order.json'
GEOMETRIES = {
  'whole frames': Geometry(),
  'mirrored crops': Geometry(crop=(24, 32), flip=True),
  'any scale': Geometry(crop=(24, 32), scale=(0.5, 1.5), flip=True),
  'scales in steps, apart': Geometry(
    crop=(24, 32), scale=(0.5, 2.0), scale_step=0.25, flip=True, scale_apart=True
  ),
}


def order() -> dict:
  """Everything that a batch is a function of, as plain lists."""
  names = [f'city{i % 7}/{i:03d}' for i in range(60)]
  return {
    'labeled': {
      f'{labeled}, seed {seed}': choose_labeled(names, labeled, seed).tolist()
      for labeled in (5, '1/8')
      for seed in (0, 1)
    },
    # Every combination of seed, stream, length and start.
    'indices': {
      f'seed {seed}, stream {stream}, {length} examples, from {start}': index_stream(
        seed, stream, length, start, start + 24
      ).tolist()
      for seed in (0, 1, 2**31)
      for stream in (0, 1)
      for length in (1, 7, 2975)
      for start in (0, 100_000)
    },
    # Five positions of every combination of geometry, seed and stream.
    'views': {
      f'{name}, seed {seed}, stream {stream}': [
        draw_view(geometry, seed=seed, stream=stream, position=position, frame=(40, 60)).packed()
        for position in (0, 1, 2, 3, 999_999)
      ]
      for name, geometry in GEOMETRIES.items()
      for seed in (0, 1)
      for stream in (0, 1)
    },
  }


def test_the_order_of_examples_equals_that_of_earlier_versions():
  actual = json.loads(json.dumps(order()))
  pinned = json.loads(FILE.read_text())
  assert actual.keys() == pinned.keys()
  for part, cases in pinned.items():
    assert actual[part] == cases, part


if __name__ == '__main__':
  lines = [
    f'{json.dumps(part)}: {{\n'
    + ',\n'.join(f'  {json.dumps(name)}: {json.dumps(values)}' for name, values in cases.items())
    + '}'
    for part, cases in order().items()
  ]
  FILE.write_text('{' + ',\n'.join(lines) + '}\n')
