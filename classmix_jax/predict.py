"""Predicts images of any size with a trained run.

Synopsis:

    predictor = load_predictor(Path('RUN'))
    label = predictor(image)          # uint8 [H, W, 3] -> uint8 [H, W]
"""

from collections.abc import Callable, Mapping
import dataclasses
import json
from pathlib import Path

import jax
import ml_collections
import numpy as np
from PIL import Image

from classmix_jax import build, rundir
from classmix_jax.datasets.pairs import find_images
from classmix_jax.datasets.reading import read_image
from classmix_jax.evaluate import predict
from classmix_jax.evaluator import headline_network
from classmix_jax.networks import load_networks
from classmix_jax.pictures import colorize, overlay
from classmix_jax.protocols import PROTOCOLS
from classmix_jax.types import Array, PyTree, UserError

MULTIPLE = 32  # sizes are padded to multiples of this, so that few shapes are compiled


@dataclasses.dataclass(frozen=True)
class Predictor:
  """A trained network, ready for images.

  Attributes:
    apply: jitted `(variables, image [1, h, w, 3], valid [1, H, W]) -> class ids [1, H, W]`.
    variables: of the network.
    size: (H, W) at which the network sees images, None for the image's own.
    pad: (H, W) to which smaller images are padded then, None for the nearest multiple.
    class_names: name of class 0, 1, ...
    palette: one RGB triple per class.
  """

  apply: Callable
  variables: PyTree
  size: tuple[int, int] | None
  pad: tuple[int, int] | None
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]

  def __call__(self, image: np.ndarray) -> np.ndarray:
    """Maps an image `[H, W, 3]` uint8 RGB to class ids `[H, W]` uint8.

    The image is brought to the size of the training images and logits come back
    to [H, W], or it is padded at the bottom and right like validation images.
    """
    height, width = image.shape[:2]
    frame = self.pad
    if frame is None or height > frame[0] or width > frame[1]:
      frame = (height + -height % MULTIPLE, width + -width % MULTIPLE)
    padding = [(0, frame[0] - height), (0, frame[1] - width)]
    valid = np.pad(np.ones((height, width), bool), padding)
    if self.size is not None:
      seen = Image.fromarray(image).resize(self.size[::-1], Image.Resampling.BILINEAR)
    else:
      seen = np.pad(image, [*padding, (0, 0)])
    label = self.apply(self.variables, np.asarray(seen)[None], valid[None])
    return np.asarray(label[0, :height, :width], np.uint8)


def load_predictor(run: Path, *, step: str = 'best', network: str = '') -> Predictor:
  """Restores a run for prediction; the run's folder alone is enough.

  It predicts as the run is evaluated, windows, flip and scales included; where
  the run scores at its working size, logits are enlarged as in the protocol `full`.

  Args:
    run: the run's folder.
    step: 'latest', 'best' or a step.
    network: 'student' or 'teacher'; '' is the config's `eval_network`.

  Raises:
    UserError: no such run, checkpoint or network.
  """
  config = ml_collections.ConfigDict(rundir.read_json(run / 'config.json'))
  classes = rundir.read_json(run / 'classes.json')
  _, networks = load_networks(run, step)
  name = headline_network(network or config.eval_network, networks)
  model = build.build_model(config, len(classes['names']))
  protocol = build.build_protocol(config)
  size = None if PROTOCOLS[protocol.name].native_image else tuple(config.data.size) or None
  if size is not None:
    protocol = dataclasses.replace(protocol, name='full')

  @jax.jit
  def apply(variables: PyTree, image: Array, valid: Array) -> Array:
    return predict(model, variables, image, valid, protocol).argmax(axis=-1)

  return Predictor(
      apply=apply, variables=networks[name], size=size,
      pad=protocol.pad if protocol.name == 'paper' else None,
      class_names=tuple(classes['names']), palette=tuple(map(tuple, classes['palette'])))


def input_images(source: Path) -> Mapping[str, Path]:
  """Returns the images below a folder, or the one image, by name.

  Raises:
    UserError: there is none.
  """
  if source.is_file():
    return {source.stem: source}
  images = find_images(source) if source.is_dir() else {}
  if not images:
    raise UserError(f'--input={source} is neither an image nor a folder with images.')
  return images


def predict_images(run: Path, source: Path, output: Path, *, step: str, network: str) -> None:
  """Writes NAME.png (class ids) and NAME_overlay.png for every image; launch/predict.py.

  An image that cannot be read is reported at the end; the others are finished.

  Raises:
    UserError: no such run or input, or images that could not be read.
  """
  images = input_images(source)
  predictor = load_predictor(run, step=step, network=network)
  failures = []
  for done, (name, path) in enumerate(images.items(), start=1):
    try:
      image = read_image(path)
    except UserError as error:
      failures.append(str(error))
      continue
    label = predictor(image)
    target = output / f'{name}.png'
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(label).save(target)
    shown = overlay(image, colorize(label, predictor.palette))
    Image.fromarray(shown).save(target.with_name(f'{target.stem}_overlay.png'))
    if done % 50 == 0 or done == len(images):
      print(f'{done}/{len(images)} images', flush=True)
  classes = dict(enumerate(predictor.class_names))
  (output / 'classes.json').write_text(json.dumps(classes, indent=2) + '\n', encoding='utf-8')
  print(f'wrote class ids, overlays and classes.json to {output}')
  if failures:
    raise UserError(f'{len(failures)} of {len(images)} images were left out: {failures[0]}')
