"""Layouts of directories: which images and masks are read as what, and every refusal."""

import json

import numpy as np
from PIL import Image
import pytest
import toy
from toy import assert_says

from classmix_jax.config.data import ALL_LABELED
from classmix_jax.data.files.findings import keep_findings
from classmix_jax.datasets import folder
from classmix_jax.datasets.folder.affixes import find_affix_pairs
from classmix_jax.datasets.folder.foreign import FORMATS
from classmix_jax.datasets.folder.holdout import choose_validation
from classmix_jax.datasets.folder.layouts import LAYOUTS
from classmix_jax.datasets.folder.mask_names import match_masks, split_beside
from classmix_jax.datasets.folder.recognize import match_layout
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations import CONVERTERS
from classmix_jax.tools.data_check.check_data import check_data
from classmix_jax.training.prepare import prepare

LABEL = np.array([[0, 1, 1]] * 2, np.uint8)


def write(root, *paths, **options):
  """Writes a mask if the path has the word of one, else an image; 'DIR/{a,b}.png' is two files."""
  for path in paths:
    head, brace, tail = path.partition('{')
    names, _, end = tail.partition('}')
    for name in names.split(',') if brace else ['']:
      file = root / f'{head}{name}{end}'
      file.parent.mkdir(parents=True, exist_ok=True)
      words = ('mask', 'label', 'annot', 'ann_dir', 'gt', 'segmentationclass', '_l.', '_seg')
      is_mask = any(word in path.lower().removeprefix('labeled/') for word in words)
      image = Image.fromarray(LABEL if is_mask else np.zeros((2, 3, 3), np.uint8))
      if is_mask and options.get('colors'):
        image = Image.fromarray(np.array(options['colors'], np.uint8)[LABEL])
      image.save(file)


