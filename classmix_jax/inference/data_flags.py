"""Flags that name the images of an evaluation, and what they change in a config.

Synopsis:

    flags = DataFlags(images='test/images', masks='test/masks', options={'label_map': '255:1'})
    check_flags(flags)
    name_flags('Set --config.data.root=DIR.', 'RUN')    # 'Set --root=DIR.'
"""

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import re
from types import MappingProxyType
from typing import Any, NamedTuple

from classmix_jax.config.defaults import data_defaults
from classmix_jax.data.files.find_images import is_image_name
from classmix_jax.datasets.folder.patterns import WILDCARDS
from classmix_jax.errors import UserError

PARTS = ('val', 'test', 'all')
# Fields of config.data that describe the masks and images of a set, each a flag of evaluate.
OPTIONS = (
  'classes',
  'label_map',
  'colors',
  'ignore',
  'mask_threshold',
  'color_distance',
  'others',
  'transparent',
  'turn_masks',
  'bands',
  'value_range',
)
FLAGS = ('root', 'images', 'masks', *OPTIONS)
# All images with a mask are evaluated if a directory has none for validation, and only files that
# are evaluated must be correct.
WHOLE = {
  'val_share': 1.0,
  'val': '',
  'labeled': '',
  'unlabeled_images': '',
  'on_error': 'skip',
}


class DataFlags(NamedTuple):
  """What the user names for an evaluation; '' is the run's own.

  Attributes:
    root: directory of a data set.
    images: directory or pattern of images, relative to the root if there is one.
    masks: directory or pattern of their masks.
    part: 'val', 'test' or 'all'; '' is the first of these that there is.
    options: field of `OPTIONS` -> value for this set.
  """

  root: str = ''
  images: str = ''
  masks: str = ''
  part: str = ''
  options: Mapping[str, Any] = MappingProxyType({})

  def names_set(self) -> bool:
    """Returns whether other images than those of the run's config are named."""
    return bool(self.root or self.images or self.masks)


RUNS_OWN = DataFlags()


def name_flags(sentence: str, run: Path | str) -> str:
  """Returns a sentence of a data set with the flags of evaluate instead of a training's.

  Example:
    >>> name_flags("Set --config.data.label_map='7:CLASS'.", 'RUN')
    "Set --label_map='7:CLASS'."
  """
  fields = '|'.join(FLAGS)
  sentence = re.sub(rf'(?:--)?config\.data\.({fields})\b', r'--\1', sentence)
  if 'config.data.' in sentence:
    sentence += f' (config.data is that of {run}/config.json; its fields are flags of a training.)'
  return sentence


def check_flags(flags: DataFlags) -> None:
  """Raises UserError if flags do not fit together, or a directory does not exist."""
  if flags.part not in ('', *PARTS):
    raise UserError(f"--part is '{flags.part}'; choose one of {', '.join(PARTS)}.")
  if flags.options and not flags.names_set():
    raise UserError(
      f'--{next(iter(flags.options))} describes another set than that of the run: give --root=DIR, '
      'or --images=DIR and --masks=DIR, too.'
    )
  if not flags.root:
    for given, missing in (('images', 'masks'), ('masks', 'images')):
      if getattr(flags, given) and not getattr(flags, missing):
        raise UserError(
          f'--{given}={getattr(flags, given)} needs --{missing}=DIR, the directory of the '
          f'{missing}; or give the directory of both by --root=DIR.'
        )
  if flags.root and not os.path.isdir(os.path.expanduser(flags.root)):
    found = 'a file' if os.path.exists(os.path.expanduser(flags.root)) else 'not there'
    raise UserError(
      f'--root={flags.root} is {found}; expected is a directory of images and masks, in a layout '
      'of docs/layouts.md.'
    )
  for field in ('images', 'masks'):
    check_place(field, flags.root, getattr(flags, field))


