"""Versions of this package, of Python and of the libraries that decide a result."""

from importlib import metadata
import platform

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'tensorflow-cpu', 'tensorflow')


def installed_version(package: str) -> str | None:
  """Returns the version of a distribution, None if it is not installed."""
  try:
    return metadata.version(package)
  except metadata.PackageNotFoundError:
    return None


def list_versions() -> dict[str, str]:
  """Returns name -> version of this package, Python, and the libraries that are installed.

  Example: `list_versions()['python']` is `3.11.2 (Linux-6.1-x86_64)`.
  """
  from classmix_jax import __version__

  versions = {package: installed_version(package) for package in PACKAGES}
  return {
    'classmix-jax': __version__,
    'python': f'{platform.python_version()} ({platform.platform()})',
    **{package: version for package, version in versions.items() if version},
  }
