"""meta.json and directories with img/, ann/ and masks_machine/: projects of Supervisely."""

from pathlib import Path

from classmix_jax.datasets.folder.layouts.layout import Layout, Part
from classmix_jax.datasets.folder.layouts.words import (
  TEST,
  UNLABELED,
  VAL,
  children,
  find_child,
  spell,
)

MACHINE_CLASSES = 'obj_class_to_machine_color.json'


def find_supervisely(root: Path) -> Layout | None:
  """Returns the layout of a project, None without meta.json and img/; see "Export as masks".

  Masks are those of masks_machine/, which hold ids, or else of masks_human/. A data set that is
  named val or test is that part; the others are for training.
  """
  if not (root / 'meta.json').is_file():
    return None
  directories = [path for path in (root, *children(root)) if (path / 'img').is_dir()]
  if not directories:
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
      parts[role].append(Part(directory / 'img', _find_masks(directory), prefix=prefix))
  masks = {part.masks.name for part in parts['train']}
  class_file = root / (MACHINE_CLASSES if masks == {'masks_machine'} else 'meta.json')
  return Layout(
    train=tuple(parts['train']),
    val=tuple(parts['val']),
    test=tuple(parts['test']),
    unlabeled=tuple(unlabeled),
    class_file=class_file if class_file.is_file() else root / 'meta.json',
    marked=True,
  )


def _find_masks(directory: Path) -> Path:
  """Returns masks_machine/, else masks_human/, else the annotations, which hold no masks."""
  for name in ('masks_machine', 'masks_human'):
    masks = find_child(directory, (name,))
    if masks is not None:
      return masks
  return directory / 'ann'
