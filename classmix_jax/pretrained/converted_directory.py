"""Reads and writes directories of converted weights: arrays by orbax and a description.

WEIGHTS/weights.json   backbone, head, num_classes, preprocessing, trained_on, source, ...
WEIGHTS/arrays/        orbax: {'params': ..., 'batch_stats': ...}
"""

from collections.abc import Mapping
import json
import os
from pathlib import Path
import shutil
from typing import Any

import jax
import orbax.checkpoint as ocp

from classmix_jax.errors import UserError
from classmix_jax.types import PyTree
from classmix_jax.utils.atomic_write import write_atomically
from classmix_jax.utils.text import describe_error
from classmix_jax.workdir.run_files import read_object

DESCRIPTION, ARRAYS = 'weights.json', 'arrays'
DESCRIPTION_FIELDS = dict.fromkeys(
  ('source', 'layout', 'preprocessing', 'trained_on', 'sha256'), str
)


def is_weights_directory(path: Path) -> bool:
  """Returns whether a path is a directory of converted weights."""
  return (path / DESCRIPTION).is_file()


def check_free(path: Path) -> None:
  """Raises UserError if the path exists and is not an empty directory."""
  if path.exists() and not (path.is_dir() and not any(path.iterdir())):
    raise UserError(f'--output={path} exists; remove it, or give another --output.')


def write_weights(path: Path, tree: PyTree, description: Mapping[str, Any]) -> None:
  """Writes a directory of weights, which gets its name only when it is complete.

  Args:
    path: the directory, which must not exist or be empty.
    tree: `{'params': ..., 'batch_stats': ...}` of arrays.
    description: content of weights.json.

  Raises:
    UserError: the directory exists already, or cannot be written.
  """
  check_free(path)
  path = path.absolute()
  unfinished = path.with_name(f'.{path.name}.unfinished')
  try:
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    unfinished.mkdir(parents=True)
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      checkpointer.save(unfinished / ARRAYS, args=ocp.args.StandardSave(tree))
    write_atomically(unfinished / DESCRIPTION, json.dumps(description, indent=2) + '\n')
    os.replace(unfinished, path)
  except OSError as error:
    raise UserError(f'--output={path} cannot be written ({error.strerror}).') from None


def read_weights(path: Path) -> tuple[PyTree, dict[str, Any]]:
  """Returns `{'params': ..., 'batch_stats': ...}` on the host and the content of weights.json.

  Raises:
    UserError: the directory is corrupt.
  """
  description = read_object(path / DESCRIPTION, DESCRIPTION_FIELDS)
  one_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  try:
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      args = ocp.args.StandardRestore(fallback_sharding=one_device)
      tree = checkpointer.restore((path / ARRAYS).absolute(), args=args)
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'{path / ARRAYS} cannot be read ({describe_error(error)}); convert the weights again.'
    ) from None
  return jax.device_get(tree), description
