"""Directories of any usual names are read without leaks, or refused in one sentence."""

from fuzz import result_or_error, temporary_directory
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from PIL import Image

from classmix_jax.datasets import folder
from classmix_jax.datasets.folder.holdout import choose_validation

PLACES = (
  '', 'images', 'masks', 'Labels', 'labeled/images', 'labeled/masks', 'unlabeled', 'val/images',
  'val/masks', 'train', 'valid', 'test', 'trainannot', 'valannot', 'train/images', 'train/masks',
  'images/train', 'images/val', 'masks/train', 'masks/val', 'JPEGImages', 'SegmentationClass', 'x',
  'x/images', 'x/masks', 'y/images', 'y/masks', 'ds0/img', 'ds0/masks_machine', 'ds0/ann',
)  # fmt: skip
NAMES = ('a', 'b', 'c', 'a_mask', 'b_mask', 'mask_a', 'img_1', '1', 'a_color', 'B', 'd.1')
FILES = st.tuples(
  st.sampled_from(PLACES), st.sampled_from(NAMES), st.sampled_from(['.png', '.jpg', '.TIF'])
)
TEXTS = (
  'meta.json', 'labelmap.txt', 'ImageSets/Segmentation/train.txt', 'a.json', 'labels/a.txt',
  'train/_classes.csv',
)  # fmt: skip
CONTENTS = ('', 'a\n', '{"shapes": [], "imagePath": ""}', '{"classes": [{"title": "x"}]}', '0 1')
PATTERNS = (
  '',
  'images/*',
  'masks/{name}.png',
  '**/*.png',
  'val',
  'list.txt',
  '[',
  '*/{name}*',
  ',',
)


def write_image(path):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(np.zeros((2, 3), np.uint8)).save(path)


@given(
  files=st.lists(FILES, min_size=1, max_size=12, unique=True),
  texts=st.dictionaries(st.sampled_from(TEXTS), st.sampled_from(CONTENTS), max_size=2),
  patterns=st.dictionaries(
    st.sampled_from(['images', 'masks', 'unlabeled_images', 'val']),
    st.sampled_from(PATTERNS),
    max_size=2,
  ),
)
def test_fuzz_layouts(files, texts, patterns):
  """No image is both for training and for validation, and no mask is an image."""
  with temporary_directory() as place:
    root = place / 'data'
    for parent, name, suffix in files:
      write_image(root / parent / (name + suffix))
    for name, text in texts.items():
      (root / name).parent.mkdir(parents=True, exist_ok=True)
      (root / name).write_text(text)
    (root / 'classes.txt').write_text('ground\nbox\n')
    (root / 'list.txt').write_text('a\n')
    dataset = result_or_error(lambda: folder.load(str(root), **patterns), root)
    if dataset is None:
      return
    assert len(dataset.train) and len(dataset.val) and dataset.notes
    sources = [dataset.train, dataset.val, *([dataset.unlabeled] if dataset.unlabeled else [])]
    images = [source.files.image(i) for source in sources for i in range(len(source))]
    masks = [source.files.mask(i) for source in sources[:2] for i in range(len(source))]
    assert len(set(images)) == len(images) and len(set(masks)) == len(masks)
    assert not set(images) & set(masks)


@given(
  st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=40, unique=True),
  st.floats(0, 0.99),
  st.integers(0, 9),
)
def test_fuzz_validation_share(names, share, seed):
  chosen = choose_validation(names, share, seed)
  assert 0 < len(chosen) < len(names)
