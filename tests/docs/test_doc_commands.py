"""Every command and Python block of the docs runs, on small data and for a few steps.

Each page starts with a folder of its own in which the words in capitals exist: DIR is a data set,
RUN a run, IMAGES a folder of images. Its commands run there in order, as they are written, but that
trainings are short and tables small. Not run are commands that say what they need
(`# needs Cityscapes`), pip and tensorboard, and of make all but `make train`; test_docs.py parses
them.
"""

import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys

from pages import PAGES, ROOT, blocks, commands, inline_commands, name_of
from PIL import Image
import pytest
import toy

import classmix_jax

pytestmark = pytest.mark.slow

SHORT = [
  '--config.eval_every=0',
  '--config.log_every=1',
  '--config.batch_size=2',
  '--config.unlabeled_batch_size=2',
]
OVERRIDES = {
  'launch/main.py': ['--config.steps=2', *SHORT],
  'launch/table.py': ['--config.steps=2', '--methods=supervised,classmix', '--seeds=0', *SHORT],
  'benchmarks/scaling.py': ['--steps=1', '--devices=1'],
}
OWN_CROP = '--config.data.crop=(24,32)'  # of the small data set
SHOWN = [page for page in PAGES if page.parent.name != 'benchmarks']
WITH_PYTHON = [
  page for page in SHOWN if page.name != 'extending.md' and list(blocks(page, 'python'))
]


def arguments_of(command):
  """What python runs for a command, None for those that are not run here."""
  if command.needs:
    return None
  words = command.words
  if words[:2] == ['make', 'train']:
    recipe = re.search(r'^train:.*\n\t\$\(RUN\) (.+)$', (ROOT / 'Makefile').read_text(), re.M)
    words = ['python', *recipe[1].split()]
  if words[0] != 'python' or words[1].startswith('-'):
    return None
  extra = OVERRIDES.get(words[1], [])
  if extra and any('folder.py' in word for word in words):
    extra = [*extra, OWN_CROP]
  return [*words[1:], *extra]


def run(arguments, cwd):
  if arguments[0] == 'launch/main.py':  # each training starts anew
    named = [word.partition('=')[2] for word in arguments if word.startswith('--workdir=')]
    shutil.rmtree(cwd / named[-1] if named else cwd / 'nothing', ignore_errors=True)
  ended = subprocess.run(
    [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=1200
  )
  assert ended.returncode == 0, f'{" ".join(arguments)}\n{ended.stdout}\n{ended.stderr}'


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  """A folder in which everything is that pages speak of."""
  folder = tmp_path_factory.mktemp('docs')
  for name in ('classmix_jax', 'configs', 'launch', 'benchmarks', 'Makefile'):
    (folder / name).symlink_to(ROOT / name)
  (folder / 'docs').mkdir()
  for program in (ROOT / 'docs').glob('*.py'):
    shutil.copy(program, folder / 'docs')
  toy.write_folder(folder / 'DIR')
  images = sorted((folder / 'DIR/unlabeled/images').iterdir())
  for place in ('IMAGES', 'NEW_IMAGES', 'photos/of/today'):
    (folder / place).mkdir(parents=True)
    shutil.copy(images[0], folder / place)
  shutil.copy(images[0], folder / 'photo.jpg')
  write_annotations(folder)
  run(
    [
      'launch/main.py',
      '--config=configs/folder.py',
      f'--config.data.root={folder / "DIR"}',
      '--config.data.size=(32,48)',
      '--workdir=RUN',
      '--config.steps=2',
      *SHORT,
      OWN_CROP,
    ],
    folder,
  )
  for copy in ('OTHER', 'THIRD'):
    shutil.copytree(folder / 'RUN', folder / copy)
  return folder


def write_annotations(folder):
  """JSON of labelme, val.json of COCO, CVAT's masks in colours, and DATA with their images."""
  toy.write_folder(folder / 'DATA')
  for masks in ('labeled/masks', 'val/masks'):
    shutil.rmtree(folder / 'DATA' / masks)
  (folder / 'DATA/classes.txt').unlink()
  corners = {'box': (2, 2, 20, 14), 'ball': (24, 10, 36, 22)}
  (folder / 'JSON/street').mkdir(parents=True)
  for index in range(4):
    shapes = [
      {'label': label, 'shape_type': 'rectangle', 'points': [[a, b], [c, d]]}
      for label, (a, b, c, d) in corners.items()
    ]
    (folder / f'JSON/street/{index}.json').write_text(
      json.dumps({'imageHeight': toy.HEIGHT, 'imageWidth': toy.WIDTH, 'shapes': shapes})
    )
  regions = [
    {
      'id': 10 * image + index,
      'image_id': image,
      'category_id': index,
      'iscrowd': 0,
      'segmentation': [[a, b, c, b, c, d, a, d]],
      'bbox': [a, b, c - a, d - b],
      'area': (c - a) * (d - b),
    }
    for image in range(3)
    for index, (a, b, c, d) in enumerate(corners.values(), start=1)
  ]
  (folder / 'val.json').write_text(
    json.dumps(
      {
        'images': [
          {'id': index, 'file_name': f'{index}.png', 'height': toy.HEIGHT, 'width': toy.WIDTH}
          for index in range(3)
        ],
        'annotations': regions,
        'categories': [{'id': index, 'name': name} for index, name in enumerate(corners, start=1)],
      }
    )
  )
  toy.save(folder / 'CVAT/SegmentationClass/0.png', [[[200, 80, 60], [70, 80, 210], [0, 0, 0]]])
  (folder / 'CVAT/labelmap.txt').write_text(
    'background:0,0,0::\nbox:200,80,60::\nball:70,80,210::\n'
  )


@pytest.fixture
def place(prepared, tmp_path, monkeypatch):
  """A copy of it, for one page."""
  folder = tmp_path / 'reader'
  shutil.copytree(prepared, folder, symlinks=True)
  monkeypatch.chdir(folder)
  return folder


def runnable(page):
  found = (arguments_of(command) for command in commands(page) + inline_commands(page))
  return [arguments for arguments in found if arguments]


@pytest.mark.parametrize('page', [page for page in SHOWN if runnable(page)], ids=name_of)
def test_commands_run(page, place):
  done = []
  for arguments in runnable(page):
    if arguments not in done:
      run(arguments, place)
      done.append(arguments)


@pytest.mark.parametrize('page', WITH_PYTHON, ids=name_of)
def test_python_blocks_run(page, place):
  """With the names that the text around them has."""
  names = {'cm': classmix_jax, 'pictures': [Image.open('photo.jpg'), Path('photo.jpg')]}
  for block in blocks(page, 'python'):
    if '# needs ' not in block:
      exec(compile(block, name_of(page), 'exec'), names)
  assert os.getcwd() == str(place)
