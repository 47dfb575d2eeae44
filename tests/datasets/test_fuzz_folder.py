"""Directories, class files and options of any content are read, or refused in one sentence."""

import dataclasses
import io
import json
import os

from fuzz import FILE_NAMES, TEXTS, result_or_error, temporary_directory
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import tifffile
import toy

from classmix_jax.config.data import build_dataset, build_split, find_unreadable
from classmix_jax.data.class_files.discovery import find_class_file
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.data.unreadable import find_unreadable_examples
from classmix_jax.datasets.folder import options
from classmix_jax.types import VOID

CONTENTS = (
  'valid', 'valid', 'small', 'void', 'ids', 'rgb', 'cut', 'empty', 'alpha', 'faint', 'smooth',
  'deep', 'bands', 'float', 'turned', 'jpeg', 'loop', 'dangling', 'folder', 'pipe',
)  # fmt: skip
CLASS_FILES = (
  None, 'ground\nbox\nball\n', 'ground\nbox\n', 'a\n', '', 'x\nx\n',
  'a 1 2 999\nb\n', 'a\x00\nb\n', 'Pixel Value, Class\n0, ground\n1, box\n2, ball\n',
  '1: box\n3: ball\n', 'ground 0 0 0\nbox 200 80 60\nball 70 80 210\n', '["ground", "box"]',
)  # fmt: skip
# Directory of the labelled pairs -> that of another layout; '' beside each other.
LAYOUTS = (
  {}, {'labeled/images': 'images', 'labeled/masks': 'masks'}, {'labeled': 'train'},
  {'labeled/images': 'train', 'labeled/masks': 'train', 'val/images': 'valid',
   'val/masks': 'valid'},
  {'labeled/images': 'JPEGImages', 'labeled/masks': 'SegmentationClass'}, {'val': 'other'},
)  # fmt: skip
# Mostly as by default, since one wrong option ends every start.
OPTIONS = {
  'data.transparent': ['void', 'color', 'alpha', '1', '9'],
  'data.mask_threshold': [1, 128],
  'data.color_distance': [64.0],
  'data.others': ['void', 'x'],
  'data.turn_masks': [True],
  'data.bands': ['1', '3,2,1', '9,9,9', 'a'],
  'data.value_range': ['0:3060', 'p2:p98', '5:5', '0:1,0:2,0:3'],
  'data.val_share': [0.0, 0.9],
}
FIELDS = st.sampled_from([(name, value) for name, values in OPTIONS.items() for value in values])
FILES = st.tuples(
  st.sampled_from(['labeled', 'unlabeled', 'val', 'test']),
  st.sampled_from(['images', 'masks']),
  FILE_NAMES,
  st.sampled_from(['.png', '.jpg', '.PNG', '.txt']),
  st.sampled_from(CONTENTS),
)


def write_file(path, content, seed):
  """Writes an image or a mask, or something else in its place, unless the path exists."""
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.exists() or path.is_symlink():
    return
  if content == 'loop':
    path.symlink_to(path.name)
  elif content == 'dangling':
    path.symlink_to('nowhere')
  elif content == 'folder':
    path.mkdir()
  elif content == 'pipe':
    os.mkfifo(path)
  else:
    image, label = toy.draw(seed)
    array = label if 'masks' in path.parts else image
    path.write_bytes(encode(array, image, content))


def encode(array, image, content):
  """Returns the bytes of an image file with a mask or an image, in one of many ways."""
  if content == 'empty':
    return b''
  file = io.BytesIO()
  if content in ('deep', 'bands', 'float'):
    types = {'deep': np.uint16, 'bands': np.uint16, 'float': np.float32}
    values = np.atleast_3d(array).astype(types[content]) * 12
    if content == 'bands':
      values = np.concatenate([values, values[..., :1], values[..., :1]], axis=-1)
    photometric = 'rgb' if values.shape[-1] == 3 else 'minisblack'
    tifffile.imwrite(file, values.squeeze(), photometric=photometric, planarconfig='contig')
    return file.getvalue()
  opacity = np.where(image[..., :1] > 90, 255, 100 if content == 'faint' else 0).astype(np.uint8)
  color = np.broadcast_to(array if array.ndim == 3 else array[..., None], image.shape)
  changes = {
    'small': array[:9],
    'void': np.full_like(array, 255),
    'ids': array + np.uint8(40),
    'rgb': image,
    'alpha': np.concatenate([color, opacity], axis=-1),
    'faint': np.concatenate([color, opacity], axis=-1),
    'smooth': array * np.uint8(20) + image[..., 0] if array.ndim == 2 else array,
  }
  exif = Image.Exif()
  if content == 'turned':
    exif[0x0112] = 6
  pixels = Image.fromarray(changes.get(content, array))
  pixels.save(file, 'JPEG' if content == 'jpeg' else 'PNG', exif=exif)
  return file.getvalue()[:50] if content == 'cut' else file.getvalue()


