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
from classmix_jax.workdir import layout  # noqa: E402

WHITE, RED, GREY = np.uint8(255), np.array([220, 30, 30], np.uint8), np.uint8(225)
EXAMPLES = (22, 50, 65)  # unlabelled images of the scenes, in daylight and with large objects
COLORS = 160  # of the files, beside those of the classes: it makes them small


class Shown:
  """Networks, images and palette of a run."""

  def __init__(self, run: Path):
    self.config = ml_collections.ConfigDict(layout.read_json(run / 'config.json'))
    self.dataset = build_dataset(self.config)
    self.names, self.palette = self.dataset.class_names, self.dataset.palette
    self.teacher = cm.load(run, step='latest', network='teacher')
    self.student = cm.load(run, step='latest', network='student')

  def unlabeled(self, count: int) -> np.ndarray:
    """`[count, H, W, 3]` uint8."""
    source = choose_split(self.config, self.dataset).unlabeled
    return np.stack([source.read_image(index % len(source)) for index in EXAMPLES[:count]])

  def tinted(self, image: np.ndarray, label: np.ndarray) -> np.ndarray:
    return overlay(image, colorize(label, self.palette), opacity=0.65)

  def draw(self, rows, captions, path: Path, legend: bool = True) -> None:
    names, palette = (self.names, self.palette) if legend else ((), ())
    picture = grid([list(row) for row in rows], captions, names, palette)
    colors = picture.quantize(COLORS).getpalette()[: 3 * COLORS]
    table = Image.new('P', (1, 1))
    table.putpalette(np.ravel(self.palette).tolist() + colors)
    picture.quantize(palette=table, dither=Image.Dither.NONE).save(path, optimize=True)


def faded(image: np.ndarray) -> np.ndarray:
  return np.repeat(image.mean(axis=-1, keepdims=True) // 2 + 90, 3, axis=-1).astype(np.uint8)


def masks_of(mask_name: str, labels: np.ndarray, num_classes: int) -> np.ndarray:
  keys = jax.random.split(jax.random.key(4), len(labels))
  mask = jax.vmap(cm.MASKS[mask_name], in_axes=(0, 0, None))
  return np.asarray(mask(keys, labels, num_classes))


def classmix(shown: Shown, path: Path) -> None:
  """Draws a training step of ClassMix in its order."""
  images = shown.unlabeled(3)
  labels = np.stack([found.label for found in shown.teacher.predict_all(images)])
  mask = masks_of('class', labels, len(shown.names))
  mixed, mixed_label = np.asarray(cm.mix(mask, images)), np.asarray(cm.mix(mask, labels))
  augmented = to_bytes(
    np.asarray(
      cm.strong_augment(
        jax.random.key(5),
        mixed / np.float32(255),
        jitter=shown.config.method.jitter,
        blur=shown.config.method.blur,
      )
    )
  )
  answers = [found.label for found in shown.student.predict_all(augmented)]
  color = lambda label: colorize(label, shown.palette)
  rows = [
    (
      image,
      shown.tinted(image, label),
      np.where(kept[..., None], image, WHITE),
      changed,
      color(wanted),
      color(answer),
    )
    for image, label, kept, changed, wanted, answer in zip(
      images, labels, mask, augmented, mixed_label, answers, strict=True
    )
  ]
  shown.draw(
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


def every_mask(shown: Shown, path: Path) -> None:
  """Draws one image, pasted on the next by every mask."""
  images = shown.unlabeled(2)
  labels = np.stack([found.label for found in shown.teacher.predict_all(images)])
  columns = []
  for name in cm.MASKS:
    mask = masks_of(name, labels, len(shown.names))
    columns.append(
      (
        np.where(mask[0][..., None], WHITE, np.uint8(40)).repeat(3, axis=-1),
        np.asarray(cm.mix(mask, images))[0],
      )
    )
  shown.draw(zip(*columns, strict=True), list(cm.MASKS), path, legend=False)


def confidence(shown: Shown, path: Path) -> None:
  """Draws the confident pixels of the teacher and their fraction."""
  threshold, rows = shown.config.method.threshold, []
  images = shown.unlabeled(2)
  for image, (label, sure) in zip(images, shown.teacher.predict_all(images), strict=True):
    counted = np.where((sure >= threshold)[..., None], colorize(label, shown.palette), GREY)
    rows.append(
      (
        image,
        colorize(label, shown.palette),
        np.repeat(to_bytes(sure)[..., None], 3, axis=-1),
        counted,
      )
    )
  shown.draw(
    rows,
    ('unlabelled image', 'pseudo-label', 'confidence (white: 1)', f'at least {threshold:g}'),
    path,
  )


def predictions(shown: Shown, path: Path) -> None:
  """Draws predictions of the headline network on validation images."""
  val, rows = shown.dataset.val, []
  network = shown.teacher if shown.config.eval_network == 'teacher' else shown.student
  for index in np.linspace(0, len(val) - 1, 3).astype(int):
    image, truth = val.read_image(index), val.read_label(index)
    label = network.predict(image).label
    wrong = ((label != truth) & (truth != cm.VOID))[..., None]
    rows.append(
      (
        image,
        colorize(truth, shown.palette),
        colorize(label, shown.palette),
        np.where(wrong, RED, faded(image)),
      )
    )
  shown.draw(rows, ('validation image', 'truth', 'prediction', 'errors'), path)


def main(run: Path, folder: Path) -> None:
  shown = Shown(run)
  folder.mkdir(parents=True, exist_ok=True)
  classmix(shown, folder / 'classmix.png')
  every_mask(shown, folder / 'masks.png')
  confidence(shown, folder / 'confidence.png')
  predictions(shown, folder / 'predictions.png')


if __name__ == '__main__':
  main(Path(sys.argv[1]), Path(sys.argv[2]))
