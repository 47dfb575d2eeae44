"""Small data sets on disk and small configs, for tests that run the whole program."""

import builtins
from collections.abc import Callable
import os
from pathlib import Path
import tarfile
from typing import Any
import zipfile

import numpy as np
from PIL import Image
import pytest

from classmix_jax.config.lookup import Config
from classmix_jax.data.files.colors import voc_palette
from classmix_jax.errors import UserError
from classmix_jax.methods import method_class
from configs import folder

HEIGHT, WIDTH = 32, 48
CLASSES = ('ground', 'box', 'ball')


def save(path: Path, values, mode: str | None = None, *, dtype=np.uint8, **options) -> Path:
  """Writes an image of these values; `options` are PIL's."""
  path.parent.mkdir(parents=True, exist_ok=True)
  image = Image.fromarray(np.asarray(values, dtype))
  (image.convert(mode) if mode else image).save(path, **options)
  return path


def assert_says(text: str, *parts) -> None:
  for part in parts:
    assert str(part) in text, f'{part!r} not in {text!r}'


def assert_fails(call: Callable, *parts) -> None:
  """Asserts that `call` raises a UserError whose sentence has these parts."""
  with pytest.raises(UserError) as error:
    call()
  assert_says(str(error.value), *parts)


def deny_writing(monkeypatch) -> None:
  """Makes `mkdir` and `open` for writing fail; permissions would not stop root."""

  def deny(*_, **__):
    raise PermissionError(13, 'Permission denied')

  def open_for_reading(file, mode='r', *rest, **options):
    return deny() if mode[0] in 'wax' else original(file, mode, *rest, **options)

  original = builtins.open
  monkeypatch.setattr(os, 'mkdir', deny)
  monkeypatch.setattr(builtins, 'open', open_for_reading)


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
  """A box and a ball on the ground: image `[32, 48, 3]` and label `[32, 48]`, uint8."""
  rng = np.random.default_rng(seed)
  row, column = np.mgrid[:HEIGHT, :WIDTH]
  label = np.zeros((HEIGHT, WIDTH), np.uint8)
  top, left = rng.integers(2, 16), rng.integers(2, 24)
  label[top : top + 12, left : left + 16] = 1
  y, x = rng.integers(8, 24), rng.integers(8, 40)
  label[(row - y) ** 2 + (column - x) ** 2 < 36] = 2
  label[0] = 255
  colors = np.array([[60, 90, 60], [200, 80, 60], [70, 80, 210]])
  image = colors[np.where(label == 255, 0, label)] + rng.normal(0, 12, (HEIGHT, WIDTH, 3))
  return np.clip(image, 0, 255).astype(np.uint8), label


