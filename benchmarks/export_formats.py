"""Writes networks in every format, and compares each file with JAX on real frames.

    python benchmarks/export_formats.py --frames=DIR [--networks=tiny+unet,...] [--count=20]
        [--output=benchmarks/results/export_formats.json]

DIR has images, such as CamVid's val/. The first `count` in equal distances are resized to 360x480
and to 271x361. Networks have random weights, and BN statistics other than 0 and 1. For every
network and format the program prints the largest difference of logits relative to the largest
logit, the share of pixels with another class, and the milliseconds of an image of 360x480 on this
CPU. A file that cannot be written or run is listed with the reason. Networks that are in the output
already are skipped.
"""

import argparse
import json
import os
from pathlib import Path
import sys
import tempfile

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ['JAX_PLATFORMS'] = 'cpu'

import json_file  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402
from provenance import provenance  # noqa: E402
from random_network import build_trained  # noqa: E402

from classmix_jax.errors import UserError  # noqa: E402
from classmix_jax.inference.export.formats import FORMATS, Job, write_format  # noqa: E402
from classmix_jax.inference.export.network import exported_network  # noqa: E402
from classmix_jax.inference.export.self_test import compare, predict_images, run_file  # noqa: E402

SIZES = ((360, 480), (271, 361))
CLASSES = tuple(f'class {index}' for index in range(11))
# Every backbone and every head at least once.
NETWORKS = (
  *('tiny+conv3x3', 'tiny+unet', 'tiny+unet_small', 'tiny+fpn', 'tiny+fpn_small', 'tiny+linear'),
  *('efficientnet_lite0+deeplab_v3plus_small', 'efficientnet_lite0+unet_small'),
  *('resnet18+deeplab_v2', 'resnet34+deeplab_v2_four_branches', 'resnet18_tv+unet'),
  *('resnet34_tv+fpn', 'dinov2_small+linear', 'dinov2_small+refine', 'dinov2_small+dpt_small'),
  *('dinov2_small_reg4+dpt_small', 'resnet50+deeplab_v2', 'resnet50_tv+deeplab_v3plus'),
  *('resnet50_deep+deeplab_v3plus', 'resnet101+deeplab_v2', 'resnet101_tv+unet'),
  *('resnet101_deep+deeplab_v3plus', 'dinov2_base+dpt_base', 'dinov2_base_reg4+linear'),
  *('dinov2_large+dpt_large', 'dinov2_large_reg4+linear'),
)


def parse() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--frames', required=True, help='directory of images')
  parser.add_argument('--networks', default=','.join(NETWORKS), help='BACKBONE+HEAD,...')
  parser.add_argument('--count', type=int, default=20, help='number of frames')
  parser.add_argument('--formats', default=','.join(FORMATS), help='names of formats')
  parser.add_argument('--output', default='', help='JSON file, to which networks are added')
  return parser.parse_args()


def read_frames(directory: str, count: int) -> dict[str, np.ndarray]:
  """Returns frames of both sizes, each alone, by name."""
  files = sorted(path for path in Path(directory).iterdir() if path.suffix in ('.png', '.jpg'))
  chosen = [files[index] for index in np.linspace(0, len(files) - 1, count).astype(int)]
  frames = {}
  for height, width in SIZES:
    for path in chosen:
      image = Image.open(path).convert('RGB').resize((width, height), Image.Resampling.BILINEAR)
      frames[f'{height}x{width} {path.stem}'] = np.asarray(image)[None]
  return frames


def measure(name: str, formats: list[str], frames: dict[str, np.ndarray]) -> dict[str, dict]:
  """Returns the result of each format."""
  trained = build_trained(*name.split('+'), class_names=CLASSES)
  expected = predict_images(trained, frames)
  job = Job(exported_network(trained, ('label', 'logits')), 'float32', SIZES)
  results: dict[str, dict] = {'jax': {'ms': round(1e3 * float(expected['seconds'].min()), 1)}}
  for kind in formats:
    with tempfile.TemporaryDirectory() as directory:
      try:
        path = write_format(kind, job, Path(directory))
        check = compare(*run_file(kind, path, frames), expected)
      except UserError as error:
        results[kind] = {'reason': str(error)}
        print(f'{name:40} {kind:10} {error}', flush=True)
        continue
    results[kind] = {
      'difference': check.difference,
      'pixels': check.pixels,
      'ms': round(check.milliseconds, 1),
      'library': check.library,
    }
    print(
      f'{name:40} {kind:10} {check.difference:.1e} {100 * check.pixels:.4f} % '
      f'{check.milliseconds:6.0f} ms (JAX {results["jax"]["ms"]:.0f})',
      flush=True,
    )
  return results


def main() -> None:
  arguments = parse()
  frames = read_frames(arguments.frames, arguments.count)
  path = Path(arguments.output)
  results = json.loads(path.read_text()) if path.is_file() else {'networks': {}}
  for name in arguments.networks.split(','):
    if name in results['networks']:
      continue
    measured = measure(name, arguments.formats.split(','), frames)
    results['networks'][name] = {'frames': arguments.count, **measured}
    results |= {'sizes': SIZES, **provenance('jax', 'onnx', 'onnxruntime')}
    json_file.write(arguments.output, results)


if __name__ == '__main__':
  main()
