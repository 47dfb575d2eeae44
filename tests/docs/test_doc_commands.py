"""Every command and Python block of the docs runs, on small data and for a few steps.

Each page gets a directory in which the words in capitals exist: DIR is a data set, RUN a training
run, IMAGES a directory of images. Its commands run there in order. Commands that say what they
need (`# needs Cityscapes`), pip, tensorboard, and all make targets but `make train` are only
parsed, by test_docs.py.
"""

import json
from pathlib import Path
import re
import shutil
import subprocess
import sys

from pages import PAGES, ROOT, blocks, commands, name_of
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
CROP = '--config.data.crop=(24,32)'  # fits the images of toy.write_folder
BOXES = {'box': (2, 2, 20, 14), 'ball': (24, 10, 36, 22)}  # x, y of two corners


def arguments_of(command):
  """Returns what python runs for a command, None if the command is not run here."""
  words = command.words
  if words[:2] == ['make', 'train']:
    recipe = re.search(r'^train:.*\n\t\$\(RUN\) (.+)$', (ROOT / 'Makefile').read_text(), re.M)
    words = ['python', *recipe[1].split()]
  if command.needs or words[0] != 'python' or words[1].startswith('-'):
    return None
  extra = OVERRIDES.get(words[1], [])
  if extra and any('folder.py' in word for word in words):
    extra = [*extra, CROP]
  return [*words[1:], *extra]


def runnable(page):
  """The arguments of every command that is run, each once, in order."""
  every = (arguments_of(command) for command in commands(page))
  return list(dict.fromkeys(tuple(arguments) for arguments in every if arguments))


def run(arguments, cwd):
  if arguments[0] == 'launch/main.py':  # each training starts from step 0
    workdirs = [word.partition('=')[2] for word in arguments if word.startswith('--workdir=')]
    if workdirs:
      shutil.rmtree(cwd / workdirs[-1], ignore_errors=True)
  result = subprocess.run(
    [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=1200
  )
  assert result.returncode == 0, f'{" ".join(arguments)}\n{result.stdout}\n{result.stderr}'


@pytest.fixture(scope='module')
def prepared(tmp_path_factory):
  """A directory with all files that the pages name in capitals."""
  root = tmp_path_factory.mktemp('docs')
  for name in ('classmix_jax', 'configs', 'launch', 'benchmarks', 'Makefile'):
    (root / name).symlink_to(ROOT / name)
  (root / 'docs').mkdir()
  for program in (ROOT / 'docs').glob('*.py'):
    shutil.copy(program, root / 'docs')
  toy.write_folder(root / 'DIR')
  image = min((root / 'DIR/unlabeled/images').iterdir())
  for directory in ('IMAGES', 'NEW_IMAGES', 'photos/of/today'):
    (root / directory).mkdir(parents=True)
    shutil.copy(image, root / directory)
  shutil.copy(image, root / 'photo.jpg')
  (root / 'list.txt').write_text('photo.jpg\n')
  write_labelme(root / 'JSON/street')
  write_coco(root / 'val.json')
  write_cvat(root / 'CVAT')
  toy.write_folder(root / 'DATA')  # the images that the annotations are for
  for masks in ('labeled/masks', 'val/masks'):
    shutil.rmtree(root / 'DATA' / masks)
  (root / 'DATA/classes.txt').unlink()
  data = [f'--config.data.root={root / "DIR"}', '--config.data.size=(32,48)']
  train = ['launch/main.py', '--config=configs/folder.py', *data, '--workdir=RUN']
  run([*train, '--config.steps=2', *SHORT, CROP], root)
  for copy in ('OTHER', 'THIRD'):
    shutil.copytree(root / 'RUN', root / copy)
  return root


def write_labelme(directory):
  directory.mkdir(parents=True)
  shapes = [
    {'label': label, 'shape_type': 'rectangle', 'points': [[a, b], [c, d]]}
    for label, (a, b, c, d) in BOXES.items()
  ]
  content = {'imageHeight': toy.HEIGHT, 'imageWidth': toy.WIDTH, 'shapes': shapes}
  for index in range(4):
    (directory / f'{index}.json').write_text(json.dumps(content))


def write_coco(path):
  size = {'height': toy.HEIGHT, 'width': toy.WIDTH}
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
    for index, (a, b, c, d) in enumerate(BOXES.values(), start=1)
  ]
  content = {
    'images': [{'id': index, 'file_name': f'{index}.png', **size} for index in range(3)],
    'annotations': regions,
    'categories': [{'id': index, 'name': name} for index, name in enumerate(BOXES, start=1)],
  }
  path.write_text(json.dumps(content))


def write_cvat(directory):
  toy.save(directory / 'SegmentationClass/0.png', [[[200, 80, 60], [70, 80, 210], [0, 0, 0]]])
  (directory / 'labelmap.txt').write_text('background:0,0,0::\nbox:200,80,60::\nball:70,80,210::\n')


@pytest.fixture
def workplace(prepared, tmp_path, monkeypatch):
  """A copy of the prepared directory for one page, which is the current one."""
  copy = shutil.copytree(prepared, tmp_path / 'reader', symlinks=True)
  monkeypatch.chdir(copy)
  return copy


WITH_COMMANDS = [page for page in PAGES[:-1] if runnable(page)]  # those of benchmarks/ are not run


@pytest.mark.parametrize('page', WITH_COMMANDS, ids=name_of)
def test_commands_run(page, workplace):
  for arguments in runnable(page):
    run(arguments, workplace)


# The code of extending.md is run by test_extending.py.
WITH_PYTHON = [p for p in PAGES[:-1] if blocks(p, 'python') and p.name != 'extending.md']


@pytest.mark.parametrize('page', WITH_PYTHON, ids=name_of)
@pytest.mark.usefixtures('workplace')
def test_python_blocks_run(page):
  """With the names that the surrounding text introduces."""
  names = {'cm': classmix_jax, 'images': [Image.open('photo.jpg'), Path('photo.jpg')]}
  for block in blocks(page, 'python'):
    if '# needs ' not in block:
      exec(compile(block, name_of(page), 'exec'), names)
