"""Draws the pictures of the docs from a finished run.

    python docs/make_figures.py RUN docs/images/classmix.png

Rows: unlabelled images, what they were mixed to, the mixed pseudo-label, and
what the student answers.
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax  # noqa: E402
import ml_collections  # noqa: E402

from classmix_jax import build, checkpoint, rundir  # noqa: E402
from classmix_jax.experiment import make_views, open_streams, view_images  # noqa: E402
from classmix_jax.pictures import grid  # noqa: E402
from classmix_jax.types import TrainState  # noqa: E402

COLUMNS = ('unlabeled', 'mixed', 'mixed_pseudo_label', 'mixed_prediction')


def main(run: Path, output: Path) -> None:
  config = ml_collections.ConfigDict(rundir.read_json(run / 'config.json'))
  dataset = build.build_dataset(config)
  split = build.build_split(config, dataset)
  devices = jax.local_devices()[:1]
  method = build.build_method(config, len(dataset.class_names))
  batch = next(open_streams(config, split, devices)(7, 8))
  _, saved = checkpoint.load(run, 'latest')
  views = view_images(make_views(method, devices, batch)(TrainState(**saved)), dataset)
  rows = zip(*(views[f'train/{name}'] for name in COLUMNS), strict=True)
  names = [name.replace('_', ' ') for name in COLUMNS]
  output.parent.mkdir(parents=True, exist_ok=True)
  grid(list(rows), names, dataset.class_names, dataset.palette).save(output)


if __name__ == '__main__':
  main(Path(sys.argv[1]), Path(sys.argv[2]))
