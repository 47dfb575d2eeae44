"""Draws the figures of docs/how_it_works.md from a finished ClassMix run.

python docs/make_figures.py RUN docs/images

classmix.png      cut-outs, mixed images and labels of the student
masks.png         every mask of MASKS on the same two images
confidence.png    confident pixels of the teacher
predictions.png   validation images, ground truth, prediction, errors
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import jax  # noqa: E402
import ml_collections  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

import classmix_jax as cm  # noqa: E402
from classmix_jax.config.data import build_dataset, choose_split  # noqa: E402
from classmix_jax.utils.visualize import colorize, grid, overlay, to_bytes  # noqa: E402
from classmix_jax.workdir import run_files  # noqa: E402

WHITE, RED, GREY = np.uint8(255), np.array([220, 30, 30], np.uint8), np.uint8(225)
EXAMPLES = (22, 50, 65)  # unlabelled images of the scenes, in daylight and with large objects
COLORS = 160  # of the files, beside those of the classes: it makes them small


class Run:
  """Networks, images and palette of a run."""

  def __init__(self, run: Path):
    self.config = ml_collections.ConfigDict(run_files.read_json(run / 'config.json'))
    self.dataset = build_dataset(self.config)
    self.names, self.palette = self.dataset.class_names, self.dataset.palette
    self.teacher = cm.load(run, step='latest', network='teacher')
    self.student = cm.load(run, step='latest', network='student')

  def read_unlabeled(self, count: int) -> np.ndarray:
    """Returns unlabelled images `[count, H, W, 3]` uint8."""
    source = choose_split(self.config, self.dataset).unlabeled
    return np.stack([source.read_image(index % len(source)) for index in EXAMPLES[:count]])

  def tint(self, image: np.ndarray, label: np.ndarray) -> np.ndarray:
    return overlay(image, colorize(label, self.palette), opacity=0.65)

  def draw(self, rows, captions, path: Path, legend: bool = True) -> None:
    names, palette = (self.names, self.palette) if legend else ((), ())
    figure = grid([list(row) for row in rows], captions, names, palette)
    colors = figure.quantize(COLORS).getpalette()[: 3 * COLORS]
    table = Image.new('P', (1, 1))
    table.putpalette(np.ravel(self.palette).tolist() + colors)
    figure.quantize(palette=table, dither=Image.Dither.NONE).save(path, optimize=True)


def fade(image: np.ndarray) -> np.ndarray:
  return np.repeat(image.mean(axis=-1, keepdims=True) // 2 + 90, 3, axis=-1).astype(np.uint8)


def draw_random_masks(mask_name: str, labels: np.ndarray, num_classes: int) -> np.ndarray:
  keys = jax.random.split(jax.random.key(4), len(labels))
  mask = jax.vmap(cm.MASKS[mask_name], in_axes=(0, 0, None))
  return np.asarray(mask(keys, labels, num_classes))


def draw_classmix(run: Run, path: Path) -> None:
  """Draws a training step of ClassMix in its order."""
  images = run.read_unlabeled(3)
  labels = np.stack([prediction.label for prediction in run.teacher.predict_all(images)])
  masks = draw_random_masks('class', labels, len(run.names))
  mixed, mixed_labels = np.asarray(cm.mix(masks, images)), np.asarray(cm.mix(masks, labels))
  augmented = to_bytes(
    np.asarray(
      cm.strong_augment(
        jax.random.key(5),
        mixed / np.float32(255),
        jitter=run.config.method.jitter,
        blur=run.config.method.blur,
      )
    )
  )
  answers = [prediction.label for prediction in run.student.predict_all(augmented)]
  rows = [
    (
      image,
      run.tint(image, label),
      np.where(mask[..., None], image, WHITE),
      changed,
      colorize(target, run.palette),
      colorize(answer, run.palette),
    )
    for image, label, mask, changed, target, answer in zip(
      images, labels, masks, augmented, mixed_labels, answers, strict=True
    )
  ]
  run.draw(
    rows,
    (
      'unlabelled image',
      'what the teacher sees',
      'half of these classes ...',
      '... on the next image, jittered',
      'mixed pseudo-label',
      'the answer of the student',
    ),
    path,
  )


def draw_masks(run: Run, path: Path) -> None:
  """Draws one image, pasted on the next by every mask."""
  images = run.read_unlabeled(2)
  labels = np.stack([prediction.label for prediction in run.teacher.predict_all(images)])
  columns = []
  for name in cm.MASKS:
    mask = draw_random_masks(name, labels, len(run.names))
    columns.append(
      (
        np.where(mask[0][..., None], WHITE, np.uint8(40)).repeat(3, axis=-1),
        np.asarray(cm.mix(mask, images))[0],
      )
    )
  run.draw(zip(*columns, strict=True), list(cm.MASKS), path, legend=False)


def draw_confidence(run: Run, path: Path) -> None:
  """Draws the confident pixels of the teacher and their fraction."""
  threshold, rows = run.config.method.threshold, []
  images = run.read_unlabeled(2)
  for image, (label, confidence) in zip(images, run.teacher.predict_all(images), strict=True):
    counted = np.where((confidence >= threshold)[..., None], colorize(label, run.palette), GREY)
    rows.append(
      (
        image,
        colorize(label, run.palette),
        np.repeat(to_bytes(confidence)[..., None], 3, axis=-1),
        counted,
      )
    )
  run.draw(
    rows,
    ('unlabelled image', 'pseudo-label', 'confidence (white: 1)', f'at least {threshold:g}'),
    path,
  )


def draw_predictions(run: Run, path: Path) -> None:
  """Draws predictions of the headline network on validation images."""
  val, rows = run.dataset.val, []
  network = run.teacher if run.config.eval_network == 'teacher' else run.student
  for index in np.linspace(0, len(val) - 1, 3).astype(int):
    image, truth = val.read_image(index), val.read_label(index)
    label = network.predict(image).label
    wrong = ((label != truth) & (truth != cm.VOID))[..., None]
    rows.append(
      (
        image,
        colorize(truth, run.palette),
        colorize(label, run.palette),
        np.where(wrong, RED, fade(image)),
      )
    )
  run.draw(rows, ('validation image', 'truth', 'prediction', 'errors'), path)


def main(path: Path, directory: Path) -> None:
  run = Run(path)
  directory.mkdir(parents=True, exist_ok=True)
  draw_classmix(run, directory / 'classmix.png')
  draw_masks(run, directory / 'masks.png')
  draw_confidence(run, directory / 'confidence.png')
  draw_predictions(run, directory / 'predictions.png')


if __name__ == '__main__':
  main(Path(sys.argv[1]), Path(sys.argv[2]))
