"""Where prepared data is kept when the user names no folder."""

import os
from pathlib import Path

from classmix_jax.errors import UserError


def cache_root() -> Path:
  """Returns `classmix_jax` in the user's cache folder (`$XDG_CACHE_HOME`, or else `~/.cache`)."""
  cache = os.environ.get('XDG_CACHE_HOME', '')
  return (Path(cache) if cache else Path.home() / '.cache') / 'classmix_jax'


def _within(path: str, folder: str) -> bool:
  return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def inside(folder: Path, name: str) -> Path:
  """Returns the path of a result of this name below a folder, which nothing may leave.

  Raises:
    UserError: the name is absolute or has '..', or a link on the way leads out of the folder.

  Example: `inside(Path('OUT'), 'city/a.png')` is `OUT/city/a.png`.
  """
  path = folder / name
  if Path(name).is_absolute() or '..' in Path(name).parts:
    raise UserError(f'the name {name!r} leads out of {folder}: rename the picture.')
  if not _within(os.path.realpath(path.parent), os.path.realpath(folder)):
    raise UserError(
      f'{path.parent} is a link that leads out of {folder}: remove it, or choose another folder.'
    )
  return path
