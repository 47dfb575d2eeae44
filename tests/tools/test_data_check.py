"""The check of a data set: counts, findings, figures, and files that it must not open."""

import io
from pathlib import Path

import numpy as np
from PIL import Image
import pytest
import toy
from toy import save

from classmix_jax.data import label_check
from classmix_jax.data.files import open_image, pairs
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.file_source import paired_source
from classmix_jax.data.files.findings import Finding, keep_findings
from classmix_jax.data.label_check import check_at_start
from classmix_jax.data.source import Source, concat, subset
from classmix_jax.data.splits import TOO_FEW
from classmix_jax.datasets import DATASETS, folder
from classmix_jax.errors import UserError
from classmix_jax.tools.data_check import survey
from classmix_jax.tools.data_check.check_data import check_data
from classmix_jax.tools.data_check.consequences import drop_consequences
from classmix_jax.types import VOID
from classmix_jax.utils.visualize import CAPTION

CLASSES = ('road', 'car')


def edit(path, change):
  """Overwrites an image with other pixels."""
  with Image.open(path) as image:
    pixels = np.array(image)
  save(path, change(pixels))


def check(root, output, **fields):
  """Returns the findings and the report of `check_data`."""
  findings = check_data(toy.config(root, **fields), output)
  return [finding.sentence for finding in findings], (output / 'report.txt').read_text()


def figures(output):
  return sorted(path.name for path in output.glob('*.png'))


# ------------------------------------------------------------------------ a sound directory


def test_sound_directory(tmp_path, capsys):
  root = toy.write_folder(tmp_path / 'data')
  findings, report = check(root, tmp_path / 'out')
  assert findings == [] and '\nno findings\n' in report and 'warning' not in report
  assert report in capsys.readouterr().out
  rows = [line.split() for line in report.splitlines()]
  assert ['labelled', '4', '4'] in rows and ['val', '3', '3'] in rows
  assert ['unlabelled', '6', 'none', 'opened'] in rows
  assert ['unlabelled', 'images', '6', 'JPEG', 'RGB', '6', '48x32'] in rows
  assert ['labelled', 'masks', '4', 'PNG', 'L'] in rows
  # Of 32 rows the first is void: 4 masks x 48 pixels, 1 / 32 of the pixels.
  assert ['255', 'void', '192', '3.12', '%', '4'] in rows
  assert ['void', '3.12', '%', '4', '3.12', '%', '3'] in rows
  masks = [toy.draw(seed)[1] for seed in range(4)]
  boxes = sum((mask == 1).sum() for mask in masks)
  share = f'{100 * boxes / (4 * toy.HEIGHT * toy.WIDTH):.2f}'
  assert ['1', '1', 'box', f'{boxes:,}', share, '%', '4'] in rows
  assert figures(tmp_path / 'out') == ['contact_sheet.png', 'mixed.png']
  assert 'street/0, street/1, street/2, street/3' in report and 'true labels' in report


