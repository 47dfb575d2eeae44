"""Lists versions and devices, for bug reports."""

from importlib import metadata
import platform

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'tensorflow-cpu', 'tensorflow')


def installed_version(package: str) -> str | None:
  """Returns the version of a distribution, None if it is not installed."""
  try:
    return metadata.version(package)
  except metadata.PackageNotFoundError:
    return None


def describe_versions() -> str:
  """Returns a line each for this package, Python, the libraries and the devices of JAX."""
  import jax

  from classmix_jax import __version__

  versions = {package: installed_version(package) for package in PACKAGES}
  devices = jax.local_devices()
  lines = {
    'classmix-jax': __version__,
    'python': f'{platform.python_version()} ({platform.platform()})',
    **{package: version for package, version in versions.items() if version},
    'devices': f'{len(devices)} x {devices[0].device_kind}',
  }
  return '\n'.join(f'{name} {value}' for name, value in lines.items())
