"""Installs what a hosted runtime such as Colab lacks, beside the JAX for its accelerator.

    python launch/fit_runtime.py

JAX and what belongs to it stay as they are, and TensorFlow, which only reads data here, becomes the
build that knows no accelerator. Needs nothing of what it installs.
"""

from collections.abc import Callable, Iterable, Sequence
import importlib
from importlib import metadata
from pathlib import Path
import subprocess
import sys

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
KEPT = ('jax', 'jaxlib', 'libtpu', 'numpy')  # and plugins of JAX
ANNOUNCED = ('jax', 'jaxlib', 'flax', 'numpy', 'tensorflow-cpu')


def installed(name: str) -> str:
  """Returns a package's version, '' where it is missing."""
  try:
    return metadata.version(name)
  except metadata.PackageNotFoundError:
    return ''


def requirements(text: str) -> list[Requirement]:
  """Reads a requirements file, without what other platforms need.

  Example:
    >>> [str(found) for found in requirements("a>=1  # why\\nb; sys_platform == 'none'")]
    ['a>=1']
  """
  lines = (line.partition('#')[0].strip() for line in text.splitlines())
  found = [Requirement(line) for line in lines if line]
  return [one for one in found if one.marker is None or one.marker.evaluate()]


def lacking(
  wanted: Sequence[Requirement], version: Callable[[str], str] = installed
) -> list[Requirement]:
  """Returns what is missing or of another version; ends where that is JAX or NumPy."""
  found = [
    one for one in wanted if not version(one.name) or not one.specifier.contains(version(one.name))
  ]
  for one in found:
    if one.name in KEPT:
      print(
        f'error: this runtime has {one.name} {version(one.name) or "not at all"}, but {one} is '
        'needed: choose another version of the runtime, or install it for this accelerator '
        'first.',
        file=sys.stderr,
      )
      sys.exit(2)
  return found


def pip_commands(
  missing: Sequence[Requirement], packages: Iterable[tuple[str, str]]
) -> list[list[str]]:
  """Returns what pip is to be told, one list of arguments for each call.

  Args:
    missing: what is to be installed.
    packages: (name, version) of all that is installed.
  """
  versions = {name.lower().replace('_', '-'): version for name, version in packages}
  pins = sorted(
    f'{name}=={version}'
    for name, version in versions.items()
    if name in KEPT or name.startswith('jax-')
  )
  commands = []
  # Both builds are the same files: the other one would take them along when it goes.
  if 'tensorflow' in versions and any(one.name == 'tensorflow-cpu' for one in missing):
    commands.append(['uninstall', '--yes', 'tensorflow'])
  if missing:
    plain = [f'{one.name}{one.specifier}' for one in missing]
    commands.append(['install', '--quiet', *plain, *pins])
  return commands


def main() -> None:
  wanted = requirements((ROOT / 'requirements.txt').read_text(encoding='utf-8'))
  packages = [(found.metadata['Name'], found.version) for found in metadata.distributions()]
  for arguments in pip_commands(lacking(wanted), packages):
    print('pip', *arguments, flush=True)
    subprocess.run([sys.executable, '-m', 'pip', *arguments], check=True)
  importlib.invalidate_caches()
  print(*(f'{name} {installed(name)}' for name in ANNOUNCED), sep=', ', flush=True)
  # In a process of its own, which lets the accelerator go again.
  subprocess.run([sys.executable, '-c', 'import jax; print(*jax.devices())'], check=True)


if __name__ == '__main__':
  main()