def test_contact_sheet_leaves_void_and_tints_classes(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  save(root / 'labeled/images/street/0.png', np.full((32, 48, 3), 100))
  save(root / 'labeled/masks/street/0.png', [[VOID] * 24 + [1] * 24] * 32)
  check(root, tmp_path / 'out')
  sheet = np.asarray(Image.open(tmp_path / 'out/contact_sheet.png'))
  row, left = CAPTION + 80, 4 + 240 + 4  # the second cell of 240 x 160
  assert sheet[row, left + 10].tolist() == [100, 100, 100]
  assert sheet[row, left + 230].tolist() == [114, 50, 50]  # half of it (128, 0, 0)


def test_mixed_sheet_shows_two_images_in_one(tmp_path):
  """Image 0 is all road, image 1 half car: half of two classes is one, half of one is none."""
  root = toy.write_folder(tmp_path / 'data', labeled=2)
  examples = [(50, [[0] * 48] * 32), (200, [[0] * 24 + [1] * 24] * 32)]
  for index, (color, label) in enumerate(examples):
    save(root / f'labeled/images/street/{index}.png', np.full((32, 48, 3), color))
    save(root / f'labeled/masks/street/{index}.png', label)
  check(root, tmp_path / 'out')
  sheet = np.asarray(Image.open(tmp_path / 'out/mixed.png'))
  mixed = 4 + 3 * 244
  upper, lower = CAPTION + 80, CAPTION + 164 + 80
  assert (sheet[upper, mixed : mixed + 240] == 200).all()  # nothing of image 0 was kept
  left, right = sheet[lower, mixed + 20, 0], sheet[lower, mixed + 220, 0]
  assert {int(left), int(right)} == {50, 200}


def test_sources_without_files(tmp_path):
  source = Source(
    ('a', 'b'),
    lambda i: np.zeros((2, 3, 3), np.uint8),
    lambda i: np.array([[0, 1, 255]] * 2, np.uint8) if i else np.array([[0, 0, 9]] * 2, np.uint8),
  )
  part = survey.survey('labelled', source, CLASSES, with_masks=True)
  assert part.sizes == {(2, 3): 2} and part.values == {} and part.valid == (1,)
  assert part.counts[:, [0, 1, 255]].tolist() == [[2, 2, 2]]
  assert [finding.file for finding in part.findings] == ['a'] and '9' in part.findings[0].sentence


def encoded(values, name):
  buffer = io.BytesIO()
  Image.fromarray(np.asarray(values, np.uint8)).save(buffer, 'PNG')
  return open_image.Encoded(buffer.getvalue(), name, 'Prepare it again.')


class Records(tuple):
  """Images in memory; a corrupt record fails when it is fetched."""

  def __getitem__(self, index):
    if super().__getitem__(index) is None:
      raise UserError(f'record {index} is damaged')
    return super().__getitem__(index)


def test_images_in_memory():
  images = Records([encoded(np.zeros((2, 3, 3)), 'image a'), None, encoded([[1, 2]], 'image c')])
  masks = Records([encoded([[0, 1, 7]] * 2, 'mask a'), encoded([[0]], 'mask b'), None])
  decoding = Decoding(CLASSES, label_table(2))
  source = paired_source(pairs.Pairs(('a', 'b', 'c'), images, masks), decoding)
  part = survey.survey('labelled', source, CLASSES, with_masks=True)
  assert part.images == {'PNG RGB': 1, 'PNG L': 1} and part.sizes == {(2, 3): 1, (1, 2): 1}
  assert {raw: value.label for raw, value in part.values.items()} == {0: 0, 1: 1, 7: None}
  assert part.values[0] == (0, 3, 2)  # pixels, masks
  sentences = [finding.sentence for finding in part.findings]
  assert sentences[0].startswith('mask a holds the value 7')
  assert sentences[1:] == ['record 1 is damaged', 'record 2 is damaged']


# -------------------------------------------------------------------------- each finding


def value_seven(root):
  def put(mask):
    mask[5, 5] = 7
    return mask

  edit(root / 'labeled/masks/street/1.png', put)


def colors_without_a_table(root):
  edit(root / 'labeled/masks/street/1.png', lambda mask: mask[..., None] * [1, 0, 0])


def mask_of_another_size(root):
  edit(root / 'labeled/masks/street/1.png', lambda mask: mask[:20])


def torn(path):
  path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])


def torn_image(root):
  torn(root / 'labeled/images/street/1.png')


def torn_unlabelled_image(root):
  torn(root / 'unlabeled/images/3.jpg')


def torn_validation_mask(root):
  torn(root / 'val/masks/1.png')


def jpeg_mask(root):
  path = root / 'labeled/masks/street/1.png'
  Image.open(path).convert('L').save(path.with_suffix('.jpg'))
  path.unlink()


def two_of_one_name(root):
  save(root / 'unlabeled/images/3.png', np.zeros((2, 2, 3)))


def binary(root):
  (root / 'classes.txt').write_text('background\ndefect\n')
  for path in (root / 'labeled/masks/street').iterdir():
    edit(path, lambda mask: np.where(mask == 0, 0, 255))
  for path in (root / 'val/masks').iterdir():
    edit(path, lambda mask: np.where(mask == 2, 1, mask))


