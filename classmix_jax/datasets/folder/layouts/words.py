"""Names of directories for images, masks and parts, as data sets have them.

Synopsis:

    find_child(Path('DIR'), IMAGES)    # DIR/Images, None if there is none
    read_part(Path('DIR/train'))       # Part(DIR/train/images, DIR/train/masks)
"""

from collections.abc import Iterator, Sequence
import os
from pathlib import Path
import re

from classmix_jax.data.files.directory_walk import is_system_directory
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
  '1st_manual', 'manual', 'image_masks', 'png_masks', 'lbl', 'lbls',
  'semantic_masks', 'masks_machine', 'segmentation_masks', 'gtfine',
  'segmentationclass', 'segmentationclasspng', 'segmentationclassraw', 'segmentationclassaug',
)  # fmt: skip
LABELED = ('labeled', 'labelled')
TRAIN = ('train', 'training', 'trainval', 'train_val', 'train_set', 'trainset')
VAL = ('val', 'valid', 'validation', 'dev', 'val_set', 'valset')
TEST = ('test', 'testing', 'test_set', 'testset')
UNLABELED = (
  'unlabeled', 'unlabelled', 'unlabeled_images', 'unlabelled_images', 'unannotated', 'nolabel',
)  # fmt: skip
HAND_DRAWN = ('1st_manual', 'manual')  # beside mask/, the field of view of the camera
MASK_PARTS = ('mask', 'label', 'annotation', 'groundtruth', 'ground_truth', 'segmentation')
SPECIAL = (*IMAGES, *MASKS, *LABELED, *TRAIN, *VAL, *TEST, *UNLABELED)
MAX_LEVELS = 4  # of directories that hold one directory only
FORMAT = re.compile(r'_(?:png|jpe?g|tiff?)$')
YEAR = re.compile(r'_?(?:19|20)\d\d$')


def spell(name: str) -> str:
  """Returns a name in small letters with '_' between its words, without a format or a year.

  Example: `spell('Train-Images') == 'train_images'`, `spell('masks_png') == 'masks'` and
  `spell('train2017') == 'train'`.
  """
  text = FORMAT.sub('', name.lower().replace('-', '_').replace(' ', '_'))
  part = YEAR.sub('', text)
  return part if part in (*TRAIN, *VAL, *TEST) else text


