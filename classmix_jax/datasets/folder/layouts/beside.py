"""NAME.jpg beside NAME_mask.png, or beside masks/, in the directory itself."""

from pathlib import Path

from classmix_jax.data.files.find_images import image_paths
from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  IMAGES,
  LABELED,
  MASKS,
  TEST,
  TRAIN,
  VAL,
  children,
  find_child,
  find_unlabeled,
  image_files,
  read_parts,
  special_children,
  spell,
)
from classmix_jax.datasets.folder.mask_names import split_beside


def find_beside(root: Path) -> Layout | None:
  """Returns the layout of a directory that holds images, or pairs in nested directories.

  None if its images are in a directory of a known name, or if no mask lies beside its image.
  """
  others = (*IMAGES, *LABELED, *TRAIN)
  if any(spell(child.name) in others for child in children(root)):
    return None
  masks, exclude = find_child(root, MASKS), special_children(root)
  nested = len(children(root)) - len(exclude) > 1
  if not image_files(root) and not (nested and _has_pairs(root, exclude)):
    return None
  return Layout(
    train=(Part(root, masks or root, exclude=exclude),),
    val=read_parts(find_child(root, VAL)),
    test=read_parts(find_child(root, TEST)),
    unlabeled=find_unlabeled(root),
  )


def _has_pairs(root: Path, exclude: tuple[Path, ...]) -> bool:
  files = [path for path in image_paths(root) if not any(map(path.is_relative_to, exclude))]
  return bool(split_beside(files, root).masks)