@pytest.mark.parametrize(
  'spoil, file, parts',
  [
    (
      value_seven,
      'labeled/masks/street/1.png',
      ['the value 7', '0 (ground), 1 (box), 2 (ball), 255 (void)', "data.label_map='7:CLASS'"],
    ),
    (
      colors_without_a_table,
      'labeled/masks/street/1.png',
      ['RGB image', '#000000, #010000, #020000, #ff0000', '--config.data.colors='],
    ),
    (mask_of_another_size, 'labeled/masks/street/1.png', ['48x20', '48x32', 'Export']),
    (torn_image, 'labeled/images/street/1.png', ['does not decode', 'export']),
    (torn_unlabelled_image, 'unlabeled/images/3.jpg', ['does not decode', 'export']),
    (torn_validation_mask, 'val/masks/1.png', ['does not decode', 'export']),
    (jpeg_mask, 'labeled/masks/street/1.jpg', ['JPEG', 'PNG']),
    (two_of_one_name, 'unlabeled/images/3.jpg', ['3.png', 'rename']),
    (binary, "'street/0'", ['0, 255', 'none of 4 masks holds 1', "label_map='255:1'"]),
  ],
)
def test_each_finding(tmp_path, spoil, file, parts):
  root = toy.write_folder(tmp_path / 'data')
  spoil(root)
  findings, report = check(root, tmp_path / 'out')
  named = [sentence for sentence in findings if file in sentence]
  assert named and len(findings) <= 2  # a JPEG's values are no class either
  assert all(part in named[0] for part in parts), named[0]
  assert all(sentence in report for sentence in findings) and 'no findings' not in report
  assert figures(tmp_path / 'out') == ['contact_sheet.png', 'mixed.png']