def check_place(field: str, root: str, pattern: str) -> None:
  """Raises UserError if a pattern without wildcards is no path."""
  path = locate(root, pattern)
  if os.path.isfile(path) and not is_image_name(os.path.basename(path)):
    raise UserError(
      f'--{field}={pattern} is a file that is no image; expected is a directory of {field}.'
    )
  if pattern and not os.path.exists(path) and not WILDCARDS.search(path) and ',' not in path:
    raise UserError(
      f'--{field}={pattern} is not there; expected is a directory of {field}, or a pattern as in '
      f"'{field}/*.png'."
    )


def locate(root: str, pattern: str) -> str:
  """Returns a pattern as a path: below the root if it is there, else of the working directory.

  Entries of a pattern with commas are located one by one.
  """
  if not pattern:
    return ''
  path = os.path.expanduser(pattern)
  below = os.path.join(os.path.expanduser(root), path)
  if ',' in pattern and not (os.path.exists(path) or os.path.exists(below)):
    return ','.join(locate(root, entry.strip()) for entry in pattern.split(',') if entry.strip())
  is_below = root and (os.path.exists(below) or not os.path.exists(path))
  return os.path.abspath(below if is_below else path)


def fixed_directory(pattern: str) -> str:
  """Returns the directory of a path, or the one before the first wildcard of a pattern.

  Example:
    >>> fixed_directory('/data/photos/*.jpg')
    '/data/photos'
  """
  if os.path.isdir(pattern):
    return pattern
  parts = pattern.split(',')[0].split('/')
  count = next((i for i, part in enumerate(parts) if WILDCARDS.search(part)), len(parts) - 1)
  return '/'.join(parts[:count]) or '/'


def choose_root(flags: DataFlags) -> str:
  """Returns the directory of a set: --root, or the one that holds its images and masks."""
  if flags.root:
    return os.path.abspath(os.path.expanduser(flags.root))
  places = [fixed_directory(locate('', pattern)) for pattern in (flags.images, flags.masks)]
  return os.path.commonpath(places)


def folder_fields(
  data: Mapping[str, Any], flags: DataFlags, class_names: Sequence[str]
) -> dict[str, Any]:
  """Returns `config.data` for a set of images and masks, in any layout of dataset folder.

  Sizes and working copies are those of the run. So are the options of masks and images if the run
  is on such a set, unless flags replace them; class ids become names, because the set may have
  another order. The class file is the set's own.

  Args:
    data: `config.data` of the run.
    flags: see `check_flags`.
    class_names: classes of the run.
  """
  is_folder = data['name'] == 'folder'
  common = data if is_folder else {name: data[name] for name in data_defaults('')}
  own = {name: data[name] for name in OPTIONS[1:]} if is_folder else {}
  options = name_classes(own, class_names) | dict(flags.options)
  classes = os.path.expanduser(options.get('classes', ''))
  if os.path.exists(classes):
    options['classes'] = os.path.abspath(classes)
  return {
    **common,
    **WHOLE,
    'name': 'folder',
    'root': choose_root(flags),
    'images': locate(flags.root, flags.images),
    'masks': locate(flags.root, flags.masks),
    'classes': '',
    **options,
  }


def name_classes(options: Mapping[str, Any], class_names: Sequence[str]) -> dict[str, Any]:
  """Returns options with the names of classes instead of their ids.

  Example:
    >>> name_classes({'label_map': '255:1,7:void', 'ignore': '3'}, ['ground', 'ball'])
    {'label_map': '255:ball,7:void', 'ignore': '3'}
  """

  def name(text: str) -> str:
    label = text.strip()
    is_id = label.isdecimal() and int(label) < len(class_names)
    return class_names[int(label)] if is_id and ',' not in class_names[int(label)] else label

  result = dict(options)
  for field in ('label_map', 'colors'):
    entries = [entry.strip().partition(':') for entry in result.get(field, '').split(',') if entry]
    if field in result:
      result[field] = ','.join(f'{left}{colon}{name(label)}' for left, colon, label in entries)
  if 'transparent' in result:
    result['transparent'] = name(str(result['transparent']))
  return result
