"""Lists every installed package with its version and licence.

    python docs/make_dependencies.py docs/dependencies.md        # or: make dependencies

Lists the packages of requirements.txt and of the extras with their dependencies. Licences are those
in the metadata of the packages.
"""

from importlib import metadata
from pathlib import Path
import sys
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OWN = 'classmix-jax'
PARTS = {
  '': 'to train',
  'torch': 'to write weights as .pth',
  'labels': 'to convert labels',
  'hub': 'to download weights',
  'onnx': 'to export ONNX',
  'serve': 'to serve a page',
  'dev': 'to test',
}
HEAD = """# Dependencies

Every package that `pip install -e '.[{extras}]'` installs on Python {python} (Linux,
x86_64), as listed by `make dependencies`. The column *for* has the first part of the project that
requires the package: requirements.txt (to train) or an extra of pyproject.toml. Packages in
**bold** are required by name, the others by those. Licences are those in the packages' metadata.
The plugins of JAX in the extras `cuda` and `tpu` are not listed.

`make audit` compares the versions with the advisories that PyPI publishes (pip-audit); it needs the
network.

| package | version | licence | for |
|---|---|---|---|
"""


def read_requirements() -> dict[str, list[Requirement]]:
  """Returns the requirements of each part of `PARTS`."""
  lines = (ROOT / 'requirements.txt').read_text().splitlines()
  extras = tomllib.loads((ROOT / 'pyproject.toml').read_text())['project']['optional-dependencies']
  texts = {'': [line.partition('#')[0].strip() for line in lines], **extras}
  return {part: [Requirement(text) for text in texts[part] if text] for part in PARTS}


def is_needed(requirement: Requirement, extras: frozenset[str] = frozenset()) -> bool:
  """Returns whether a requirement applies on this machine, with these extras."""
  marker = requirement.marker
  return marker is None or any(marker.evaluate({'extra': extra}) for extra in extras or {''})


def add_package(requirement: Requirement, first_part: dict[str, str], part: str) -> None:
  """Adds a package and its requirements to `first_part`: name -> part that requires it first."""
  name = canonicalize_name(requirement.name)
  if name in first_part or name == OWN or not is_needed(requirement):
    return
  first_part[name] = part
  for text in metadata.requires(name) or ():
    inner = Requirement(text)
    if is_needed(inner, frozenset(requirement.extras)):
      inner.marker = None
      add_package(inner, first_part, part)


def read_licence(name: str) -> str:
  """Returns the licence in a package's metadata, in a few words."""
  about = metadata.metadata(name)
  expression = about.get('License-Expression')
  classifiers = [
    text.rpartition(' :: ')[2]
    for text in about.get_all('Classifier') or ()
    if text.startswith('License :: ') and not text.endswith('OSI Approved')
  ]
  free = (about.get('License') or '').strip().splitlines()
  free = [line for line in free[:1] if line != 'UNKNOWN']
  return expression or ', '.join(classifiers) or ''.join(free) or 'not stated'


def main(output: Path) -> None:
  parts = read_requirements()
  first_part: dict[str, str] = {}
  for part, requirements in parts.items():
    for requirement in requirements:
      add_package(requirement, first_part, part)
  named = {canonicalize_name(one.name) for part in parts.values() for one in part}
  rows = []
  for name in sorted(first_part):
    shown = f'**{name}**' if name in named else name
    rows.append(
      f'| {shown} | {metadata.version(name)} | {read_licence(name)} | {PARTS[first_part[name]]} |'
    )
  head = HEAD.format(extras=','.join(filter(None, PARTS)), python=sys.version.split()[0])
  output.write_text(head + '\n'.join(rows) + f'\n\n{len(rows)} packages.\n', encoding='utf-8')
  print(f'wrote {output}: {len(rows)} packages')


if __name__ == '__main__':
  main(Path(sys.argv[1]))
