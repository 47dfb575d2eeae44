"""Counts and names what stands in a directory of images and is not read.

Synopsis:

    for sentence in describe_unused(['DIR/labeled/images', 'DIR/unlabeled/images']):
      print(sentence)     # 30 files *.HEIC are not read: pip install ... (DIR/.../IMG_1.HEIC, ...)
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
import os
from pathlib import Path
from typing import NamedTuple

from classmix_jax.data.files.directory_walk import (
  SYSTEM,
  find_results,
  is_system_file,
  walk_directory,
)
from classmix_jax.data.files.find_images import HEIF_EXTENSIONS, is_image_name
from classmix_jax.utils.text import are, listed, plural

RAW_EXTENSIONS = (
  '.dng', '.cr2', '.cr3', '.nef', '.arw', '.orf', '.rw2', '.raf', '.pef', '.srw', '.raw',
)  # fmt: skip
REMEDIES: Mapping[tuple[str, ...], str] = {
  HEIF_EXTENSIONS: "pip install 'classmix_jax[heic]', or convert them to JPEG",
  ('.avif',): 'pip install --upgrade pillow, or convert them to JPEG',
  RAW_EXTENSIONS: 'develop these raw photos to JPEG or 16-bit TIFF',
  ('.pdf', '.psd', '.psb', '.xcf', '.ai', '.eps', '.svg', '.kra'): 'export them as PNG',
  ('.mp4', '.mov', '.avi', '.mkv', '.webm', '.m4v', '.mts', '.wmv'): (
    'save frames of these videos as images; launch/predict.py reads a video as --input=FILE'
  ),
  ('.zip', '.tar', '.tgz', '.gz', '.7z', '.rar', '.bz2', '.xz'): 'unpack these archives',
  ('.npy', '.npz', '.mat', '.h5', '.hdf5', '.pt', '.pkl'): 'save the arrays as TIFF or PNG',
  ('.dcm', '.nii', '.nii.gz', '.mha', '.mhd', '.nrrd', '.czi', '.lif', '.nd2', '.svs', '.vsi'): (
    'export slices or planes as TIFF or PNG'
  ),
  (
    '.jxl', '.exr', '.hdr', '.tga', '.dds', '.ico', '.pcx', '.wdp', '.jxr', '.img', '.ecw', '.vrt',
  ): 'convert them to PNG or TIFF',
  ('.json', '.xml'): 'launch/convert_labels.py turns annotations into masks',
}  # fmt: skip
# Files that accompany images: georeferences, overviews, edits of phones, notes.
SIDECARS = (
  '.tfw', '.tifw', '.jgw', '.pgw', '.wld', '.aux.xml', '.ovr', '.prj', '.cpg', '.xmp', '.aae',
  '.thm', '.lnk', '.url', '.md', '.txt', '.log', '.sha256', '.ini', '.html', '.csv', '.tmp',
  '.yaml', '.yml', '.names', '.pbtxt', '.py', '.sh', '.cfg', '.rst',
)  # fmt: skip
MAX_NAMED = 1  # files in a sentence


class Unused(NamedTuple):
  """Files or directories that are not read, for one reason.

  Attributes:
    reason: what they are, e.g. '*.HEIC', 'empty', `SYSTEM`, or 'results of predict'.
    paths: of the files or directories, sorted.
    remedy: what the user can do, '' if there is nothing to do.
  """

  reason: str
  paths: tuple[Path, ...]
  remedy: str = ''


def list_unused(
  directories: Iterable[str | Path],
  exclude: Collection[Path] = (),
  *,
  without_results: bool = False,
) -> list[Unused]:
  """Returns everything below some directories that `find_images` leaves out, or that is empty.

  Args:
    directories: which are read.
    exclude: as in `find_images`.
    without_results: as in `find_images`.

  Example: `list_unused(['images'])` may be `[Unused('*.HEIC', (Path('images/a.HEIC'),), ...)]`.
  """
  groups: dict[str, list[Path]] = {}
  for directory in {os.path.realpath(path): path for path in directories}.values():
    for folder in walk_directory(directory, exclude):
      results = find_results(folder.files) if without_results else set()
      results |= {'classes.json'} if results else set()
      for name, reason in folder.skipped.items():
        groups.setdefault(reason, []).append(folder.path / name)
      for name in folder.files:
        path = folder.path / name
        reason = 'results of predict' if name in results else _reason(path)
        if reason:
          groups.setdefault(reason, []).append(path)
  return _as_list(groups)


def _as_list(groups: Mapping[str, Sequence[Path]]) -> list[Unused]:
  return [
    Unused(_spelling(reason, paths), tuple(sorted(set(paths))), _remedy(reason))
    for reason, paths in sorted(groups.items())
  ]


def _reason(path: Path) -> str:
  """Returns why a file is not read: its extension, 'empty' or `SYSTEM`; '' if it is read."""
  name = path.name.lower()
  if is_system_file(path.name) or is_sidecar(name):
    return SYSTEM
  if is_image_name(path.name):
    try:
      return '' if path.stat().st_size else 'empty'
    except OSError:
      return ''  # reading it says why
  return f'*{_extension(name)}'


def is_sidecar(name: str) -> bool:
  """Returns whether a file accompanies images, by its extension.

  Example: `is_sidecar('tile.TFW') and is_sidecar('README.md')`.
  """
  return name.lower().endswith(SIDECARS)


def _extension(name: str) -> str:
  return '.nii.gz' if name.endswith('.nii.gz') else Path(name).suffix


def _spelling(reason: str, paths: Collection[Path]) -> str:
  """Returns an extension as most of the files spell it."""
  if not reason.startswith('*.'):
    return reason
  count = len(reason) - 1
  return '*' + Counter(path.name[-count:] for path in paths).most_common(1)[0][0]


def _remedy(reason: str) -> str:
  if reason == 'empty':
    return 'copy again, or remove'
  return find_remedy(reason.removeprefix('*'))


def find_remedy(extension: str) -> str:
  """Returns what to do with files of an extension that is not read, '' if that is not known.

  Example: `find_remedy('.pdf') == 'export them as PNG'`.
  """
  lowered = extension.lower()
  return next((remedy for kinds, remedy in REMEDIES.items() if lowered in kinds), '')


def describe_unused(
  directories: Iterable[str | Path],
  exclude: Collection[Path] = (),
  *,
  without_results: bool = False,
  used: Collection[Path] = (),
) -> list[str]:
  """Returns a sentence for each kind of file that is not read, except system files.

  Args:
    directories: which are read.
    exclude: as in `find_images`.
    without_results: as in `find_images`.
    used: files that are read although they are no images, such as that of the classes.

  Example: `['30 files *.HEIC are not read: ... (a/IMG_1.HEIC, a/IMG_2.HEIC and 28 more).']`.
  """
  unused = list_unused(directories, exclude, without_results=without_results)
  known = {os.path.realpath(path) for path in used}
  others = [
    one._replace(paths=tuple(path for path in one.paths if os.path.realpath(path) not in known))
    for one in unused
  ]
  return [_describe(one) for one in others if one.paths and one.reason != SYSTEM]


def describe_groups(groups: Mapping[str, Sequence[Path]]) -> list[str]:
  """Returns a sentence for each reason why some files or directories are not read.

  Example: `describe_groups({'*.pdf': [Path('a.pdf')]})` is `['1 file *.pdf is not read: export
  them as PNG (a.pdf).']`.
  """
  return [_describe(one) for one in _as_list(groups)]


def _describe(unused: Unused) -> str:
  reason, paths, remedy = unused
  verb = are(paths)
  count = f'{len(paths)} {plural("file", paths)}'
  named = listed(paths, MAX_NAMED)
  advice = f': {remedy}' if remedy else ''
  if reason == 'empty':
    return f'{count} {verb} empty{advice} ({named}).'
  if reason.startswith('*'):
    kind = reason if len(reason) > 1 else 'without an extension'
    return f'{count} {kind} {verb} not read{advice} ({named}).'
  return f'{named} {verb} left out: {reason}.'


def top_directories(files: Iterable[str | Path]) -> list[Path]:
  """Returns the directories of some files, without those that lie inside others.

  Example: `top_directories(['a/x.png', 'a/b/y.png']) == [Path('a')]`.
  """
  directories = {Path(file).parent for file in files}
  return sorted(one for one in directories if directories.isdisjoint(one.parents))


def describe_system_files(directories: Iterable[str | Path]) -> str:
  """Returns one sentence on hidden, system and accompanying files, '' if there are none.

  Example: `'4 hidden, system and accompanying files are not read: .DS_Store, Thumbs.db, a.tfw.'`.
  """
  unused = [one for one in list_unused(directories) if one.reason == SYSTEM]
  if not unused:
    return ''
  names = sorted({path.name for path in unused[0].paths})
  paths = unused[0].paths
  return (
    f'{len(paths)} hidden, system and accompanying {plural("file", paths)} {are(paths)} not read: '
    f'{listed(names, 6)}.'
  )