def test_values_are_counted_in_spite_of_findings(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  value_seven(root)
  _, report = check(root, tmp_path / 'out')
  assert ['7', 'nothing:', 'see', 'the', 'findings', '1', '0.02', '%', '1'] in [
    line.split() for line in report.splitlines()
  ]


def test_all_bad_files_are_named(tmp_path):
  root = toy.write_folder(tmp_path / 'data', labeled=12, unlabeled=9, val=5)
  bad = [root / f'labeled/masks/street/{index}.png' for index in range(6)]
  for path in bad:
    edit(path, lambda mask: np.where(mask == 1, 9, mask))
  bad += [root / f'unlabeled/images/{index}.jpg' for index in range(7)]
  bad += [root / f'val/masks/{index}.png' for index in range(4)]
  for path in bad[6:]:
    torn(path)
  for index in (6, 7, 8, 9):
    (root / f'labeled/masks/street/{index}.png').unlink()
  findings, report = check(root, tmp_path / 'out')
  assert len(findings) == len(bad) == 17
  assert '4 of 12 images have no mask and are used without labels: 6.png, 7.png' in report
  assert all(str(path) in report for path in bad)
  assert report.count('holds the value 9') == 1  # one sentence for six files
  assert 'street/10, street/11' in report  # the sound ones are drawn


def test_class_that_never_occurs_is_a_warning(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  for path in (root / 'labeled/masks/street').iterdir():
    edit(path, lambda mask: np.where(mask == 2, 0, mask))
  for path in (root / 'val/masks').iterdir():
    edit(path, lambda mask: np.where(mask == 1, 0, mask))
  findings, report = check(root, tmp_path / 'out')
  assert findings == [] and '2 warnings' in report
  assert "class 2 'ball' occurs in 0 of 4 labelled images" in report
  assert "class 1 'box' occurs in 0 of 3 val images" in report


@pytest.mark.parametrize(
  'fields, spoil, part',
  [
    ({'data.root': '/no/where'}, lambda root: None, '/no/where'),
    ({}, lambda root: (root / 'classes.txt').unlink(), 'classes.txt'),
    ({'data.label_map': '7'}, lambda root: None, "label_map='7'"),
    ({'data.labeled': '9'}, lambda root: None, 'config.data.labeled=9'),
  ],
)
def test_what_does_not_open_is_a_finding(tmp_path, fields, spoil, part):
  root = toy.write_folder(tmp_path / 'data')
  spoil(root)
  findings, report = check(root, tmp_path / 'out', **fields)
  assert len(findings) == 1 and part in findings[0] and part in report
  assert figures(tmp_path / 'out') == []


def test_too_few_images_to_mix(tmp_path):
  root = toy.write_folder(tmp_path / 'data', unlabeled=1)
  findings, report = check(root, tmp_path / 'out')
  assert len(findings) == 1 and 'pairs of unlabelled images' in findings[0]
  assert 'labelled         4' in report


def test_figures_of_an_earlier_check_are_removed(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  check(root, tmp_path / 'out')
  for path in (root / 'labeled/masks/street').iterdir():
    edit(path, lambda mask: mask + 3)
  findings, report = check(root, tmp_path / 'out')
  assert len(findings) == 4 and figures(tmp_path / 'out') == []
  assert 'contact_sheet.png: not drawn' in report


def test_output_that_cannot_be_written(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='file/out cannot be written.*--output'):
    check(toy.write_folder(tmp_path / 'data'), tmp_path / 'file/out')


def test_smoothed_edges_do_not_fill_the_memory(tmp_path, monkeypatch):
  monkeypatch.setattr(survey, 'MAX_UNKNOWN_VALUES', 3)
  root = toy.write_folder(tmp_path / 'data')
  ramp = np.zeros((32, 48, 3))
  ramp[..., 0] = np.arange(48)
  save(root / 'labeled/masks/street/0.png', ramp)
  source = folder.load(str(root)).train
  part = survey.survey('labelled', source, toy.CLASSES, with_masks=True)
  assert sum(value.label is None for value in part.values.values()) == 3
  assert part.uncounted_pixels == 45 * 32


def test_lists_that_name_missing_files(tmp_path):
  for part in ('train', 'val'):
    for kind, shape in ((part, (4, 6, 3)), (f'{part}annot', (4, 6))):
      (tmp_path / kind).mkdir()
      save(tmp_path / kind / 'a.png', np.zeros(shape))
  (tmp_path / 'train.txt').write_text('a.png\nb.png\nc.png\n')
  with keep_findings() as findings:
    dataset = DATASETS['camvid'](root=str(tmp_path))
  assert dataset.train.names == ('a',)
  assert [finding.file for finding in findings] == ['b', 'c', 'b (mask)', 'c (mask)']
  with pytest.raises(UserError, match='names 4 files that are not there'):
    DATASETS['camvid'](root=str(tmp_path))


# --------------------------------------------------------- masks of unlabelled images


def test_no_unlabelled_mask_is_opened(tmp_path, monkeypatch):
  """Garbage in files that must stay closed: beside unlabelled images, outside the split."""
  root = toy.write_folder(tmp_path / 'data')
  garbage = [root / f'labeled/masks/street/{index}.png' for index in (1, 3)]
  garbage += [root / f'unlabeled/masks/{index}.png' for index in range(6)]
  (root / 'unlabeled/masks').mkdir()
  for path in garbage:
    path.write_text('garbage')
  (tmp_path / 'two.txt').write_text('street/0\nstreet/2\n')
  opened, real = [], Image.open
  monkeypatch.setattr(
    open_image.Image,
    'open',
    lambda path, **options: opened.append(Path(path)) or real(path, **options),
  )
  findings, report = check(root, tmp_path / 'out', **{'data.labeled': str(tmp_path / 'two.txt')})
  assert findings == [] and 'no findings' in report
  masks = {path for path in opened if 'masks' in path.parts}
  assert masks == {
    *(root / f'labeled/masks/street/{index}.png' for index in (0, 2)),
    *(root / f'val/masks/{index}.png' for index in range(3)),
  }
  assert {path for path in opened if 'images' in path.parts} == {
    path for path in root.rglob('images/**/*') if path.is_file()
  }


def test_files_follow_their_examples(tmp_path):
  dataset = folder.load(str(toy.write_folder(tmp_path)))
  part = subset(dataset.train, [2, 0])
  assert part.files.mask(0) == tmp_path / 'labeled/masks/street/2.png'
  pool = concat(part, dataset.unlabeled)
  assert pool.files.image(1) == tmp_path / 'labeled/images/street/0.png'
  assert pool.files.image(2) == tmp_path / 'unlabeled/images/0.jpg'
  assert pool.files.mask is None and dataset.unlabeled.files.mask is None


# ------------------------------------------------------------- at the start of a training


@pytest.fixture
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return tmp_path / 'cache'


def labels(count, read=None, version='1', prefix='x', **values):
  """A source of labels of one pixel: class 0, or the value in `values` for example x3."""

  def read_label(i):
    if read is not None:
      read.append(i)
    return np.array([[values.get(f'{prefix}{i}', 0)]], np.uint8)

  return Source(
    tuple(f'{prefix}{i}' for i in range(count)),
    None,
    read_label,
    version=version and (lambda: version),
  )


def test_second_start_reads_nothing(cache):
  read = []
  for _ in range(2):
    check = check_at_start(labels(3, read), labels(2, read), CLASSES)
    assert (check.pixels, check.masks) == ([3, 0, 0], 3)
    starts = [warning.split(':')[0] for warning in check.warnings]
    assert starts == [
      f"100 % of the pixels in all {part} masks are class 0 'road'"
      for part in ('3 labelled', '2 val')
    ]
    assert len(read) == 5
  check_at_start(labels(3, read, version='2'), labels(2, read), CLASSES)
  check_at_start(labels(3, read, prefix='y'), labels(2, read), CLASSES)
  check_at_start(labels(3, read), labels(2, read), ('road', 'bus'))
  assert len(read) == 4 * 5


def test_real_files_are_read_again_once_they_change(cache, tmp_path, monkeypatch):
  root = toy.write_folder(tmp_path / 'data')
  opened, real = [], Image.open
  monkeypatch.setattr(
    open_image.Image, 'open', lambda path, **options: opened.append(path) or real(path, **options)
  )

  def start():
    dataset = folder.load(str(root))
    opened.clear()
    check_at_start(dataset.train, dataset.val, toy.CLASSES)
    return len(set(opened))  # of an image the header, for its orientation

  assert [start(), start()] == [14, 0]
  value_seven(root)
  for _ in range(2):  # the error is raised every time
    with pytest.raises(UserError, match='holds the value 7'):
      start()
  edit(root / 'labeled/masks/street/1.png', lambda mask: np.where(mask == 7, 0, mask))
  assert [start(), start()] == [14, 0]


def test_sample_is_bounded_and_spread(cache, monkeypatch):
  monkeypatch.setattr(label_check, 'MAX_LABELED', 5)
  monkeypatch.setattr(label_check, 'MAX_VAL', 3)
  read, read_val = [], []
  warning, _ = check_at_start(labels(1001, read), labels(101, read_val), CLASSES).warnings
  assert sorted(read) == [0, 250, 500, 750, 1000] and sorted(read_val) == [0, 50, 100]
  assert 'in all 5 labelled masks that were read (of 1,001) are class 0' in warning


def test_rare_object_is_searched_before_a_training_is_stopped(cache, monkeypatch):
  monkeypatch.setattr(label_check, 'MAX_LABELED', 2)
  val = labels(2, x1=1)
  assert check_at_start(labels(9, version='1', x0=255, x4=1), val, CLASSES).warnings == []
  with pytest.raises(UserError, match="none of 9 masks holds 1.*label_map='255:1'"):
    check_at_start(labels(9, version='2', x0=255), labels(1), CLASSES)


def test_validation_masks_are_checked(cache):
  with pytest.raises(UserError, match="mask of 'x1' holds the values 9"):
    check_at_start(labels(2, x0=1), labels(2, x1=9), CLASSES)


def test_unknown_version_and_unwritable_cache_read_again(tmp_path, monkeypatch):
  (tmp_path / 'file').write_text('')
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
  for version in ('1', None):
    read = []
    for _ in range(2):
      check_at_start(labels(2, read, version), labels(1, read, version), CLASSES)
    assert len(read) == 6


def test_values_without_a_class_take_few_rows(tmp_path):
  """Of 40 grey values of smoothed edges, five rows are shown and one has the rest."""
  root = toy.write_folder(tmp_path / 'data')
  edit(
    root / 'labeled/masks/street/1.png',
    lambda mask: 10 + np.arange(mask.size).reshape(mask.shape) % 40,
  )
  _, report = check(root, tmp_path / 'out')
  rows = [line.split()[0] for line in report.splitlines() if 'nothing: see the findings' in line]
  assert len(rows) == 6 and rows[-1] == 'others'


def test_masks_of_0_and_255_in_both_parts_are_one_finding(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  binary(root)
  for path in (root / 'val/masks').iterdir():
    edit(path, lambda mask: np.where(mask == 0, 0, 255))
  findings, _ = check(root, tmp_path / 'out')
  assert len(findings) == 1


# ------------------------------------------------------------------ one fault, one finding


def rescale(root, values, parts=('labeled', 'val')):
  """Replaces class i of all masks by values[i]; void becomes class 0."""
  for part in parts:
    for path in (root / part / 'masks').rglob('*.png'):
      edit(path, lambda mask: np.array(values)[np.where(mask == VOID, 0, mask)])


def test_masks_of_0_128_255_are_one_finding_with_the_whole_option(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  rescale(root, [0, 128, 255])
  edit(root / 'labeled/masks/street/0.png', lambda mask: np.where(mask == 255, 0, mask))
  edit(root / 'labeled/masks/street/1.png', lambda mask: np.where(mask == 128, 0, mask))
  findings, report = check(root, tmp_path / 'out')
  assert '1 finding in 6 files' in report and 'warning' not in report
  assert report.count("set --config.data.label_map='0:0,128:1,255:2' if this is their order") == 1
  fields = {'data.label_map': '0:0,128:1,255:2'}
  assert check(root, tmp_path / 'out', **fields)[0] == [] and len(findings) == 6


def test_a_training_ends_with_the_same_option(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  rescale(root, [0, 100, 255])
  edit(root / 'labeled/masks/street/0.png', lambda mask: np.where(mask == 255, 0, mask))
  for path in (root / 'labeled/masks/street').glob('[123].png'):
    edit(path, lambda mask: np.where(mask == 100, 0, mask))  # no error: 255 is void
  dataset = folder.load(str(root))
  with pytest.raises(UserError, match="label_map='0:0,100:1,255:2' if this is their order"):
    check_at_start(dataset.train, dataset.val, toy.CLASSES)


def test_255_of_three_classes_is_a_finding_without_warnings(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  rescale(root, [0, 255, 255])
  findings, report = check(root, tmp_path / 'out')
  assert len(findings) == 1 and 'none of 4 masks holds 1 to 2' in findings[0]
  assert 'warning' not in report


def test_void_masks_and_unreadable_masks_explain_absent_classes(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  rescale(root, [VOID] * 3)
  assert len(check(root, tmp_path / 'out')[0]) == 1
  assert 'warning' not in (tmp_path / 'out/report.txt').read_text()
  for path in (root / 'labeled/masks/street').iterdir():
    torn(path)
  findings, report = check(root, tmp_path / 'out')
  assert '1 finding in 4 files' in report and 'warning' not in report


def test_equal_images_in_two_parts_are_a_finding_in_any_format(tmp_path):
  root = toy.write_folder(tmp_path / 'data')
  (root / 'val/images/1.png').unlink()
  Image.open(root / 'labeled/images/street/2.png').save(root / 'val/images/1.bmp')
  findings, report = check(root, tmp_path / 'out')
  assert len(findings) == 1 and 'warning' not in report
  assert 'val/images/1.bmp = labeled/images/street/2.png' in findings[0]
  assert 'makes the scores too high' in findings[0] and 'The masks of this pair' in findings[0]


def test_too_few_examples_are_explained_by_missing_files():
  few = Finding('', 'There are no training examples.', TOO_FEW)
  missing = Finding('b', 'b is not there.', 'missing files')
  assert drop_consequences([missing, few]) == [missing] and drop_consequences([few]) == [few]
  lossy = Finding('a.jpg', 'a.jpg is a JPEG.', 'lossy masks')
  values = Finding('a.jpg', 'a.jpg holds 3.', 'masks with unknown values')
  other = values._replace(file='b.png')
  void = Finding('labelled', 'all masks are void.', 'void masks')
  assert drop_consequences([lossy, values, other, void]) == [lossy, other]
