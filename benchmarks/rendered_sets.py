"""Renders a small data set of one kind of image, with masks for some of the images.

    python benchmarks/rendered_sets.py --set=cells --output=DIR [--seed=0] [--labeled=20] \\
        [--unlabeled=180] [--val=60]

Writes `images/`, `masks/` (class ids, of the first `--labeled` images), `val/images/`,
`val/masks/` and `classes.txt`: `configs/folder.py --config.data.root=DIR` trains on it. Each
image depends on the set, the seed, its part and its number only, so that other counts change no
image.
"""

import argparse
import dataclasses
from pathlib import Path
import zlib

import numpy as np
from PIL import Image
from rendered import SETS

PARTS = ('train', 'val')


def render(name: str, seed: int, part: str, number: int) -> tuple[np.ndarray, np.ndarray]:
  """Returns image `number` of a part, `train` or `val`, and its class ids, both uint8."""
  key = (zlib.crc32(name.encode()), seed, PARTS.index(part), number)
  return SETS[name].render(np.random.default_rng(key))


def write(name: str, directory: Path, seed: int, labeled: int, unlabeled: int, val: int):
  """Writes a set to a directory."""
  for sub in ('images', 'masks', 'val/images', 'val/masks'):
    (directory / sub).mkdir(parents=True, exist_ok=True)
  for part, root, images, masks in (
    ('train', directory, labeled + unlabeled, labeled),
    ('val', directory / 'val', val, val),
  ):
    for number in range(images):
      image, mask = render(name, seed, part, number)
      file = f'{part}_{number:04d}.png'
      Image.fromarray(image).save(root / 'images' / file)
      if number < masks:
        Image.fromarray(mask).save(root / 'masks' / file)
  names = '\n'.join(SETS[name].classes)
  (directory / 'classes.txt').write_text(names + '\n', encoding='utf-8')


def main():
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--set', choices=SETS, required=True)
  parser.add_argument('--output', type=Path, required=True)
  parser.add_argument('--seed', type=int, default=0)
  counts = ('labeled', 'unlabeled', 'val')
  for count in counts:
    parser.add_argument(f'--{count}', type=int, help='if left out, as many as the set has')
  options = parser.parse_args()
  defaults = dataclasses.asdict(SETS[options.set])
  given = {count: getattr(options, count) for count in counts}
  numbers = {count: defaults[count] if n is None else n for count, n in given.items()}
  write(options.set, options.output, options.seed, **numbers)
  print(
    f'{options.output}: {options.set}, {numbers["labeled"]} labelled and {numbers["unlabeled"]} '
    f'unlabelled images, {numbers["val"]} for validation'
  )


if __name__ == '__main__':
  main()
