"""Finds the image files below a directory.

Synopsis:

    find_images('images')    # {'city/a': Path('images/city/a.png'), ...}
"""

from collections.abc import Iterable, Iterator
import os
from pathlib import Path
import unicodedata

from classmix_jax.data.files.findings import Finding, add_findings
from classmix_jax.errors import UserError
from classmix_jax.utils.paths import is_within

EXTENSIONS = ('.png', '.jpg', '.jpeg', '.bmp', '.tif', '.tiff', '.webp')


def find_images(directory: str | Path) -> dict[str, Path]:
  """Returns name -> path of all images below a directory, sorted by name.

  The name is the path relative to `directory` without its extension, with '/' and in the Unicode
  form NFC (archives made on a Mac decompose accents). Links are followed; hidden files are not.

  Raises:
    UserError: two files have the same name, as a.png and a.jpg; a name has control characters or
      is not UTF-8, so that it could not be written to a list of names.

  Example: `find_images('images')` has `'city/a'` for `images/city/a.PNG`.
  """
  return name_images(image_paths(directory), directory)


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


def image_paths(directory: str | Path) -> Iterator[Path]:
  """Yields the image files below a directory; follows links, but not in circles."""
  ancestors: dict[str, tuple[str, ...]] = {
    os.fspath(directory): (os.path.realpath(directory),)
  }  # real path of each ancestor
  for parent, directories, files in os.walk(directory, followlinks=True):
    chain, entered = ancestors.pop(parent), []
    for name in directories:
      path = os.path.join(parent, name)
      real = os.path.realpath(path)
      # A link to an ancestor would yield every image again and again.
      is_loop = any(is_within(ancestor, real) for ancestor in chain)
      if not is_loop and not name.startswith(('.', '__MACOSX')):
        ancestors[path] = (*chain, real)
        entered.append(name)
    directories[:] = entered  # os.walk enters these only
    for file in files:
      if file.lower().endswith(EXTENSIONS) and not file.startswith('.'):
        yield Path(parent, file)