@given(
  files=st.lists(FILES, max_size=6),
  classes=st.sampled_from(CLASS_FILES),
  size=st.sampled_from([(), (4, 6)]),
  on_error=st.sampled_from(['raise', 'skip']),
  link=st.sampled_from([None, 'labeled/images/up', 'val/masks/up']),
  layout=st.sampled_from(LAYOUTS),
  options=st.lists(FIELDS, max_size=2).map(dict),
)
def test_fuzz_folder(files, classes, size, on_error, link, layout, options):
  """A data set opens with valid examples, or one sentence gives the reason."""
  with temporary_directory() as place:
    root = toy.write_folder(place / 'data', labeled=2, unlabeled=2, val=1)
    for seed, (part, kind, name, suffix, content) in enumerate(files):
      write_file(root / part / kind / (name + suffix), content, seed)
    if link:
      (root / link).symlink_to('..')
    if classes is None:
      (root / 'classes.txt').unlink()
    else:
      (root / 'classes.txt').write_text(classes)
    for source, target in layout.items():
      move(root / source, root / target)
    options |= {'data.on_error': on_error, 'data.size': size, 'data.cache_gb': 0.0}
    check_examples(toy.config(root, **options), root)


def move(source, target):
  """Moves a directory; masks beside images get the suffix _mask."""
  target.parent.mkdir(parents=True, exist_ok=True)
  if not target.exists():
    source.rename(target)
    return
  for path in list(source.rglob('*')):
    if not path.is_dir():
      place = target / path.relative_to(source)
      place.parent.mkdir(parents=True, exist_ok=True)
      path.rename(place.with_name(f'{path.stem[:190]}_mask{path.suffix}'))


def check_examples(config, root):
  def open_split():
    left_out = find_unreadable(config)
    dataset = build_dataset(config, left_out)
    return dataset, build_split(config, dataset, left_out)

  result = result_or_error(open_split)
  if result is None:
    return
  dataset, split = result
  assert len(set(dataset.train.names)) == len(dataset.train.names)
  flaws = find_unreadable_examples(dataset, range(len(split.labeled)))
  if config.data.on_error == 'skip':
    labeled = dataclasses.replace(dataset, train=split.labeled, unlabeled=None)
    assert not flaws.unlabeled and not find_unreadable_examples(labeled, range(len(split.labeled)))
  for source in (split.labeled, dataset.val):
    for index in range(len(source)):
      label = result_or_error(lambda s=source, i=index: s.read_label(i), root)
      image = result_or_error(lambda s=source, i=index: s.read_image(i), root)
      if label is not None and image is not None:
        assert label.shape == image.shape[:2]
        assert set(np.unique(label)) <= {*range(len(dataset.class_names)), VOID}


CLASS_LINES = st.lists(
  st.sampled_from(
    ['0', '1', '255', '-1', '70000', '1.0', 'road', '天空', 'a b', 'void', '#804080',
     '1 2 3', '"x, y"', 'id', 'name', 'r', 'g', 'b', 'a.png', '']
  ), max_size=5,
)  # fmt: skip
CLASS_TABLES = st.builds(
  lambda rows, separator, end: end.join(separator.join(row) for row in rows),
  st.lists(CLASS_LINES, max_size=4),
  st.sampled_from([',', ';', '\t', ': ', ' ', '=', '|']),
  st.sampled_from(['\n', '\r\n', '\r']),
)
CLASS_MARKUP = st.lists(
  st.sampled_from(
    ['names:', ' 0: a', '- a', 'nc: 2', '[a, b]', '&a', '*a', 'item {', 'id: 1', "name: 'a'", '}',
     'a:1,2,3::', ':::', '<x>', '{', '"names": ["a", "b"]']
  ), max_size=6,
).map('\n'.join)  # fmt: skip
CLASS_JSON = st.recursive(
  st.none() | st.booleans() | st.integers(-2, 300) | st.floats() | st.sampled_from(['a', '#123']),
  lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(['names', 'categories', 'labels', 'id', 'name', 'color', 'palette', '0', '1']),
    inner, max_size=3,
  ),
  max_leaves=8,
).map(json.dumps)  # fmt: skip


@given(
  st.one_of(TEXTS, CLASS_TABLES, CLASS_MARKUP, CLASS_JSON),
  st.sampled_from(['classes.txt', 'classes.json', 'data.yaml']),
  st.sampled_from(['utf-8', 'utf-8-sig', 'utf-16']),
)
def test_fuzz_class_file(text, name, encoding):
  with temporary_directory() as root:
    path = root / name
    path.write_bytes(text.encode(encoding, 'surrogatepass'))
    table = result_or_error(lambda: read_class_file(path), path)
    found = result_or_error(lambda: find_class_file(root))
    assert found == (path if table else None)
  if table is None:
    return
  assert len(set(table.names)) == len(table.names) == len(table.colors) >= 2
  assert list(table.raw_ids) == sorted(set(table.raw_ids) - set(table.void_ids))
  assert table.raw_ids[0] >= 0 and table.raw_ids[-1] < 65536 and all(map(str.strip, table.names))


@given(TEXTS)
def test_fuzz_label_options(text):
  """`label_map`, `ignore` and `colors` map to classes of the data set, or are refused."""
  for parse in (
    lambda: options.parse_label_map(text, '', toy.CLASSES),
    lambda: options.parse_label_map('', text, toy.CLASSES),
    lambda: options.parse_colors(text, toy.CLASSES),
  ):
    table = result_or_error(parse)
    assert table is None or set(table.values()) <= {0, 1, 2, VOID}