def write_text(root, **files):
  """Writes text files; '__' in a name is a directory and the last '_' a point."""
  for name, text in files.items():
    path = root / '.'.join(name.replace('__', '/').rsplit('_', 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def load(root, **options):
  if not (root / 'classes.txt').exists() and 'classes' not in options:
    (root / 'classes.txt').write_text('road\ncar\n')
  return folder.load(str(root), **options)


def message(root, **options):
  with pytest.raises(UserError) as caught:
    load(root, **options)
  return str(caught.value)


def names_of(dataset):
  """Returns the names of the examples for training, without labels, and for validation."""
  unlabeled = dataset.unlabeled.names if dataset.unlabeled else ()
  return dataset.train.names, unlabeled, dataset.val.names


def text_of(names):
  return ' '.join(names)


# --------------------------------------------------------------------------- layouts

VOC_LISTS = {
  'ImageSets__Segmentation__train_txt': 'a\nb\n',
  'ImageSets__Segmentation__val_txt': 'c\n',
  'ImageSets__Segmentation__test_txt': 'h\n',
}
CASES = {  # files, text files; names for training, without labels, for validation; unused ones
  'own': (
    ('labeled/images/{a,b,c}.jpg', 'labeled/masks/{a,b}.png', 'unlabeled/images/{u}.jpg',
     'unlabeled/masks/u.png', 'val/images/v.png', 'val/masks/v.png'),
    {}, 'a b', 'c u', 'v', ''),
  'own without val': (
    ('labeled/images/{a,b,c}.jpg', 'labeled/masks/{a,b,c}.png', 'unlabeled/u.jpg'),
    {}, 'a b', 'u', 'c', ''),
  'pair': (('images/{a,b,c,d}.jpg', 'masks/{a,b,c}.png'), {}, 'a b', 'd', 'c', ''),
  'pair, other words': (
    ('JPEGImages/{a,b,c}.JPG', 'Annotations/{a,b,c}.TIF', 'Unlabelled/u.png'),
    {}, 'a b', 'u', 'c', ''),
  'pair with valid/': (
    ('img/{a,b}.png', 'mask/{a,b}.png', 'valid/img/v.png', 'valid/mask/v.png'),
    {}, 'a b', '', 'v', ''),
  'pair, a longer name': (
    ('images/{a,b,c}.png', 'label_images_semantic/{a,b,c}.png'), {}, 'a b', '', 'c',
    'masks in label_images_semantic/'),
  'pair, masks in images/': (
    ('images/{a,b,c,d}.png', 'images/masks/{a,b,c}.png'), {}, 'a b', 'd', 'c', ''),
  'Cityscapes': (
    ('leftImg8bit/train/ulm/{a,b}_leftImg8bit.png', 'gtFine/train/ulm/{a,b}_gtFine_labelIds.png',
     'gtFine/train/ulm/a_gtFine_color.png', 'leftImg8bit/val/ulm/c_leftImg8bit.png',
     'gtFine/val/ulm/c_gtFine_labelIds.png'),
    {}, 'ulm/a_leftImg8bit ulm/b_leftImg8bit', '', 'ulm/c_leftImg8bit',
    '1 picture of masks is not used: a_gtFine_color.png'),
  'pair, nested': (
    ('images/x/{a,b}.jpg', 'images/y/{a,b}.jpg', 'masks/x/{a,b}.png', 'masks/y/{a}.png'),
    {}, 'x/a y/a', 'y/b', 'x/b', ''),
  'Roboflow': (
    ('train/{a,b}.jpg', 'train/{a,b}_mask.png', 'valid/v.jpg', 'valid/v_mask.png', 'test/t.jpg',
     'test/t_mask.png'),
    {'train___classes_csv': 'Pixel Value, Class\n0, road\n1, car\n'}, 'a b', '', 'v',
    '1 image for tests in test/ is not used'),
  'Roboflow without valid': (
    ('train/{a,b,c}.jpg', 'train/{a,b,c}_mask.png', 'test/t.jpg', 'test/t_mask.png'),
    {}, 'a b', '', 'c', 'test/ is not used'),
  'splits': (
    ('train/images/{a,b}.jpg', 'train/masks/{a}.png', 'validation/images/v.jpg',
     'validation/masks/v.png', 'unlabeled/u.jpg'),
    {}, 'a', 'b u', 'v', ''),
  'kinds': (
    ('images/train/{a,b}.jpg', 'masks/train/{a,b}.png', 'images/val/v.jpg', 'masks/val/v.png',
     'images/unlabeled/u.jpg', 'images/test/t.jpg'),
    {}, 'a b', 'u', 'v', 'images/test/ is not used'),
  'kinds, masks of all parts together': (
    ('images/train/{a,b}.jpg', 'images/val/v.jpg', 'masks/{a,b,v}.png'), {}, 'a b', '', 'v', ''),
  'mmsegmentation': (
    ('img_dir/train/{a,b}.jpg', 'ann_dir/train/{a,b}_labelTrainIds.png', 'img_dir/val/v.jpg',
     'ann_dir/val/v_labelTrainIds.png', 'img_dir/test/t.jpg'),
    {}, 'a b', '', 'v', 'the mask of a.jpg is a_labelTrainIds.png'),
  'ADE20K': (
    ('images/training/{a,b}.jpg', 'annotations/training/{a,b}.png', 'images/validation/v.jpg',
     'annotations/validation/v.png'),
    {}, 'a b', '', 'v', "label_map='0:void,1:0,2:1,...'"),
  'SegNet': (
    ('train/{a,b}.png', 'trainannot/{a,b}.png', 'val/v.png', 'valannot/v.png', 'test/t.png',
     'testannot/t.png'),
    {'train_txt': '/x/train/a.png /x/trainannot/a.png\n'}, 'a b', '', 'v', 'test/ is not used'),
  'siblings': (
    ('train_images/{a,b,c}.png', 'train_masks/{a,b,c}.png'), {}, 'a b', '', 'c', ''),
  'VOC': (
    ('VOCdevkit/VOC2012/JPEGImages/{a,b,c,e,f,h}.jpg',
     'VOCdevkit/VOC2012/SegmentationClass/{a,b,c,e}.png'),
    {f'VOCdevkit__VOC2012__{name}': text for name, text in VOC_LISTS.items()},
    'a b', 'f', 'c', '1 image with a mask is in no list of names and not used: e.jpg'),
  'VOC without lists': (
    ('JPEGImages/{a,b,c,d}.jpg', 'SegmentationClass/{a,b,c}.png', 'SegmentationObject/{a,b,c}.png'),
    {}, 'a b', 'd', 'c', ''),
  'groups': (
    ('paris/images/{a,b}.jpg', 'paris/masks/{a,b}.png', 'rome/images/{a,b}.jpg',
     'rome/masks/{a}.png'),
    {}, 'paris/b rome/a', 'rome/b', 'paris/a', ''),
  'groups, one without masks': (
    ('v0/frames/{a,b}.jpg', 'v0/masks/{a,b}.png', 'v1/frames/a.jpg', 'v1/masks/a.png',
     'v2/frames/{a,b}.jpg'),
    {}, 'v0/b v1/a', 'v2/a v2/b', 'v0/a', '2 of 5 images have no mask'),
  'groups and val/': (
    ('v0/image/{a,b}.jpg', 'v0/mask/{a,b}.png', 'v1/image/a.jpg', 'v1/mask/a.png',
     'val/image/c.jpg', 'val/mask/c.png'),
    {}, 'v0/a v0/b v1/a', '', 'c', 'validation in val/image/'),
  'data/ and masks/': (
    ('data/{a,b,c}.jpg', 'masks/{a,b}.png'), {}, 'a', 'c', 'b', 'images in data/'),
  'LoveDA': (
    ('Train/Urban/images_png/1.png', 'Train/Urban/masks_png/1.png', 'Train/Rural/images_png/2.png',
     'Train/Rural/masks_png/2.png', 'Val/Rural/images_png/3.png', 'Val/Rural/masks_png/3.png',
     'Test/Rural/images_png/4.png'),
    {}, 'Rural/2 Urban/1', '', 'Rural/3', '1 image for tests'),
  'UAVid': (
    ('uavid_train/seq1/Images/{1,2}.png', 'uavid_train/seq1/Labels/{1,2}.png',
     'uavid_val/seq2/Images/1.png', 'uavid_val/seq2/Labels/1.png'),
    {}, 'seq1/1 seq1/2', '', 'seq2/1', ''),
  'FloodNet': (
    ('train/train-org-img/{1,2}.jpg', 'train/train-label-img/{1,2}_lab.png',
     'val/val-org-img/7.jpg', 'val/val-label-img/7_lab.png'),
    {}, '1 2', '', '7', 'the mask of 1.jpg is 1_lab.png'),
  'Mapillary Vistas': (
    ('training/images/{a,b}.jpg', 'training/v1.2/labels/{a,b}.png',
     'training/v2.0/labels/{a,b}.png', 'validation/images/c.jpg', 'validation/v2.0/labels/c.png'),
    {}, 'a b', '', 'c', 'masks in training/v2.0/labels/'),
  'BDD100K': (
    ('images/10k/train/{a,b}.jpg', 'labels/sem_seg/masks/train/{a,b}.png', 'images/10k/val/c.jpg',
     'labels/sem_seg/masks/val/c.png', 'images/10k/test/d.jpg'),
    {}, 'a b', '', 'c', '1 image for tests'),
  'parts with a year': (
    ('images/train2017/{a,b}.jpg', 'annotations/train2017/{a,b}_label.png',
     'images/val2017/c.jpg', 'annotations/val2017/c_label.png'),
    {}, 'a b', '', 'c', ''),
  'CVAT, lists by subset': (
    ('JPEGImages/{a,b,c}.jpg', 'SegmentationClass/{a,b,c}.png'),
    {'ImageSets__Segmentation__Train_txt': 'a\nb\n',
     'ImageSets__Segmentation__Validation_txt': 'c\n'}, 'a b', '', 'c', ''),
  'DRIVE': (
    ('training/images/{21,22,23}_training.tif',
     'training/1st_manual/{21_manual_gt,22_manual_gt}.gif',
     'training/mask/{21_training_mask,22_training_mask}.gif', 'test/images/01_test.tif'),
    {}, '22_training', '23_training', '21_training', '1 directory of images is not used: '
    'training/mask/'),
  'ISIC': (
    ('ISIC2018_Task1-2_Training_Input/{1,2}.jpg',
     'ISIC2018_Task1_Training_GroundTruth/{1,2}_segmentation.png',
     'ISIC2018_Task1-2_Validation_Input/3.jpg',
     'ISIC2018_Task1_Validation_GroundTruth/3_segmentation.png'),
    {}, '1 2', '', '3', ''),
  'ISIC, for training only': (
    ('ISIC_Training_Data/{1,2,3}.jpg', 'ISIC_Training_GroundTruth/{1,2}_segmentation.png'),
    {}, '1', '3', '2', ''),
  'Potsdam': (
    ('2_Ortho_RGB/{1,2}_RGB.tif', '5_Labels_all/{1,2}_label.tif'), {}, '1_RGB', '', '2_RGB', ''),
  'IDRiD': (
    ('1. Images/a. Training Set/{1,2}.jpg', '2. Groundtruths (labels)/a. Training Set/{1,2}_gt.tif',
     '1. Images/b. Testing Set/3.jpg', '2. Groundtruths (labels)/b. Testing Set/3_gt.tif'),
    {}, '1', '', '2', '1 image for tests'),
  'x_train/ and y_train/': (
    ('x_train/{1,2}.png', 'y_train/{1_mask,2_mask}.png', 'x_val/3.png', 'y_val/3_mask.png'),
    {}, '1 2', '', '3', ''),
  'Unity Perception': (
    ('s.0/step0.camera.png', 's.0/step0.camera.semantic_segmentation.png', 's.1/step0.camera.png',
     's.1/step0.camera.semantic_segmentation.png'),
    {}, 's.0/step0.camera', '', 's.1/step0.camera', ''),
  'beside': (
    ('{a,b,c,d}.jpg', '{a,b,c}_label.png', 'unlabeled/u.png'),
    {}, 'a b', 'd u', 'c', 'the mask of a.jpg is a_label.png'),
  'beside, nested': (
    ('x/{a,b}.jpg', 'x/{a,b}_mask.png', 'y/{a,b}.jpg', 'y/{a}_mask.png'),
    {}, 'x/a y/a', 'y/b', 'x/b', ''),
  'beside masks/': (('{a,b,c,d}.jpg', 'masks/{a,b,c}.png'), {}, 'a b', 'd', 'c', ''),
  'one directory more': (
    ('data/data/images/{a,b,c}.jpg', 'data/data/masks/{a,b,c}.png'), {}, 'a b', '', 'c', ''),
}  # fmt: skip


@pytest.mark.parametrize('case', CASES)
def test_layouts(case, tmp_path):
  files, texts, train, unlabeled, val, note = CASES[case]
  write(tmp_path, *files)
  write_text(tmp_path, **texts)
  dataset = load(tmp_path)
  assert tuple(map(text_of, names_of(dataset))) == (train, unlabeled, val)
  assert dataset.class_names == ('road', 'car')
  notes = ' '.join(dataset.notes)
  assert note in notes
  counts = [len(text.split()) for text in (train, unlabeled, val)]
  assert '{} labelled, {} unlabelled, {} for validation.'.format(*counts) in dataset.notes[0]
  has_val_directory = any('val' in path.lower() for path in (*files, *texts))
  assert ('set aside' in notes) == (not has_val_directory)
  for source in (dataset.train, dataset.val):
    for index in range(len(source)):
      np.testing.assert_array_equal(source.read_label(index), LABEL)


@pytest.mark.parametrize('name', LAYOUTS)
def test_every_layout_refuses_other_directories(name, tmp_path):
  """A layout returns None for an empty directory and for one of files that are no images."""
  assert LAYOUTS[name](tmp_path) is None
  (tmp_path / 'notes').mkdir()
  (tmp_path / 'notes/readme.txt').write_text('')
  assert LAYOUTS[name](tmp_path) is None


def test_every_layout_has_a_case(tmp_path):
  """Each layout of the registry is the one of at least one case, and of no case two are."""
  layouts = set()
  for index, (files, texts, *_) in enumerate(CASES.values()):
    root = tmp_path / str(index)
    write(root, *files)
    write_text(root, **texts)
    layouts |= {name for name, find in LAYOUTS.items() if find(root)}
  assert layouts | {'a Supervisely project'} == set(LAYOUTS)


def test_images_for_validation_without_masks_are_left_out(tmp_path):
  """As in valid/ of DeepGlobe; validation images are then set aside."""
  write(tmp_path, 'train/{1,2}_sat.jpg', 'train/{1,2}_mask.png', 'valid/{8,9}_sat.jpg')
  dataset = load(tmp_path)
  assert sorted((*dataset.train.names, *dataset.val.names)) == ['1_sat', '2_sat']
  assert len(dataset.val) == 1 and dataset.unlabeled is None
  assert '2 images in valid/ have no mask and are not used.' in dataset.notes
  assert 'validation in' not in dataset.notes[0]


def test_a_list_of_images_for_validation_is_said(tmp_path):
  """And the option that the note names uses it; lists of other names are passed over."""
  write(tmp_path, 'images/{a,b,c}.jpg', 'masks/{a,b,c}.png')
  write_text(tmp_path, splits__valid_txt='b\n', val_txt='tile_1\n')
  option = '--config.data.val=splits/valid.txt'
  notes = load(tmp_path).notes
  assert [option in note for note in notes] == [False, False, True]
  assert load(tmp_path, val='splits/valid.txt').val.names == ('b',)


def test_directories_that_are_not_used_are_said(tmp_path):
  write(tmp_path, 'train/{a,b}.jpg', 'train_masks/{a,b}.png', 'train_masks_png/{a,b}.png')
  write(tmp_path, 'more/deep/{a,b}.jpg')
  assert (
    load(tmp_path).notes[-1] == '2 directories of images are not used: more/, train_masks_png/.'
  )


def test_patterns_may_begin_with_the_only_directory(tmp_path):
  """Patterns are relative to the root, or to the only directory in it."""
  write(tmp_path, 'camvid/images/{a,b,c}.jpg', 'camvid/labels/{a,b,c}_P.png')
  write_text(tmp_path, camvid__valid_txt='b.jpg\n', camvid__codes_txt='road\ncar\n')
  for val in ('valid.txt', 'camvid/valid.txt'):
    assert folder.load(str(tmp_path), val=val).val.names == ('b',)


def test_cvat_with_colours(tmp_path):
  write(tmp_path, 'JPEGImages/{a,b,c,d}.jpg')
  write(tmp_path, 'SegmentationClass/{a,b,c}.png', colors=[(0, 0, 0), (128, 64, 0)])
  write(tmp_path, 'SegmentationObject/{a,b,c}.png', colors=[(0, 0, 0), (9, 9, 9)])
  lists = {'ImageSets__Segmentation__default_txt': 'a\nb\nc\nd\n'}
  table = '# label:color_rgb:parts:actions\nroad:0,0,0::\ncar:128,64,0::\n'
  write_text(tmp_path, labelmap_txt=table, **lists)
  dataset = folder.load(str(tmp_path))
  assert names_of(dataset) == (('a', 'b'), ('d',), ('c',))
  assert dataset.class_names == ('road', 'car') and dataset.palette[1] == (128, 64, 0)
  np.testing.assert_array_equal(dataset.train.read_label(0), LABEL)


def write_supervisely(root, machine=True):
  classes = [
    {'title': 'kiwi', 'shape': 'polygon', 'color': '#FF0000'},
    {'title': 'car', 'shape': 'bitmap', 'color': '#0000FF'},
  ]
  write_text(root, meta_json=json.dumps({'classes': classes, 'tags': []}))
  for name in ('ds0', 'ds1'):
    write(root, f'{name}/img/{{a,b}}.jpg')
    for image in 'ab':
      path = root / name / 'ann' / f'{image}.jpg.json'
      path.parent.mkdir(exist_ok=True)
      path.write_text('{"description": "", "size": {"height": 2, "width": 3}, "objects": []}')
  if machine:
    write_text(root, obj_class_to_machine_color_json='{"kiwi": [1, 1, 1], "car": [2, 2, 2]}')
  return root


def test_supervisely_masks_of_ids(tmp_path):
  root = write_supervisely(tmp_path)
  write(root, '{ds0,ds1}/masks_machine/a.png', colors=[(0, 0, 0), (2, 2, 2)])
  write(root, '{ds0,ds1}/masks_machine/b.png', colors=[(1, 1, 1), (0, 0, 0)])
  dataset = folder.load(str(root))
  assert names_of(dataset) == (('ds0/a', 'ds1/a', 'ds1/b'), (), ('ds0/b',))
  assert dataset.class_names == ('background', 'kiwi', 'car')
  assert dataset.palette == ((0, 0, 0), (255, 0, 0), (0, 0, 255))
  np.testing.assert_array_equal(dataset.train.read_label(0), 2 * LABEL)
  np.testing.assert_array_equal(dataset.val.read_label(0), 1 - LABEL)


def test_supervisely_masks_of_colours(tmp_path):
  root = write_supervisely(tmp_path, machine=False)
  write(root, '{ds0,ds1}/masks_human/{}a.png', colors=[(0, 0, 0), (0, 0, 255)])
  write(root, 'ds0/masks_human/a.png', 'ds0/masks_human/b.png', colors=[(0, 0, 0), (0, 0, 255)])
  dataset = folder.load(str(root))
  np.testing.assert_array_equal(dataset.train.read_label(0), 2 * LABEL)


def test_supervisely_without_masks_names_the_command(tmp_path):
  root = write_supervisely(tmp_path)
  assert_says(
    message(root),
    'ds0/ann/a.jpg.json is an annotation of Supervisely',
    f'--from=supervisely --input={root} --output={root}',
  )


# ------------------------------------------------------------------------ names of masks


@pytest.mark.parametrize(
  'images, masks, pairs',
  [
    ('a b c', 'a b', 'a=a b=b'),
    ('a b', 'a_mask b_mask', 'a=a_mask b=b_mask'),
    ('a b', 'mask_a mask_b', 'a=mask_a b=mask_b'),
    ('a b', 'a-label b-label', 'a=a-label b=b-label'),
    ('a b', 'a_labelIds b_labelIds', 'a=a_labelIds b=b_labelIds'),
    ('a b', 'a_seg b_gt', 'a=a_seg b=b_gt'),
    ('a', 'a_gtFine_labelIds a_gtFine_color a_gtFine_instanceIds', 'a=a_gtFine_labelIds'),
    ('a', 'a_color', 'a=a_color'),
    ('1_sat 2_sat', '1_mask 2_mask', '1_sat=1_mask 2_sat=2_mask'),
    ('img_1 img_2 img_12', '1 2 12', 'img_1=1 img_2=2 img_12=12'),
    ('img_001 img_012', '1 12', 'img_001=1 img_012=12'),
    ('image_01 image_02', 'foo_01_bar foo_02_bar', 'image_01=foo_01_bar image_02=foo_02_bar'),
    ('s_1 s_2', 's_mask_1 s_mask_2', 's_1=s_mask_1 s_2=s_mask_2'),
    ('A B', 'a b', 'A=a B=b'),
    ('x/a y/b', 'a b', 'x/a=a y/b=b'),
    ('x/a y/a', 'a', ''),
    ('v1.5 v1.6', 'v1.5_mask v1.6_mask', 'v1.5=v1.5_mask v1.6=v1.6_mask'),
    ('a.jpg b.jpg', 'a.jpg___fuse b.jpg___fuse', 'a.jpg=a.jpg___fuse b.jpg=b.jpg___fuse'),
    ('photo photo_1', 'photo photo_1 photo_2', 'photo=photo photo_1=photo_1'),
    ('p q', '1 2', ''),
  ],
)
def test_rules_of_names(images, masks, pairs, tmp_path):
  found = match_masks(
    {name: tmp_path / f'{name}.jpg' for name in images.split()},
    {name: tmp_path / f'{name}.png' for name in masks.split()},
  )
  assert {
    k: v.relative_to(tmp_path).with_suffix('').as_posix() for k, v in found.masks.items()
  } == {image: mask for image, _, mask in (pair.partition('=') for pair in pairs.split())}
  assert len(found.unused) == len(masks.split()) - len(pairs.split())


@pytest.mark.parametrize('masks', ['a a_mask', 'a_mask a_label', 'a_mask a_mask_1', 'a_seg seg_a'])
def test_two_masks_of_one_image(masks, tmp_path):
  (tmp_path / 'images').mkdir()
  write(tmp_path, 'images/{a,b}.jpg', *(f'masks/{name}.png' for name in masks.split()))
  first, second = sorted(f'{name}.png' for name in masks.split())
  assert_says(
    message(tmp_path),
    f'images/a.jpg has two masks, {first}, {second}',
    "--config.data.masks='masks/{name}_mask.png'",
  )


@pytest.mark.parametrize(
  'files, images, masks, unused',
  [
    ('a.jpg a_mask.png b.jpg c_mask.png', 'a b', 'a', 'c_mask.png'),
    ('1_sat.jpg 1_mask.png 2_sat.jpg', '1_sat 2_sat', '1_sat', ''),
    ('k/image.png k/mask.png l/image.png', 'k/image l/image', 'k/image', ''),
    ('a.jpg a.png b.jpg', 'a b', 'a', ''),
    ('a.jpg a_mask.png a_overlay.png seg_x.jpg', 'a seg_x', 'a', 'a_overlay.png'),
    ('a.jpg b.jpg', 'a b', '', ''),
  ],
)
def test_masks_beside_images(files, images, masks, unused, tmp_path):
  matches = split_beside([tmp_path / name for name in files.split()], tmp_path)
  assert sorted(matches.images) == images.split() and sorted(matches.masks) == masks.split()
  assert [path.name for path in matches.unused] == unused.split()


def test_affixes_that_are_not_clear():
  assert find_affix_pairs(['img_1', 'img_2'], ['1', '2']) == {'img_1': '1', 'img_2': '2'}
  assert find_affix_pairs(['1_2', '2_1'], ['1', '2']) == {}  # by the first or the last number
  assert find_affix_pairs([], ['a']) == find_affix_pairs(['a'], []) == {}


def test_masks_without_an_image_are_counted(tmp_path):
  write(tmp_path, 'images/{a,b}.jpg', 'masks/{a,b,x,y}.png')
  assert '2 masks have no image and are not used: x.png, y.png.' in load(tmp_path).notes


def test_validation_images_without_a_mask_are_counted(tmp_path):
  write(tmp_path, *CASES['own'][0], 'val/images/w.png')
  dataset = load(tmp_path)
  assert dataset.val.names == ('v',) and dataset.unlabeled.names == ('c', 'u')
  assert 'Validation: 1 of 2 images has no mask and is not used: w.png.' in dataset.notes


# -------------------------------------------------------------------- set aside


def test_validation_share_is_stable():
  names = [f'image {index}' for index in range(400)]
  chosen = choose_validation(names, 0.2, seed=0)
  assert 60 < len(chosen) < 100
  more = [*names, *(f'new {index}' for index in range(400))]
  assert choose_validation(more, 0.2, seed=0) & set(names) == chosen
  assert choose_validation(names[:100], 0.2, seed=0) == chosen & set(names[:100])
  assert choose_validation(names[::-1], 0.2, seed=0) == chosen
  assert choose_validation(names, 0.2, seed=1) != chosen
  assert choose_validation(names, 0.3, seed=0) > chosen


def test_at_least_one_image_on_each_side():
  for count in range(2, 8):
    for share in (0.0, 0.01, 0.99):
      chosen = choose_validation([str(i) for i in range(count)], share, seed=3)
      assert 1 <= len(chosen) < count


def test_a_share_of_few_images_is_between_half_and_twice():
  names = [f'street_{index:02}' for index in range(20)]
  counts = [len(choose_validation(names, 0.2, seed)) for seed in range(300)]
  assert (min(counts), max(counts)) == (2, 8) and 3.5 < np.mean(counts) < 4.5
  assert {len(choose_validation(names[:5], 0.2, seed)) for seed in range(300)} == {1, 2}


def test_one_image_with_a_mask_is_too_few(tmp_path):
  write(tmp_path, 'images/{a,b}.jpg', 'masks/a.png')
  assert_says(message(tmp_path), "Only the image 'a'", 'second image', '--config.data.val')


def test_images_of_a_list_stay_labelled(tmp_path):
  write(tmp_path, 'images/{a,b,c,d,e,f}.jpg', 'masks/{a,b,c,d,e,f}.png')
  assert load(tmp_path).val.names == ('c', 'f')
  (tmp_path / 'list.txt').write_text('c\na.jpg\n')
  options = {'labeled': str(tmp_path / 'list.txt')}
  assert load(tmp_path, **options).val.names == ('f',)
  (tmp_path / 'list.txt').write_text('c\nf\n')
  dataset = load(tmp_path, **options)
  assert {'c', 'f'} <= set(dataset.train.names) and len(dataset.val) == 1
  (tmp_path / 'list.txt').write_text('a\nb\nc\nd\ne\nf\n')
  assert_says(message(tmp_path, **options), 'lists all 6 images', '--config.data.val')
  assert load(tmp_path, labeled='1/2').val.names == ('c', 'f')


# ---------------------------------------------------------------------- patterns


def test_patterns(tmp_path):
  write(tmp_path, 'day1/photos/{a,b}.JPG', 'day2/photos/{a,c}.jpg', 'day1/gt/{a,b}_m.png')
  write(tmp_path, 'day2/gt/{a}_m.png', 'more/u.png')
  dataset = load(
    tmp_path, images='day*/photos/*.jpg', masks='day*/gt/*.png', unlabeled_images='more'
  )
  assert sorted(dataset.train.names + dataset.val.names) == ['day1/a', 'day1/b', 'day2/a']
  assert dataset.unlabeled.names == ('day2/c', 'u')
  assert 'the mask of a.JPG is a_m.png' in ' '.join(dataset.notes)


def test_pattern_with_the_name(tmp_path):
  write(tmp_path, 'images/{a,b,c}.jpg', 'gt/{a,b,c}_1.png', 'gt/{a,b,c}_2.png')
  dataset = load(tmp_path, masks='gt/{name}_2.png')
  assert dataset.train.files.mask(0) == tmp_path / 'gt/a_2.png'
  assert 'masks gt/{name}_2.png' in dataset.notes[0]


@pytest.mark.parametrize('val', ['images/[ab].jpg', 'val.txt', 'images/a.jpg, images/b*'])
def test_patterns_of_validation_images(tmp_path, val):
  write(tmp_path, 'images/{a,b,c,d}.jpg', 'masks/{a,b,c,d}.png')
  (tmp_path / 'val.txt').write_text('images/a.jpg\nb\n')
  dataset = load(tmp_path, val=val)
  assert (dataset.train.names, dataset.val.names) == (('c', 'd'), ('a', 'b'))
  assert dataset.unlabeled is None and 'set aside' not in ' '.join(dataset.notes)


def test_validation_images_are_nowhere_else(tmp_path):
  """A pattern of images or of unlabelled images may include those for validation."""
  write(tmp_path, 'x/images/{a,b}.jpg', 'y/images/v.jpg', 'x/masks/{a,b}.png', 'y/masks/v.png')
  dataset = load(
    tmp_path,
    images='*/images/*',
    masks='*/masks/*',
    val='y/images/*',
    unlabeled_images='**/images/*',
  )
  assert names_of(dataset) == (('x/a', 'x/b'), (), ('y/v',))


@pytest.mark.parametrize(
  'options, parts',
  [
    (
      {'images': 'fotos/*'},
      ("config.data.images='fotos/*'", 'matches no image', 'images/, masks/'),
    ),
    ({'masks': 'masks/{name}_x.png'}, ("config.data.masks='masks/{name}_x.png'", 'no image')),
    ({'val': 'val.txt'}, ("config.data.val='val.txt'", 'matches no image')),
    ({'images': 'images/a.jpg, images/x/a.png'}, ('both have the name', 'wildcards')),
  ],
)
def test_patterns_that_match_nothing(tmp_path, options, parts):
  write(tmp_path, 'images/{a,b}.jpg', 'masks/{a,b}.png', 'images/x/a.png')
  assert_says(message(tmp_path, **options), *parts)


# ---------------------------------------------------------------------- refusals


def test_ambiguous_layouts(tmp_path):
  write(tmp_path, 'images/{a,b}.jpg', 'masks/{a,b}.png', 'train/images/c.jpg', 'train/masks/c.png')
  assert_says(message(tmp_path), 'in 2 ways, as images/ and masks/ or as train/ and val/', 'choose')
  options = {'images': 'images/*', 'masks': 'masks/{name}.png'}
  assert load(tmp_path, **options).train.names + load(tmp_path, **options).val.names == ('a', 'b')


def test_ambiguous_directories(tmp_path):
  write(tmp_path, 'images/{a,b}.jpg', 'masks/{a,b}.png', 'img/c.jpg')
  assert_says(message(tmp_path), 'images/ and img/', "--config.data.images='images/*'")
  (tmp_path / 'img/c.jpg').unlink()  # without images it is passed over
  assert load(tmp_path).train.names == ('a',)


def test_directory_of_no_known_layout(tmp_path):
  write(tmp_path, 'foo/a.jpg', 'bar/b.jpg')
  assert_says(
    message(tmp_path), 'no layout that is known', 'bar/, classes.txt, foo/', 'images/ and masks/'
  )


def test_names_that_do_not_match(tmp_path):
  write(tmp_path, 'images/{p,q}.jpg', 'masks/{1,2}.png')
  sentence = message(tmp_path)
  assert_says(sentence, 'None of 2 images for training', 'images/p.jpg, images/q.jpg')
  assert_says(sentence, 'masks/1.png, masks/2.png', "--config.data.masks='masks/{name}_mask.png'")
  with keep_findings() as findings, pytest.raises(UserError):  # the check says the same
    load(tmp_path)
  assert not findings


ANNOTATIONS = {
  'labelme': ('{"version": "5", "shapes": [], "imagePath": "a.jpg"}', 'a.json'),
  'coco': ('{"images": [], "annotations": [], "categories": []}', 'instances.json'),
  'cvat': ('<?xml version="1.0"?><annotations><image id="0"/></annotations>', 'annotations.xml'),
}


@pytest.mark.parametrize('kind', ANNOTATIONS)
def test_annotations_that_are_no_masks(kind, tmp_path):
  content, name = ANNOTATIONS[kind]
  write(tmp_path, '{a,b}.jpg')
  (tmp_path / name).write_text(content)
  source = tmp_path if kind == 'labelme' else tmp_path / name
  command = f'--from={kind} --input={source} --output={tmp_path}'
  assert_says(message(tmp_path), f'{tmp_path / name} is an annotation', command)


def test_labels_of_yolo(tmp_path):
  write(tmp_path, 'images/{a,b}.jpg')
  write_text(tmp_path, labels__a_txt='0 0.1 0.2 0.3 0.4 0.5 0.6\n')
  assert_says(message(tmp_path), f'{tmp_path / "labels"} holds text files as labels of YOLO')


def test_cvat_without_images(tmp_path):
  write(tmp_path, 'SegmentationClass/{a,b}.png')
  write_text(tmp_path, ImageSets__Segmentation__default_txt='a\nb\n')
  assert_says(message(tmp_path), 'SegmentationClass/, but no images', tmp_path / 'JPEGImages')


def test_layout_of_a_link(tmp_path):
  write(tmp_path, 'real/images/{a,b}.jpg', 'real/masks/{a,b}.png')
  (tmp_path / 'data').mkdir()
  for name in ('images', 'masks'):
    (tmp_path / 'data' / name).symlink_to(tmp_path / 'real' / name)
  assert load(tmp_path / 'data').train.names == ('a',)
  assert match_layout(tmp_path / 'data').train[0].images == tmp_path / 'data/images'


def test_known_converters():
  assert {form.converter for form in FORMATS} <= set(CONVERTERS)


# ------------------------------------------------------------ check and training


def write_training_data(root):
  """Six labelled images of `toy` in images/ and masks/, and no others."""
  for seed in range(6):
    toy.write_pair(root, f'{seed}', seed)
  (root / 'classes.txt').write_text('\n'.join(toy.CLASSES) + '\n')
  return root


def test_check_and_training_print_the_same(tmp_path, capsys):
  root = write_training_data(tmp_path / 'data')
  assert check_data(toy.config(root), tmp_path / 'out') == []
  report = (tmp_path / 'out/report.txt').read_text()
  setup, _ = prepare(toy.config(root), tmp_path / 'run')
  notes = [*setup.dataset.notes, ALL_LABELED]
  assert len(notes) == 3 and f'{root}: images in images/, masks in masks/' in notes[0]
  assert '\n'.join(notes) in report and '\n'.join(notes) in capsys.readouterr().out
  # All labelled images are used without labels, too, and none that is set aside.
  assert setup.split.unlabeled.names == setup.split.labeled.names
  assert setup.split.unlabeled.read_label is None
  assert not set(setup.dataset.val.names) & set(setup.split.labeled.names)


def test_check_and_training_refuse_alike(tmp_path):
  root = write_training_data(tmp_path / 'data')
  for letter, path in zip('pqrstu', sorted((root / 'masks').iterdir()), strict=True):
    path.rename(path.with_name(f'{letter}.png'))
  (finding,) = check_data(toy.config(root), tmp_path / 'out')
  with pytest.raises(UserError) as caught:
    prepare(toy.config(root), tmp_path / 'run')
  assert finding.sentence == str(caught.value)
  assert 'None of 6 images for training' in finding.sentence and not (tmp_path / 'run').exists()


def test_one_mask_per_object_is_refused(tmp_path):
  write(tmp_path, 'images/{img0,img1}.png', 'masks/img0/{0,1}.png', 'masks/img1/{0,1}.png')
  assert_says(message(tmp_path), '4 masks for 2 images', 'several masks for an image', 'one file')


def test_system_directories_are_no_part_of_a_layout(tmp_path):
  write(tmp_path, 'data/images/{a,b,c}.jpg', 'data/masks/{a,b,c}.png', '@eaDir/{x,y}.jpg')
  assert len(load(tmp_path).train) + len(load(tmp_path).val) == 3
