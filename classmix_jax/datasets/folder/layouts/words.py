"""Names of directories for images, masks and parts, as data sets have them.

Synopsis:

    find_child(Path('DIR'), IMAGES)    # DIR/Images, None if there is none
    read_part(Path('DIR/train'))       # Part(DIR/train/images, DIR/train/masks)
"""

from collections.abc import Iterator, Sequence
import os
from pathlib import Path

from classmix_jax.data.files.find_images import EXTENSIONS, image_paths
from classmix_jax.datasets.folder.layouts.layout import Part
from classmix_jax.errors import UserError

IMAGES = (
  'images', 'image', 'img', 'imgs', 'img_dir', 'image_dir', 'jpegimages', 'jpgimages', 'jpgs',
  'photos', 'pictures', 'frames', 'rgb', 'inputs', 'input', 'original', 'originals',
  'original_images', 'raw_images', 'leftimg8bit',
)  # fmt: skip
MASKS = (
  'masks', 'mask', 'labels', 'label', 'annotations', 'annotation', 'annot', 'annots', 'ann',
  'anns', 'ann_dir', 'gt', 'gts', 'groundtruth', 'ground_truth', 'groundtruths', 'segmentation',
  'segmentations', 'seg', 'segs', 'targets', 'target', 'label_images', 'labelled_images',
  'image_masks', 'png_masks', 'semantic_masks', 'masks_machine', 'segmentation_masks', 'gtfine',
  'segmentationclass', 'segmentationclasspng', 'segmentationclassraw', 'segmentationclassaug',
)  # fmt: skip
LABELED = ('labeled', 'labelled')
TRAIN = ('train', 'training', 'train_set', 'trainset')
VAL = ('val', 'valid', 'validation', 'dev', 'val_set', 'valset')
TEST = ('test', 'testing', 'test_set', 'testset')
UNLABELED = (
  'unlabeled', 'unlabelled', 'unlabeled_images', 'unlabelled_images', 'unannotated', 'nolabel',
)  # fmt: skip
SPECIAL = (*IMAGES, *MASKS, *LABELED, *TRAIN, *VAL, *TEST, *UNLABELED)


def spell(name: str) -> str:
  """Returns a name in small letters with '_' between its words.

  Example: `spell('Train-Images') == 'train_images'`.
  """
  return name.lower().replace('-', '_').replace(' ', '_')


def children(directory: Path) -> list[Path]:
  """Returns the directories in a directory, sorted, without hidden ones and circular links.

  Raises:
    UserError: the directory cannot be read.
  """
  return sorted(
    directory / entry.name
    for entry in _entries(directory)
    if os.path.isdir(entry) and not entry.name.startswith(('.', '__MACOSX'))
  )


def image_files(directory: Path) -> list[Path]:
  """Returns the image files in a directory itself, sorted; hidden ones are left out."""
  return sorted(
    directory / entry.name
    for entry in _entries(directory)
    if entry.name.lower().endswith(EXTENSIONS) and entry.name[0] != '.' and os.path.isfile(entry)
  )


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
  try:
    with os.scandir(directory) as entries:
      yield from entries
  except OSError as error:
    raise UserError(
      f'{directory} cannot be read ({error.strerror}): change its permissions.'
    ) from None


def has_images(directory: Path) -> bool:
  """Returns whether there is an image in a directory or below it."""
  return any(True for _ in image_paths(directory))


def find_child(directory: Path, words: Sequence[str]) -> Path | None:
  """Returns the directory in `directory` with one of the words as its name, or None.

  Of several, those without an image are passed over.

  Raises:
    UserError: several have images.
  """
  matches = [child for child in children(directory) if spell(child.name) in words]
  if len(matches) > 1:
    matches = [child for child in matches if has_images(child)] or matches[:1]
  if len(matches) > 1:
    names = ' and '.join(f'{child.name}/' for child in matches)
    raise UserError(
      f'{directory} holds {names}, and either may be meant: choose by patterns below '
      "config.data.root, as in --config.data.images='images/*' and "
      "--config.data.masks='masks/{name}.png'."
    )
  return matches[0] if matches else None


def find_masks(directory: Path) -> Path | None:
  """Returns the directory of masks in `directory`: of a known name, or the only similar one.

  Example: `find_masks(Path('DIR'))` may be `DIR/masks` or `DIR/label_images_semantic`.
  """
  known = find_child(directory, MASKS)
  if known is not None:
    return known
  words = ('mask', 'label', 'annotation', 'groundtruth', 'ground_truth', 'segmentation')
  named = [
    child
    for child in children(directory)
    if any(word in spell(child.name) for word in words)
    and spell(child.name) not in SPECIAL
    and has_images(child)
  ]
  return named[0] if len(named) == 1 else None


def read_part(directory: Path) -> Part:
  """Returns the part in a directory: its images and masks, or one of them, or the files in it.

  Example: `read_part(Path('train'))` has `train/images` and `train/masks` if both exist. Without
    masks/ the masks lie beside the images; without images/ the images lie in train itself.
  """
  images, masks = find_child(directory, IMAGES), find_child(directory, MASKS)
  if images is not None:
    return Part(images, masks or find_child(images, MASKS) or images)
  return Part(directory, masks or directory, exclude=special_children(directory))


def read_parts(*directories: Path | None) -> tuple[Part, ...]:
  """Returns the parts in the directories that are not None."""
  return tuple(read_part(directory) for directory in directories if directory is not None)


def special_children(directory: Path) -> tuple[Path, ...]:
  """Returns the directories in a directory whose names stand for a part, images or masks."""
  return tuple(child for child in children(directory) if spell(child.name) in SPECIAL)


def find_unlabeled(root: Path) -> tuple[Path, ...]:
  """Returns the directory of images without labels, `unlabeled/images` or `unlabeled`, if any."""
  directory = find_child(root, UNLABELED)
  if directory is None:
    return ()
  return (find_child(directory, IMAGES) or directory,)