def children(directory: Path) -> list[Path]:
  """Returns the directories in a directory, sorted: no system directories, no circular links.

  Raises:
    UserError: the directory cannot be read.
  """
  return sorted(
    directory / entry.name
    for entry in _entries(directory)
    # is_dir() raises for circular links, isdir() takes long for many files.
    if (os.path.isdir(entry) if entry.is_symlink() else entry.is_dir())
    and not is_system_directory(entry.name)
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

  Of several, those without an image are passed over, and masks drawn by hand and
  names without a format or a year are preferred.

  Raises:
    UserError: several have images.
  """
  matches = [child for child in children(directory) if spell(child.name) in words]
  if len(matches) > 1:
    matches = [child for child in matches if has_images(child)] or matches[:1]
    matches = [child for child in matches if spell(child.name) in HAND_DRAWN] or matches
    matches = [child for child in matches if child.name.lower() in words] or matches
  if len(matches) > 1:
    names = ' and '.join(f'{child.name}/' for child in matches)
    raise UserError(
      f'{directory} holds {names}, and either may be meant: choose by patterns below '
      "config.data.root, as in --config.data.images='images/*' and "
      "--config.data.masks='masks/{name}.png'."
    )
  return matches[0] if matches else None


def find_part(directory: Path, words: Sequence[str]) -> Path | None:
  """Returns the directory of a part: of a known name, or the only one with a word of it.

  Example: `find_part(Path('DIR'), TRAIN)` may be `DIR/train` or `DIR/a. Training Set`.
  """
  known = find_child(directory, words)
  if known is not None:
    return known
  named = [child for child in children(directory) if part_of(child) == words]
  if len(named) != 1 or set(_words_of(named[0])) & {*IMAGES, *MASKS, *MASK_PARTS}:
    return None
  return named[0]


def part_of(directory: Path) -> Sequence[str]:
  """Returns TRAIN, VAL or TEST by a word in the name of a directory, () if it has none."""
  return next((part for part in (TRAIN, VAL, TEST) if set(_words_of(directory)) & set(part)), ())


def _words_of(directory: Path) -> list[str]:
  return re.split(r'[_.]+', spell(directory.name))


def pair_by_words(directories: Sequence[Path]) -> Part | None:
  """Returns the part of two directories, one of masks by a word in its name, or None."""
  names = {one: spell(one.name) for one in directories}
  masks = [
    one for one, name in names.items() if name in MASKS or any(word in name for word in MASK_PARTS)
  ]
  images = [one for one in directories if one not in masks]
  return Part(images[0], masks[0]) if len(images) == len(masks) == 1 else None


def find_masks(directory: Path) -> Path | None:
  """Returns the directory of masks in `directory`: of a known name, or the only similar one.

  Example: `find_masks(Path('DIR'))` may be `DIR/masks` or `DIR/label_images_semantic`.
  """
  known = find_child(directory, MASKS)
  if known is not None:
    return known
  named = [
    child
    for child in children(directory)
    if any(word in spell(child.name) for word in MASK_PARTS)
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
    masks = masks or find_masks(directory) or _find_versioned_masks(directory)
    return Part(images, masks or find_child(images, MASKS) or images)
  if masks is None and not image_files(directory):
    pair = pair_by_words([child for child in children(directory) if has_images(child)])
    if pair is not None:
      return pair
  return Part(directory, masks or directory, exclude=special_children(directory))


def _find_versioned_masks(directory: Path) -> Path | None:
  """Returns the masks of the last version, as v2.0/labels of Mapillary Vistas, or None."""
  versions = [child for child in children(directory) if re.fullmatch(r'v\d+(\.\d+)*', child.name)]
  masks = [find_child(child, MASKS) for child in versions]
  return next(filter(None, reversed(masks)), None)


def read_parts(*directories: Path | None) -> tuple[Part, ...]:
  """Returns the parts in the directories that are not None; groups are parts of their own."""
  existing = [directory for directory in directories if directory is not None]
  return tuple(
    part for directory in existing for part in read_groups(directory) or (read_part(directory),)
  )


def read_groups(directory: Path, least: int = 1) -> tuple[Part, ...]:
  """Returns A/images with A/masks, B/images with B/masks, ... as parts, some without masks.

  Args:
    directory: that of the groups.
    least: smallest number of groups with masks; () if there are fewer, or images beside them.
  """
  parts = []
  for child in children(directory):
    if spell(child.name) in SPECIAL:
      continue
    images, masks = find_child(child, IMAGES), find_child(child, MASKS)
    if images is not None:
      parts.append(Part(images, masks or child / 'masks', prefix=f'{child.name}/'))
  if sum(part.masks.is_dir() for part in parts) < least or find_child(directory, IMAGES):
    return ()
  return tuple(part for part in parts if part.masks.is_dir() or has_images(part.images))


def enter_parts(directory: Path, words: Sequence[str]) -> Path:
  """Returns the directory with train/ below `directory`, as images/10k, or `directory` itself.

  Enters directories of a known name, or the only one.
  """
  inner = directory
  for _ in range(MAX_LEVELS):
    if find_part(inner, TRAIN) is not None:
      return inner
    below = children(inner)
    following = find_child(inner, words) or (below[0] if len(below) == 1 else None)
    if following is None or image_files(inner):
      break
    inner = following
  return directory


def special_children(directory: Path) -> tuple[Path, ...]:
  """Returns the directories in a directory whose names stand for a part, images or masks."""
  return tuple(child for child in children(directory) if spell(child.name) in SPECIAL)


def find_unlabeled(root: Path) -> tuple[Path, ...]:
  """Returns the directory of images without labels, `unlabeled/images` or `unlabeled`, if any."""
  directory = find_child(root, UNLABELED)
  if directory is None:
    return ()
  return (find_child(directory, IMAGES) or directory,)
