"""meta.json and directories with img/, ann/ and masks_machine/: projects of Supervisely.

Its program "Export as masks" writes masks_machine/, whose grey values are the ids of
obj_class_to_machine_color.json (the classes of meta.json from 1), and masks_human/ in the colours
of meta.json. Pixels of no object are black in both.
"""

from pathlib import Path

from classmix_jax.data.class_files.class_table import ClassTable, Entry, build_table
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.data.class_files.words import is_background
from classmix_jax.data.files.colors import Color
from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  TEST,
  UNLABELED,
  VAL,
  children,
  spell,
)

BLACK = (0, 0, 0)


def find_supervisely(root: Path) -> Layout | None:
  """Returns the layout of a project, None without meta.json and img/.

  Masks are those of masks_machine/, or else of masks_human/. A data set that is named val or test
  is that part; the others are for training.
  """
  directories = [path for path in (root, *children(root)) if (path / 'img').is_dir()]
  if not directories or not (root / 'meta.json').is_file():
    return None
  parts: dict[str, list[Part]] = {'train': [], 'val': [], 'test': []}
  unlabeled = []
  for directory in directories:
    name = spell(directory.name)
    role = 'val' if name in VAL else 'test' if name in TEST else 'train'
    if name in UNLABELED:
      unlabeled.append(directory / 'img')
    else:
      prefix = f'{directory.name}/' if len(directories) > 1 else ''
      parts[role].append(Part(directory / 'img', _find_masks(root, directory), prefix=prefix))
  layout = Layout(
    train=tuple(parts['train']),
    val=tuple(parts['val']),
    test=tuple(parts['test']),
    unlabeled=tuple(unlabeled),
    marked=True,
  )
  if (root / 'classes.txt').is_file() or not any(map(_is_rendered, layout.train)):
    return layout
  classes, colors = read_project(root, {part.masks.name for part in layout.train})
  return layout._replace(classes=classes, class_file=root / 'meta.json', colors=colors)


def read_project(root: Path, masks: set[str]) -> tuple[ClassTable, dict[Color, int]]:
  """Returns the classes of a project, with background as class 0, and colours of its masks.

  Args:
    root: directory with meta.json, and obj_class_to_machine_color.json if the masks are exported.
    masks: names of the directories of masks, 'masks_machine' or 'masks_human'.

  Raises:
    UserError: a file is malformed.
  """
  path = root / 'meta.json'
  meta = read_class_file(path, least=1)
  machine = root / 'obj_class_to_machine_color.json'
  ids = {name: index for index, name in enumerate(meta.names, start=1)}
  if machine.is_file():
    table = read_class_file(machine, least=1)
    ids = {name: color[0] for name, color in zip(table.names, table.colors, strict=True) if color}
  colors = dict(zip(meta.names, meta.colors, strict=True))
  names = sorted((name for name in ids if not is_background(name)), key=lambda name: ids[name])
  empty = next(filter(is_background, ids), 'background')
  black = colors.get(empty) if BLACK in colors.values() else BLACK
  entries = [Entry('entry 1', empty, black, 0)]
  entries += [Entry(f'class {ids[name]}', name, colors.get(name), ids[name]) for name in names]
  grey = {(ids[name],) * 3: label for label, name in enumerate(names, start=1)}
  if empty in ids:
    grey[(ids[empty],) * 3] = 0
  return build_table(entries, path, kind='json'), grey if 'masks_machine' in masks else {}


def _find_masks(root: Path, directory: Path) -> Path:
  """Returns the masks of a data set; its annotations, which hold none, if there are no masks.

  launch/convert_labels.py writes those of a project to masks/DATASET/NAME.png.
  """
  converted = root / 'masks' if directory == root else root / 'masks' / directory.name
  places = (directory / 'masks_machine', directory / 'masks_human', converted)
  return next((place for place in places if place.is_dir()), directory / 'ann')


def _is_rendered(part: Part) -> bool:
  return part.masks.name in ('masks_machine', 'masks_human')
