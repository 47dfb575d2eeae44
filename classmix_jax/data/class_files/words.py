"""Names that mean void or background in annotation programs and data sets."""

import re

# Without the underscores of labelme's `__ignore__`.
VOID_NAMES = (
  'void', 'ignore', 'ignored', 'unlabeled', 'unlabelled', 'ignore region', "don't care",
  'dont care', 'dontcare',
)  # fmt: skip
BACKGROUND_NAMES = ('background', '_background_', '__background__')


def is_void(name: str) -> bool:
  """Returns whether a class of this name is void, that is, excluded from training and metrics.

  Example:
    >>> is_void('Void'), is_void('__ignore__'), is_void('background')
    (True, True, False)
  """
  return ' '.join(re.sub('[-_]', ' ', name.lower()).split()) in VOID_NAMES


def is_background(name: str) -> bool:
  """Returns whether a class of this name is what no region covers, by the words of programs.

  labelme writes `_background_`, TensorFlow `__background__`, CVAT `background`.

  Example:
    >>> is_background('_background_'), is_background('Background'), is_background('ground')
    (True, True, False)
  """
  return name.strip().lower() in BACKGROUND_NAMES
