"""Lists versions and devices, for bug reports."""

from classmix_jax.utils.versions import list_versions


def describe_versions() -> str:
  """Returns a line each for this package, Python, the libraries and the devices of JAX."""
  import jax

  devices = jax.local_devices()
  lines = {**list_versions(), 'devices': f'{len(devices)} x {devices[0].device_kind}'}
  return '\n'.join(f'{name} {value}' for name, value in lines.items())
