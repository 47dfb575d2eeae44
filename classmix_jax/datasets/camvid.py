"""CamVid in the layout of the SegNet tutorial: 367 street scenes to train, 101 to validate.

Synopsis:

    dataset = load('CamVid', size=(180, 240))
    dataset.train.read_image(0)   # [180, 240, 3] uint8
    dataset.train.read_label(0)   # [180, 240] uint8, 0..10 and 255

G. Brostow, J. Fauqueur, R. Cipolla, "Semantic object classes in video", 2009;
V. Badrinarayanan et al., "SegNet", arXiv:1511.00561: the 11 classes and the split.
"""

from collections.abc import Mapping
from pathlib import Path

from classmix_jax.datasets.pairs import (
  Finding,
  Pairs,
  check_exists,
  check_pairs,
  find_images,
  kept,
  pair,
  paired_source,
)
from classmix_jax.datasets.reading import Decoding, Size, label_table
from classmix_jax.types import VOID, Dataset, Source, UserError

CLASS_NAMES = (
    'sky', 'building', 'pole', 'road', 'pavement', 'tree', 'sign', 'fence', 'car', 'pedestrian',
    'bicyclist',
)
PALETTE = (
    (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
    (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192),
)
UNLABELLED = 11  # the void class of the files

DECODING = Decoding(
    CLASS_NAMES, label_table(len(CLASS_NAMES), {UNLABELLED: VOID}),
    advice='Use the label pictures of the SegNet copy of CamVid, or dataset folder for others.')
LAYOUT = 'train/, trainannot/, val/ and valannot/ (CamVid as the SegNet tutorial publishes it)'


def load(root: str, size: Size | None = None) -> Dataset:
  """Returns CamVid; checks paths, pairs and sizes, and decodes nothing yet.

  Args:
    root: folder with train/, trainannot/, val/, valannot/ and, if there are
      any, the lists train.txt and val.txt. Without a list the sorted folder counts.
    size: working resolution (height, width); None keeps 360 x 480.

  Raises:
    UserError: lists all missing paths, files or unequal sizes, and the remedy.

  Example: `len(load('CamVid').train) == 367`.
  """
  base = Path(root).expanduser()
  folders = [base / name for name in ('train', 'trainannot', 'val', 'valannot')]
  check_exists(root and str(base), folders, LAYOUT)
  return Dataset(
      name='camvid', class_names=CLASS_NAMES, palette=PALETTE,
      train=_source(base, 'train', size), val=_source(base, 'val', size))


def _source(base: Path, split: str, size: Size | None) -> Source:
  images, masks = find_images(base / split), find_images(base / f'{split}annot')
  if not images:
    raise UserError(f'{base / split} holds no images. Unpack CamVid there again.')
  listed = base / f'{split}.txt'
  if listed.exists():
    pairs = _listed_pairs(listed, images, masks)
  else:
    pairs = pair(images, masks, remedy=f'Add them to {base / f"{split}annot"}.')
  check_pairs(pairs)
  return paired_source(pairs, DECODING, size)


def _listed_pairs(listed: Path, images: Mapping[str, Path], masks: Mapping[str, Path]) -> Pairs:
  """Returns the pairs of a list, matched by file name: its folders are those of its author."""
  rows = sorted(_read_list(listed).items())
  missing = [name for name, _ in rows if name not in images]
  missing += [f'{mask} (mask)' for _, mask in rows if mask not in masks]
  remedy = f'Unpack them again beside {listed.name}, or remove the list to read whole folders.'
  if missing and not kept(
      Finding(file, f'{file} is not there, but {listed} names it. {remedy}') for file in missing):
    raise UserError(
        f'{listed} names {len(missing)} files that are not there: {", ".join(missing[:3])}'
        f'{", ..." if len(missing) > 3 else ""}. {remedy}')
  rows = [(name, mask) for name, mask in rows if name in images and mask in masks]
  names = tuple(name for name, _ in rows)
  return Pairs(names, tuple(images[n] for n in names), tuple(masks[m] for _, m in rows))


def _read_list(listed: Path) -> dict[str, str]:
  """Returns stem of image -> stem of mask from lines 'image mask' or 'image'."""
  rows: dict[str, str] = {}
  for number, line in enumerate(listed.read_text(encoding='utf-8').splitlines(), start=1):
    stems = [Path(part.replace('\\', '/')).stem for part in line.split()]
    if len(stems) > 2:
      raise UserError(
          f"{listed}, line {number} is '{line}'; expected is 'image mask' without spaces in the "
          'names.')
    if stems and stems[0] in rows:
      raise UserError(f"{listed}, line {number} repeats '{stems[0]}': remove one of the lines.")
    if stems:
      rows[stems[0]] = stems[-1]
  if not rows:
    raise UserError(f'{listed} is empty. Remove it to read the whole folder.')
  return rows
