"""train/ and trainannot/, val/ and valannot/, train_images/ and train_masks/: SegNet.

Also x_train/ and y_train/.
"""

from collections.abc import Sequence
from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  IMAGES,
  MASKS,
  TEST,
  TRAIN,
  VAL,
  find_child,
  find_unlabeled,
)


def find_siblings(root: Path) -> Layout | None:
  """Returns the layout of a directory with train and trainannot, None if there are none."""
  train = _find_part(root, TRAIN)
  if train is None:
    return None
  return Layout(
    train=(train,),
    val=tuple(filter(None, [_find_part(root, VAL)])),
    test=tuple(filter(None, [_find_part(root, TEST)])),
    unlabeled=find_unlabeled(root),
  )


def find_sibling_masks(root: Path, part: Sequence[str]) -> Path | None:
  """Returns the directory of a part's masks, as trainannot, train_masks or masks_train."""
  return find_child(root, _join(part, (*MASKS, 'y')))


def _find_part(root: Path, part: Sequence[str]) -> Part | None:
  images = find_child(root, part) or find_child(root, _join(part, (*IMAGES, 'x')))
  masks = find_sibling_masks(root, part)
  if images is None or masks is None:
    return None
  return Part(find_child(images, IMAGES) or images, masks)


def _join(parts: Sequence[str], kinds: Sequence[str]) -> tuple[str, ...]:
  joined = [(part, kind) for part in parts for kind in kinds]
  return tuple(
    name for part, kind in joined for name in (f'{part}{kind}', f'{part}_{kind}', f'{kind}_{part}')
  )
