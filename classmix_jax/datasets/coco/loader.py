"""Opens COCO 2017 with semantic masks.

Synopsis:

    dataset = load('COCO')
    dataset = load('COCO', unlabeled2017=True)   # 123,403 further images without labels
"""

from collections.abc import Mapping
import os
from pathlib import Path

from classmix_jax.data.files.checks import check_exists, check_pairs
from classmix_jax.data.files.file_source import image_source, paired_source
from classmix_jax.data.files.find_images import find_images, find_unpacked_images
from classmix_jax.data.files.pairs import Pairs, pair
from classmix_jax.data.source import Dataset
from classmix_jax.datasets.coco.classes import CLASS_NAMES, DECODING, PALETTE
from classmix_jax.types import Size

LAYOUT = (
  'train2017/, val2017/ and masks/, which launch/convert_labels.py --from=coco --classes=coco '
  '--background=background paints from instances_{train,val}2017.json'
)


def load(root: str, size: Size | None = None, unlabeled2017: bool = False) -> Dataset:
  """Returns COCO 2017; checks paths, pairs and sizes without decoding an image.

  Class 0 is the background, which counts as a class; 1..80 are the categories in COCO's order.

  Args:
    root: directory with train2017/, val2017/ and masks/, which has the masks of both.
    size: working resolution (height, width); None keeps the size of every image.
    unlabeled2017: whether `unlabeled` is the directory unlabeled2017/.

  Raises:
    UserError: lists what is missing or inconsistent, and the remedy.

  Example: `len(load('COCO').train) == 118287`.
  """
  base = Path(os.path.expanduser(root))
  images = ['train2017', 'val2017'] + ['unlabeled2017'] * unlabeled2017
  check_exists(root and str(base), [base / name for name in (*images, 'masks')], LAYOUT)
  masks = find_images(base / 'masks')
  unlabeled = image_source(_find_images(base / 'unlabeled2017'), size) if unlabeled2017 else None
  return Dataset(
    name='coco',
    class_names=CLASS_NAMES,
    palette=PALETTE,
    train=paired_source(_find_pairs(base / 'train2017', masks), DECODING, size),
    val=paired_source(_find_pairs(base / 'val2017', masks), DECODING, size),
    unlabeled=unlabeled,
  )


def _find_pairs(directory: Path, masks: Mapping[str, Path]) -> Pairs:
  year_file = f'instances_{directory.name}.json'
  pairs = pair(
    _find_images(directory),
    masks,
    remedy=f'Paint {directory.parent / "masks"} from {year_file} with launch/convert_labels.py '
    '--from=coco --classes=coco --background=background.',
  )
  check_pairs(pairs, DECODING)
  return pairs


def _find_images(directory: Path) -> Mapping[str, Path]:
  return find_unpacked_images(directory, f'{directory.name}.zip')
