"""Opens the images of a run at their own sizes.

Synopsis:

    dataset = open_run_images(Path('RUN'))
    dataset.val.read_image(0), dataset.val.read_label(0)      # [H, W, 3] and [H, W] uint8
    open_unlabeled_images(Path('RUN')).read_image(0)
"""

from collections.abc import Collection
import os
from pathlib import Path

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import open_validation, override
from classmix_jax.data.match_classes import match_classes, translate_classes
from classmix_jax.data.source import Dataset, Source, concat, subset
from classmix_jax.errors import UserError
from classmix_jax.workdir import run_files

# The protocol that reads images and labels at their own sizes, decoded anew at each reading.
OWN_SIZES = {
  'data.size': [],
  'data.working_copy': 'memory',
  'data.cache_gb': 0.0,
  'eval.protocol': 'native',
}


def open_run_images(run: Path) -> Dataset:
  """Opens the data set of a run at the images' own sizes, with the classes of the run.

  Raises:
    UserError: the data has moved, or has mistakes.
  """
  values = override(read_config(run), OWN_SIZES)
  root = values['data']['root']
  if root and not os.path.isdir(os.path.expanduser(root)):
    raise UserError(f'the images of {run} were in {root}, which is not a directory now')
  names, palette = run_files.read_classes(run)
  dataset = open_validation(values)
  return translate_classes(dataset, match_classes(dataset.class_names, names, str(run)), palette)


def open_unlabeled_images(run: Path) -> Source:
  """Opens the images that a run used without labels, or its labelled ones if it had no others.

  Raises:
    UserError: the data has moved, has mistakes, or has none of these images.
  """
  dataset = open_run_images(run)
  for part, others in (('unlabeled', dataset.unlabeled), ('labeled', None)):
    names = set(run_files.read_split(run, part))
    source = choose_names(dataset.train, names)
    # Joined as the run joins them: a name that both have gets a suffix.
    source = source if others is None else choose_names(concat(source, others), names)
    if len(source):
      return source
  raise UserError(f'no image of {run}/splits is in the data set of the run')


def choose_names(source: Source, names: Collection[str]) -> Source:
  """Returns the examples of a source that have one of some names."""
  return subset(source, [index for index, name in enumerate(source.names) if name in names])
