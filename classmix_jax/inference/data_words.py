"""Describes the set that a run is evaluated on: for the terminal, for JSON and for file names.

Synopsis:

    name_data(values, DataFlags(root='/data/test'))     # 'test-5f2c91'
    describe_set(values, flags, opened, match)          # {'root': '/data/test', ...}
"""

import hashlib
import os
from pathlib import Path
from typing import Any

from classmix_jax.data.files.checks import file_pairs, image_files
from classmix_jax.data.match_classes import ClassMatch
from classmix_jax.data.source import Source
from classmix_jax.evaluation.protocols import slug
from classmix_jax.inference.data_flags import OPTIONS, DataFlags, choose_root, locate
from classmix_jax.inference.data_parts import Opened, Values
from classmix_jax.workdir.image_changes import count_training_images
from classmix_jax.workdir.image_record import read_record

MAX_NAME = 40  # letters of a directory in the names of files


def describe_options(values: Values, flags: DataFlags) -> list[str]:
  """Returns a sentence on the options of the run that the masks of a set are read with."""
  data = values['data']
  if data['name'] != 'folder' or not flags.names_set():
    return []
  texts = [
    f'{name}={data[name]!r}' for name in OPTIONS[1:] if data[name] and name not in flags.options
  ]
  if not texts:
    return []
  return [f'Masks and images are read as those of the run: {", ".join(texts)}.']


def warn_of_training_images(run: Path, val: Source) -> list[str]:
  """Returns a warning if images are evaluated that the run was trained on."""
  record = read_record(run)
  count = count_training_images(record, val) if record else 0
  if not count:
    return []
  return [
    f'warning: {count} of {len(val)} images were seen in training; the scores are better than '
    'those of new images'
  ]


def name_data(values: Values, flags: DataFlags, opened: Opened) -> str:
  """Returns a name for results on a set, without spaces.

  Example: of /data/test it is `test-5f2c91`, whose digits are a digest of the whole path, and of
    the part, images and masks in it. A part that is one of several is in the name, too.
  """
  data = values['data']
  root = choose_root(flags) if flags.names_set() else os.path.abspath(data['root'] or data['name'])
  part = '' if opened.is_only else opened.part
  places = [locate(flags.root, pattern) for pattern in (flags.images, flags.masks)]
  identity = '\n'.join(filter(None, [root, *places, part]))
  digest = hashlib.sha256(identity.encode('utf-8', 'surrogateescape')).hexdigest()[:6]
  stem = slug(os.path.basename(root).lower())[:MAX_NAME] or 'data'
  return '-'.join(filter(None, [stem, part, digest]))


def describe_set(
  values: Values, flags: DataFlags, opened: Opened, match: ClassMatch
) -> dict[str, Any]:
  """Returns where the images are and how their classes were matched, for JSON.

  The directories of images and masks are those of the files; '' if they are not files.
  """
  val, data = opened.dataset.val, values['data']
  root = choose_root(flags) if flags.names_set() else data['root'] and os.path.abspath(data['root'])
  masks = [str(path) for path in file_pairs(val).masks]
  return {
    'root': root,
    'images': common_directory(image_files(val)),
    'masks': common_directory(masks),
    'part': opened.part,
    'options': dict(flags.options),
    'classes': match.as_record(),
  }


def common_directory(files: list[str]) -> str:
  """Returns the deepest directory that holds all files, '' if there are none.

  Example:
    >>> common_directory(['/data/a/1.png', '/data/b/1.png'])
    '/data'
  """
  places = {os.path.dirname(os.path.abspath(file)) for file in files}
  return os.path.commonpath(places) if places else ''
