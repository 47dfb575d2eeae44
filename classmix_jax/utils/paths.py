"""The cache directory, and paths that stay inside a directory."""

import os
from pathlib import Path

from classmix_jax.errors import UserError


def cache_root() -> Path:
  """Returns `classmix_jax` in the user's cache directory, `$XDG_CACHE_HOME` or `~/.cache`."""
  cache = os.environ.get('XDG_CACHE_HOME', '')
  return (Path(cache) if cache else Path.home() / '.cache') / 'classmix_jax'


def is_within(path: str, directory: str) -> bool:
  """Returns whether a real path is a directory or something below it.

  Example: `is_within('/a/b', '/a')` and not `is_within('/ab', '/a')`.
  """
  return path == directory or path.startswith(directory.rstrip(os.sep) + os.sep)


def inside(directory: Path, name: str) -> Path:
  """Returns the path of a result with this name below a directory.

  Raises:
    UserError: the path would be outside: the name is absolute or has '..', or a directory on the
      path is a link.

  Example: `inside(Path('OUT'), 'city/a.png')` is `OUT/city/a.png`.
  """
  path = directory / name
  if Path(name).is_absolute() or '..' in Path(name).parts:
    raise UserError(f'the name {name!r} leads out of {directory}: rename the image.')
  if not is_within(os.path.realpath(path.parent), os.path.realpath(directory)):
    raise UserError(
      f'{path.parent} is a link that leads out of {directory}: remove it, or choose another '
      'directory.'
    )
  return path
