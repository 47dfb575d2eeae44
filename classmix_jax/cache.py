"""Where prepared data is kept when the user names no folder."""

import os
from pathlib import Path


def cache_root() -> Path:
  """Returns `classmix_jax` in the user's cache folder (`$XDG_CACHE_HOME`, or else `~/.cache`)."""
  cache = os.environ.get('XDG_CACHE_HOME', '')
  return (Path(cache) if cache else Path.home() / '.cache') / 'classmix_jax'
