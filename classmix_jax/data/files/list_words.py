"""Words in lists of names: extensions, headers and directories that every data set has."""

from collections.abc import Sequence

from classmix_jax.data.files.find_images import EXTENSIONS

LISTED_EXTENSIONS = (
  *EXTENSIONS, '.gif', '.jp2', '.jfif', '.heic', '.heif', '.avif', '.ppm', '.pgm', '.npy', '.npz',
  '.mat', '.json', '.xml', '.txt',
)  # fmt: skip
HEADER_WORDS = (
  'image', 'images', 'image_path', 'img', 'img_path', 'filename', 'file_name', 'file', 'path',
  'filepath', 'file_path', 'image_name', 'image_id', 'name', 'id',
)  # fmt: skip
# Directories of a whole data set, which say nothing of the directories in it.
COMMON_DIRECTORIES = (
  'images', 'image', 'imgs', 'img', 'jpegimages', 'pictures', 'photos', 'frames', 'data', 'dataset',
  'leftimg8bit', 'train', 'training', 'val', 'valid', 'validation', 'test', 'labeled', 'labelled',
  'unlabeled', 'unlabelled', 'masks', 'mask', 'labels', 'annotations', '.', '..', '',
)  # fmt: skip


def may_lie_in(name: str, parts: Sequence[str]) -> bool:
  """Returns whether the parts of a path do not name another directory than that of an example.

  Frames of videos have the same file names: 'camel/00003' is not 'bear/00003'.

  Example: `may_lie_in('city/a', ['images', 'a']) and not may_lie_in('city/a', ['town', 'a'])`.
  """
  return (
    len(parts) == 1
    or '/' not in name
    or parts[-2] == name.split('/')[-2]
    or parts[-2].lower() in COMMON_DIRECTORIES
  )
