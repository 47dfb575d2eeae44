"""Options for the values of masks: what fits together, and what is refused in one sentence."""

import numpy as np
from PIL import Image
import pytest
from toy import assert_fails, config, save, write_folder

from classmix_jax.config.bounds import check_ranges
from classmix_jax.data.files.decoding import RAW_VALUES
from classmix_jax.data.label_check import check_at_start
from classmix_jax.datasets import folder
from classmix_jax.datasets.folder.mask_options import MaskOptions, build_decoding
from classmix_jax.tools.data_check.check_data import check_data
from classmix_jax.types import VOID

IDS = {0: 0, 1: 1}
COLORS = {(0, 0, 0): 0, (255, 0, 0): 1}


@pytest.mark.parametrize(
  'names, colors, options, parts',
  [
    ('abc', {}, {'mask_threshold': 128}, ['mask_threshold=128', 'two classes', '3 (a, b, c)']),
    ('ab', COLORS, {'mask_threshold': 9, 'color_distance': 4.0}, ['one of them to 0']),
    ('ab', {}, {'mask_threshold': 128, 'label_map': '255:0'}, ['value 255 class 1', 'class 0']),
    ('ab', {(9,) * 3: 0, (0,) * 3: 1}, {'mask_threshold': 99}, ['bright pixels class 1', 'swap']),
    ('ab', {}, {'color_distance': 64.0}, ['color_distance=64', 'colours of the classes']),
    ('ab', {}, {'others': 'ignore'}, ["config.data.others is 'ignore'", "'void'"]),
    ('ab', {}, {'transparent': '2'}, ["transparent is '2'", '0 to 1', "'void'", "'alpha'"]),
    ('ab', {}, {'transparent': 'white'}, ["transparent is 'white'"]),
    ('abc', {}, {'transparent': 'alpha'}, ["transparent='alpha'", 'two classes', '3 (a, b, c)']),
  ],
)
def test_refused(names, colors, options, parts):
  options = MaskOptions(**options)
  assert_fails(lambda: build_decoding(tuple(names), IDS, colors, options), *parts)


@pytest.mark.parametrize(
  'field, value',
  [
    ('mask_threshold', 256),
    ('mask_threshold', -1),
    ('mask_threshold', 1.5),
    ('color_distance', 443),
  ],
)
def test_ranges(field, value):
  assert_fails(lambda: check_ranges({f'data.{field}': value}), f'config.data.{field} is {value}')


def test_what_options_mean():
  both = MaskOptions(mask_threshold=128, label_map='255:1', ignore='127')
  decoding = build_decoding(('a', 'b'), {0: 0, 1: 1}, {}, both)
  assert decoding.table[[0, 1, 126, 127, 128, 255]].tolist() == [0, 0, 0, VOID, 1, 1]
  assert decoding.table.shape == (RAW_VALUES,) and decoding.reads_lossy
  choices = {'': None, 'void': VOID, '1': 1, 'color': 'color', 'alpha': 'alpha'}
  for text, choice in choices.items():
    options = MaskOptions(transparent=text)
    assert build_decoding(('a', 'b'), IDS, {}, options).transparent == choice


def test_every_option_changes_the_version_of_the_data(tmp_path):
  root = write_folder(tmp_path)
  (root / 'classes.txt').write_text('ground 0 0 0\nbox 255 0 0\n')
  options = [
    {},
    {'mask_threshold': 128},
    {'mask_threshold': 129},
    {'color_distance': 3.0},
    {'others': 'void'},
    {'transparent': '0'},
    {'transparent': 'void'},
    {'turn_masks': True},
    {'ignore': '7'},
  ]
  versions = [folder.load(str(root), **fields).train.version() for fields in options]
  assert len(set(versions)) == len(options)


