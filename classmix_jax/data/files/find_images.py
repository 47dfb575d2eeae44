"""Finds the image files below a directory.

Synopsis:

    find_images('images')    # {'city/a': Path('images/city/a.png'), ...}
"""

from collections.abc import Collection, Iterable, Iterator
import functools
import importlib.util
from pathlib import Path
import unicodedata

from PIL import features

from classmix_jax.data.files.directory_walk import find_results, is_system_file, walk_directory
from classmix_jax.data.files.findings import Finding, add_findings
from classmix_jax.errors import UserError

HEIF_EXTENSIONS = ('.heic', '.heif', '.hif')
EXTENSIONS = (
  '.png', '.jpg', '.jpeg', '.jpe', '.jfif', '.tif', '.tiff', '.bmp', '.webp', '.gif',
  '.ppm', '.pgm', '.pbm', '.pnm', '.jp2', '.j2k', '.avif', *HEIF_EXTENSIONS,
)  # fmt: skip


@functools.cache
def readable_extensions() -> tuple[str, ...]:
  """Returns the extensions of files that the installed libraries read.

  HEIC needs `pip install 'classmix_jax[heic]'`, AVIF a Pillow that was built with it.
  """
  missing: set[str] = set()
  if importlib.util.find_spec('pillow_heif') is None:
    missing |= set(HEIF_EXTENSIONS)
  if not features.check('avif'):
    missing.add('.avif')
  return tuple(extension for extension in EXTENSIONS if extension not in missing)


def find_images(
  directory: str | Path, exclude: Collection[Path] = (), *, without_results: bool = False
) -> dict[str, Path]:
  """Returns name -> path of all images below a directory, sorted by name.

  The name is the path relative to `directory` without its extension, with '/' and in the Unicode
  form NFC (archives made on a Mac decompose accents). Links are followed; hidden files, thumbnails
  and directories with results of our programs are left out: `unused.py` counts and names them.

  Args:
    directory: the directory.
    exclude: directories below it that are left out.
    without_results: whether to leave out NAME.png, NAME_overlay.png and NAME_confidence.png, which
      predict has written beside the images.

  Raises:
    UserError: two files have the same name, as a.png and a.jpg; a name has control characters or
      is not UTF-8, so that it could not be written to a list of names.

  Example: `find_images('images')` has `'city/a'` for `images/city/a.PNG`.
  """
  return name_images(image_paths(directory, exclude, without_results=without_results), directory)


def name_images(files: Iterable[Path], directory: str | Path) -> dict[str, Path]:
  """Returns name -> path of images below a directory, sorted by name, as `find_images`.

  Example: `name_images([Path('a/b.png')], 'a') == {'b': Path('a/b.png')}`.
  """
  paths: dict[str, Path] = {}
  for path in sorted(files):
    name = image_name(path, directory)
    if name not in paths:
      paths[name] = path
      continue
    sentence = f"{paths[name]} and {path} both have the name '{name}': rename one of them."
    if not add_findings([Finding(str(paths[name]), sentence, 'files of the same name')]):
      raise UserError(sentence)
  return dict(sorted(paths.items()))


def find_unpacked_images(directory: Path, archive: str) -> dict[str, Path]:
  """Returns `find_images` of a directory that an archive unpacks to.

  Raises:
    UserError: as `find_images`; or there are no images, and the archive is to be unpacked again.
  """
  images = find_images(directory)
  if not images:
    raise UserError(f'{directory} holds no images. Unpack {archive} there again.')
  return images


def image_name(path: Path, directory: str | Path) -> str:
  """Returns the name of an image, see `find_images`; raises UserError if it cannot be written.

  Example: `image_name(Path('images/city/a.PNG'), 'images') == 'city/a'`.
  """
  name = path.relative_to(directory).with_suffix('').as_posix()
  # Python decodes bytes that are not UTF-8 as surrogates, 0xD800 to 0xDFFF.
  if any(ord(letter) < 32 or 0xD800 <= ord(letter) < 0xE000 for letter in name):
    raise UserError(
      f'{str(path)!r} has a name with control characters, or in another encoding than UTF-8: '
      'rename it.'
    )
  return unicodedata.normalize('NFC', name)


def image_paths(
  directory: str | Path, exclude: Collection[Path] = (), *, without_results: bool = False
) -> Iterator[Path]:
  """Yields the image files below a directory; the arguments are those of `find_images`."""
  for folder in walk_directory(directory, exclude):
    results = find_results(folder.files) if without_results else ()
    for file in folder.files:
      if is_image_name(file) and file not in results:
        yield folder.path / file


def is_image_name(name: str) -> bool:
  """Returns whether a file has the extension of an image that is read, and is not hidden."""
  return name.lower().endswith(readable_extensions()) and not is_system_file(name)
