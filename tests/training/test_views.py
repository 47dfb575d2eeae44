"""RUN/training.png by the pixel: its columns, its padding, and batches of two sizes."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest

from classmix_jax.methods.views import View
from classmix_jax.training.views import WIDTH, color_views, number_columns, write_columns
from classmix_jax.types import VOID
from classmix_jax.utils.fonts import LINE
from classmix_jax.utils.visualize import MARGIN, STRIPE, hatch, void_color

PALETTE = ((0, 0, 0), (200, 30, 40))
DATASET = SimpleNamespace(class_names=('ground', 'box'), palette=PALETTE)


def example_views(size=(4, 6), labeled=2, unlabeled=1, padded=2):
  """Views as of one device: grey images, class 1 left of class 0, and void in the last row."""
  label = np.zeros((1, labeled, *size), np.uint8)
  label[..., : size[1] // 2], label[..., -1, :] = 1, VOID
  valid = np.ones(label.shape, bool)
  if padded:
    valid[..., -padded:] = False
  image = np.full((1, unlabeled, *size, 3), 0.5, np.float32)
  return [
    View('its label', jnp.asarray(label), jnp.asarray(valid)),
    View('image without label', jnp.asarray(image), jnp.ones(image.shape[:-1], bool)),
  ]


def test_labels_have_colours_and_images_bytes():
  label, image = color_views(example_views(), PALETTE)
  assert label.heading == 'its label' and label.images.shape == (2, 4, 6, 3)
  assert label.images[0, 0, :, 0].tolist() == [200, 200, 200, 0, 0, 0]
  assert label.images[1, 3, 0].tolist() == list(void_color(PALETTE))
  assert image.images.shape == (1, 4, 6, 3) and set(image.images.ravel()) == {128}


def test_padding_is_hatched_in_images_of_tensorboard():
  """Two diagonal colours that are neither void nor class 0, which is black."""
  images = number_columns(color_views(example_views(), PALETTE))
  assert list(images) == ['1 its label', '2 image without label']  # sorted as the story
  padding = images['1 its label'][:, :, -2:].reshape(-1, 3)
  assert set(map(tuple, padding.tolist())) == {(184, 184, 184), (255, 255, 255)}
  np.testing.assert_array_equal(images['1 its label'][1, :, -2:], hatch(4, 6)[:, -2:])
  assert hatch(1, 3 * STRIPE)[0, :, 0].tolist() == [184] * STRIPE + [255] * STRIPE + [184] * STRIPE


def read_figure(path, size, **options):
  write_columns(path, color_views(example_views(size, **options), PALETTE), DATASET)
  return np.asarray(Image.open(path))


@pytest.mark.parametrize('size', [(32, 32), (96, 192), (321, 321), (33, 900)])
def test_columns_follow_the_views_at_any_size(tmp_path, size):
  figure = read_figure(tmp_path / 'training.png', size)
  assert figure.shape[1] <= WIDTH
  step, times = -(-max(size) // (WIDTH // 2 - MARGIN)), -(-96 // max(size))
  height, width = (-(-side // step) * times for side in size)
  top = next(
    lines * LINE for lines in (1, 2, 3) if (figure[lines * LINE, MARGIN] == PALETTE[1]).all()
  )
  assert top in (LINE, 2 * LINE, 3 * LINE)  # of words
  column = (figure.shape[1] - MARGIN) // 2
  assert figure[top, MARGIN + column].tolist() == [128] * 3
  assert (figure[top + height : top + height + MARGIN, : MARGIN + width] == 255).all()


def test_a_smaller_batch_leaves_cells_blank(tmp_path):
  figure = read_figure(tmp_path / 'training.png', (96, 96), labeled=3, unlabeled=1)
  column = (figure.shape[1] - MARGIN) // 2
  second_row = figure[2 * LINE + 96 + MARGIN : 2 * LINE + 2 * 96]
  assert (second_row[:, MARGIN + column :] == 255).all()
  assert not (second_row[:, :column] == 255).all()


def test_the_legend_has_padding_only_if_there_is_any(tmp_path):
  """Its square is the pattern; below the rows and above nothing else is grey and white."""
  with_padding = read_figure(tmp_path / 'a.png', (96, 96), padded=10)
  without = read_figure(tmp_path / 'b.png', (96, 96), padded=0)
  gray = [(figure[-3 * LINE :] == 184).all(axis=-1).sum() for figure in (with_padding, without)]
  assert gray[0] >= 40 > 20 > gray[1]  # of letters
