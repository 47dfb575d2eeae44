"""Installs the packages that a hosted runtime such as Colab lacks.

    python launch/fit_runtime.py

Keeps the runtime's JAX, which fits its accelerator, and replaces TensorFlow, which only reads data
here, by the build for CPUs. Imports nothing but the standard library and packaging.
"""

from collections.abc import Callable, Iterable, Sequence
import importlib
from importlib import metadata
from pathlib import Path
import subprocess
import sys

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PINNED = ('jax', 'jaxlib', 'libtpu', 'numpy')  # and plugins of JAX
PRINTED = ('jax', 'jaxlib', 'flax', 'numpy', 'tensorflow-cpu')


def installed_version(name: str) -> str:
  """Returns a package's version, '' if it is not installed."""
  try:
    return metadata.version(name)
  except metadata.PackageNotFoundError:
    return ''


def parse_requirements(text: str) -> list[Requirement]:
  """Parses a requirements file; leaves out requirements of other platforms.

  Example:
    >>> [str(requirement) for requirement in parse_requirements("a>=1  # why\\nb; os_name == 'x'")]
    ['a>=1']
  """
  lines = (line.partition('#')[0].strip() for line in text.splitlines())
  requirements = [Requirement(line) for line in lines if line]
  return [item for item in requirements if item.marker is None or item.marker.evaluate()]


def find_unmet(
  requirements: Sequence[Requirement], version: Callable[[str], str] = installed_version
) -> list[Requirement]:
  """Returns the requirements that the installed packages do not meet.

  Prints an error and exits with status 2 if JAX or NumPy is among them.
  """
  unmet = [
    item
    for item in requirements
    if not version(item.name) or not item.specifier.contains(version(item.name))
  ]
  for item in unmet:
    if item.name in PINNED:
      current = f'{item.name} {version(item.name)}' if version(item.name) else f'no {item.name}'
      print(
        f'error: this runtime has {current}, but {item} is required; choose another version of '
        'the runtime, or install it for this accelerator first.',
        file=sys.stderr,
      )
      sys.exit(2)
  return unmet


def pip_commands(
  unmet: Sequence[Requirement], packages: Iterable[tuple[str, str]]
) -> list[list[str]]:
  """Returns the arguments of each call of pip.

  Args:
    unmet: the requirements to install.
    packages: (name, version) of every installed package.
  """
  versions = {name.lower().replace('_', '-'): version for name, version in packages}
  pins = sorted(
    f'{name}=={version}'
    for name, version in versions.items()
    if name in PINNED or name.startswith('jax-')
  )
  commands = []
  # Both builds install the same files, so uninstalling one later would break the other.
  if 'tensorflow' in versions and any(item.name == 'tensorflow-cpu' for item in unmet):
    commands.append(['uninstall', '--yes', 'tensorflow'])
  if unmet:
    plain = [f'{item.name}{item.specifier}' for item in unmet]
    commands.append(['install', '--quiet', *plain, *pins])
  return commands


def main() -> None:
  requirements = parse_requirements((ROOT / 'requirements.txt').read_text(encoding='utf-8'))
  packages = [(item.metadata['Name'], item.version) for item in metadata.distributions()]
  for arguments in pip_commands(find_unmet(requirements), packages):
    print('pip', *arguments, flush=True)
    subprocess.run([sys.executable, '-m', 'pip', *arguments], check=True)
  importlib.invalidate_caches()
  print(*(f'{name} {installed_version(name)}' for name in PRINTED), sep=', ', flush=True)
  # A process of its own: it releases the accelerator when it ends.
  subprocess.run([sys.executable, '-c', 'import jax; print(*jax.devices())'], check=True)


if __name__ == '__main__':
  main()