def write_pair(root: Path, name: str, seed: int) -> None:
  image, label = draw(seed)
  for kind, array in (('images', image), ('masks', label)):
    path = root / kind / f'{name}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_folder(root: Path, labeled: int = 4, unlabeled: int = 6, val: int = 3) -> Path:
  """Writes a data set in the layout of `datasets/folder.py`; returns its root."""
  for index in range(labeled):
    write_pair(root / 'labeled', f'street/{index}', index)
  for index in range(val):
    write_pair(root / 'val', f'{index}', 100 + index)
  for index in range(unlabeled):
    path = root / 'unlabeled' / 'images' / f'{index}.jpg'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(200 + index)[0]).save(path, quality=95)
  (root / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
  return root


def config(root: Path, arguments: str = 'method=classmix', **fields) -> Config:
  """A config of a few steps on `write_folder`."""
  config = folder.get_config(arguments)
  config.data.root = str(root)
  config.data.crop = (24, 32)
  config.data.scale = (1.0, 1.0)
  config.steps = 4
  config.eval_every = 2
  config.checkpoint_every = 1
  config.log_every = 1
  config.batch_size = config.unlabeled_batch_size = 2
  config.eval_batch_size = 2
  if config.model.backbone is None:  # without a recipe behind the colon
    config.data.size = ()
    config.eval.protocol = 'paper'
    config.model.update(backbone='tiny', head='deeplab_v2', pretrained='')
    config.optim.update(rule='sgd', learning_rate=0.05, head_multiplier=1.0, weight_decay=5e-4)
    config.labeled_loss.balance = config.labels_first = 0.0
    config.eval_network = method_class(config.method.name).network_names[-1]
  config.update_from_flattened_dict(fields)
  return config


def train(config: Config, run: Path, **options) -> dict[str, Any]:
  """Prepares and trains a run; `options` are those of `run_training`. Returns its result."""
  from classmix_jax.training.prepare import prepare
  from classmix_jax.training.trainer import run_training

  setup, weights = prepare(config, run)
  return run_training(setup, run, weights, **options)


def start(config: Config, run: Path) -> tuple[Any, Any]:
  """Checks and writes a start without training; returns its setup and what creates its state."""
  from classmix_jax.training.initial_state import setup_creator
  from classmix_jax.training.prepare import prepare
  from classmix_jax.training.start import check_start, write_start

  setup, weights = prepare(config, run)
  create = setup_creator(setup, setup.make_optimizer(setup.stages[0].stop))
  write_start(setup, run, check_start(setup, run, weights, create), {})
  return setup, create


def write_run(run: Path, root: Path, arguments: str = 'method=classmix', **fields) -> Path:
  """Writes a run that was initialised and never trained, as its step 1; returns its directory."""
  import jax

  from classmix_jax.training.initial_state import initial_key
  from classmix_jax.workdir import checkpoint

  setup, create = start(config(root, arguments, **fields), run)
  state = jax.device_put(create(initial_key(setup)), jax.local_devices()[0])
  manager = checkpoint.open_manager(run / 'checkpoints')
  checkpoint.save(manager, 1, state, 0.5)
  manager.wait_until_finished()
  return run


CITYSCAPES_IDS = np.zeros(256, np.uint8)  # label of `draw` -> label id; 255 is 0, unlabeled
CITYSCAPES_IDS[[0, 1, 2]] = 7, 26, 11  # road, car, building


def write_cityscapes(root: Path) -> Path:
  """Writes Cityscapes as its archives unpack: 4 training, 2 validation and 2 test images."""
  cities = {'train': ('zurich', 'aachen'), 'val': ('frankfurt',), 'test': ('berlin',)}
  seed = 0
  for split, names in cities.items():
    for city in names:
      for frame in (1, 0):
        write_city_frame(root, split, f'{city}/{city}_{frame:06d}_000019', seed)
        seed += 1
  return root


def write_city_frame(root: Path, split: str, name: str, seed: int) -> None:
  image, label = draw(seed)
  masks = root / 'gtFine' / split / f'{name}_gtFine'
  images = {
    f'{root}/leftImg8bit/{split}/{name}_leftImg8bit.png': image,
    f'{masks}_labelIds.png': CITYSCAPES_IDS[label],
    f'{masks}_instanceIds.png': label.astype(np.uint16) * 1000,
    f'{masks}_color.png': image,
  }
  for path, array in images.items():
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
  Path(f'{masks}_polygons.json').write_text('{}')


def write_cityscapes_archives(root: Path, directories: Path) -> Path:
  """Packs what `write_cityscapes` wrote into the two archives that Cityscapes publishes."""
  root.mkdir(exist_ok=True)
  for kind in ('leftImg8bit', 'gtFine'):
    with zipfile.ZipFile(root / f'{kind}_trainvaltest.zip', 'w') as archive:
      archive.writestr('README', 'of the publisher')
      for path in sorted((directories / kind).rglob('*.*')):
        archive.write(path, path.relative_to(directories))
  return root


def write_pascal_voc(root: Path) -> Path:
  """Writes VOCdevkit/VOC2012: 4 + 1 masks of SegmentationClassAug, 2 validation images.

  'a' and 'b' have masks in SegmentationClass too; 'e' is in no list.
  """
  base = root / 'VOCdevkit' / 'VOC2012'
  masks = {'SegmentationClassAug': 'abcdevw', 'SegmentationClass': 'abvw'}
  for kind in ('JPEGImages', *masks):
    (base / kind).mkdir(parents=True)
  for seed, name in enumerate('abcdevw'):
    image, label = draw(seed)
    if seed % 2:
      image, label = image.transpose(1, 0, 2), label.T
    Image.fromarray(image).save(base / 'JPEGImages' / f'{name}.jpg', quality=90)
    grey, colored = Image.fromarray(label), Image.fromarray(label)
    colored.putpalette([channel for color in voc_palette(256) for channel in color])
    for kind, mask in zip(masks, (grey, colored), strict=True):
      if name in masks[kind]:
        mask.save(base / kind / f'{name}.png')
  lists = base / 'ImageSets' / 'Segmentation'
  lists.mkdir(parents=True)
  (lists / 'train.txt').write_text('b\na\n')
  (lists / 'val.txt').write_text('w\nv\n')
  (lists / 'trainaug.txt').write_text(
    ''.join(f'/JPEGImages/{n}.jpg /SegmentationClassAug/{n}.png\n' for n in 'dcba')
  )
  return base


def write_ade20k(root: Path, *, zero_is_void: bool = True) -> Path:
  """Writes ADEChallengeData2016: 4 training and 2 validation images, every other one turned.

  Without `zero_is_void`, masks are written as UniMatch V2 ships them.
  """
  seed = 0
  for split, short, count in (('training', 'train', 4), ('validation', 'val', 2)):
    for number in range(1, count + 1):
      image, label = draw(seed)
      if seed % 2:
        image, label = image.transpose(1, 0, 2), label.T
      name = f'ADE_{short}_{number:08d}'
      save(root / 'images' / split / f'{name}.jpg', image, quality=95)
      raw = label + np.uint8(1) if zero_is_void else label  # 255 + 1 is 0 in uint8
      save(root / 'annotations' / split / f'{name}.png', raw)
      seed += 1
  return root


def write_coco(root: Path) -> Path:
  """Writes COCO with masks: 4 training, 2 validation and 2 unlabelled images."""
  seed = 0
  for directory, count in (('train2017', 4), ('val2017', 2), ('unlabeled2017', 2)):
    for _ in range(count):
      image, label = draw(seed)
      save(root / directory / f'{seed + 9:012d}.jpg', image, quality=95)
      if directory != 'unlabeled2017':
        save(root / 'masks' / f'{seed + 9:012d}.png', label)
      seed += 1
  return root


def pack(archive: Path, directory: Path) -> None:
  """Packs the directory as the only member of a tar archive."""
  archive.parent.mkdir(parents=True, exist_ok=True)
  with tarfile.open(archive, 'w') as opened:  # as published: uncompressed, whatever its name
    opened.add(directory, directory.name)


PETS = ('Abyssinian_100', 'Bengal_7', 'beagle_31', 'pug_5')  # training; two more to test


def write_oxford_iiit_pet(manual: Path, scratch: Path) -> Path:
  """Writes the two archives of the Oxford pets; trimaps hold the label of `draw` plus 1."""
  annotations = scratch / 'annotations'
  for seed, name in enumerate((*PETS, 'Persian_2', 'boxer_9')):
    image, label = draw(seed)
    save(scratch / 'images' / f'{name}.jpg', image, quality=95)
    save(annotations / 'trimaps' / f'{name}.png', np.where(label == 255, 2, label) + 1)
  lists = {'trainval': PETS, 'test': ('Persian_2', 'boxer_9')}
  for split, names in lists.items():
    (annotations / f'{split}.txt').write_text(''.join(f'{name} 1 2 1\n' for name in names))
  for kind in ('images', 'annotations'):
    pack(manual / f'{kind}.tar.gz', scratch / kind)
  return manual


def write_scene_parse150(manual: Path, scratch: Path) -> Path:
  """Writes the two archives of the builder: instance masks, with the category in red."""
  seed = 0
  for split, short, count in (('training', 'train', 3), ('validation', 'val', 2)):
    for number in range(1, count + 1):
      image, label = draw(seed)
      instances = np.stack([label + np.uint8(1), label > 0, np.zeros_like(label)], axis=-1)
      name = f'ADE_{short}_{number:08d}'
      save(scratch / 'images' / split / f'{name}.jpg', image, quality=95)
      save(scratch / 'annotations_instance' / split / f'{name}.png', instances)
      seed += 1
  for kind in ('images', 'annotations_instance'):
    pack(manual / f'{kind}.tar', scratch / kind)
  return manual