@pytest.mark.parametrize('lossy', [True, False])
def test_the_advised_threshold_ends_without_findings(tmp_path, lossy):
  """Two classes as JPEGs of 0 and 255, or smoothed; the share of the object is that drawn."""
  root = write_folder(tmp_path / 'data')
  (root / 'classes.txt').write_text('ground\nthing\n')
  drawn = total = 0
  for path in sorted(root.rglob('masks/**/*.png')):
    label = read_array(path)
    drawn, total = drawn + (label == 1).sum(), total + label.size
    grey = np.where(label == 1, 255, 0)
    path.unlink()
    if lossy:
      save(path.with_suffix('.jpg'), grey, quality=90)
    else:
      save(path, np.where(np.roll(grey, 1, 1) != grey, grey // 2 + 40 + label, grey))
  findings = check_data(config(root), tmp_path / 'out')
  assert {finding.kind for finding in findings} == {
    'lossy masks' if lossy else 'masks with unknown values'
  }
  report = (tmp_path / 'out/report.txt').read_text()
  assert '1 finding in 7 files' in report and '--config.data.mask_threshold=128' in report
  assert check_data(config(root, **{'data.mask_threshold': 128}), tmp_path / 'out') == []
  dataset = folder.load(str(root), mask_threshold=128)
  masks = [
    source.read_label(i) for source in (dataset.train, dataset.val) for i in range(len(source))
  ]
  assert sum(mask.size for mask in masks) == total
  assert sum((mask == 1).sum() for mask in masks) == drawn


def read_array(path):
  with Image.open(path) as image:
    return np.array(image)


@pytest.mark.parametrize(
  'paint, choice',
  [
    ('rubbed out', '0'),  # the colour of the box stays below the eraser
    ('black', 'alpha'),  # black paint on an empty canvas
    ('white', 'alpha'),  # white everywhere, transparency says where
    ('hole', 'inverse_alpha'),  # an opaque canvas with holes
  ],
)
def test_the_advised_transparency_ends_without_findings(tmp_path, paint, choice):
  root = write_folder(tmp_path / 'data')
  colors = {'rubbed out': ' 0 0 0\nbox 200 80 60\n'}.get(paint, '\nbox\n')
  (root / 'classes.txt').write_text(f'ground{colors}')
  drawn = 0
  for path in sorted(root.rglob('masks/**/*.png')):
    box = read_array(path) == 1
    drawn += box.sum()
    pixels = np.zeros((*box.shape, 4), np.uint8)
    pixels[..., 3] = np.where(box == (paint == 'hole'), 0, 255)
    if paint == 'rubbed out':
      pixels[box, :3] = (200, 80, 60)
      pixels[..., 3] = 255
      pixels[-4:] = (200, 80, 60, 0)
      drawn -= box[-4:].sum()
    pixels[..., :3] = 255 if paint == 'white' else pixels[..., :3]
    save(path, pixels)
  findings = check_data(config(root), tmp_path / 'out')
  assert {finding.kind for finding in findings} == {'masks with transparency'}
  report = (tmp_path / 'out/report.txt').read_text()
  assert '1 finding in 7 files' in report and f'{choice} if' in report
  assert check_data(config(root, **{'data.transparent': choice}), tmp_path / 'out') == []
  dataset = folder.load(str(root), transparent=choice)
  sources = (dataset.train, dataset.val)
  masks = [source.read_label(i) for source in sources for i in range(len(source))]
  assert sum((mask == 1).sum() for mask in masks) == drawn > 0
  assert all(set(np.unique(mask)) <= {0, 1} for mask in masks)


def test_masks_that_are_one_class_everywhere_are_a_warning(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  root = write_folder(tmp_path / 'data')
  for path in sorted(root.rglob('masks/**/*.png')):
    save(path, np.where(read_array(path) == VOID, VOID, 2))
  assert check_data(config(root), tmp_path / 'out') == []
  report = (tmp_path / 'out/report.txt').read_text()
  dataset = folder.load(str(root))
  warnings = check_at_start(dataset.train, dataset.val, dataset.class_names).warnings
  for count, title in ((4, 'labelled'), (3, 'val')):
    sentence = f"not void in all {count} {title} masks are class 2 'ball'"
    assert sentence in report and sum(sentence in warning for warning in warnings) == 1
