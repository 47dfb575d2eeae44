"""The folder of converted weights: arrays by orbax, and what is known of them.

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
from classmix_jax.workdir.run_files import read_object

DESCRIPTION, ARRAYS = 'weights.json', 'arrays'
DESCRIPTION_FIELDS = dict.fromkeys(
  ('source', 'layout', 'preprocessing', 'trained_on', 'sha256'), str
)


def is_weights_folder(path: Path) -> bool:
  return (path / DESCRIPTION).is_file()


def check_free(path: Path) -> None:
  """Raises UserError where there is something that a new folder would replace."""
  if path.exists() and not (path.is_dir() and not any(path.iterdir())):
    raise UserError(f'--output={path} exists; remove it, or give another --output.')


def write_weights(path: Path, tree: PyTree, description: Mapping[str, Any]) -> None:
  """Writes a folder that appears under its name only when it is complete.

  Raises:
    UserError: the folder exists already, or cannot be written.
  """
  check_free(path)
  path = path.absolute()
  unfinished = path.with_name(f'.{path.name}.unfinished')
  try:
    shutil.rmtree(unfinished, ignore_errors=True)  # of an earlier start that was killed
    unfinished.mkdir(parents=True)
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      checkpointer.save(unfinished / ARRAYS, args=ocp.args.StandardSave(tree))
    write_atomically(unfinished / DESCRIPTION, json.dumps(description, indent=2) + '\n')
    os.replace(unfinished, path)
  except OSError as error:
    raise UserError(f'--output={path} cannot be written ({error.strerror}).') from None


def read_weights(path: Path) -> tuple[PyTree, dict[str, Any]]:
  """Returns `{'params': ..., 'batch_stats': ...}` on the host, and what weights.json says.

  Raises:
    UserError: the folder is damaged.
  """
  description = read_object(path / DESCRIPTION, DESCRIPTION_FIELDS)
  one_device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  try:
    with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as checkpointer:
      args = ocp.args.StandardRestore(fallback_sharding=one_device)
      tree = checkpointer.restore((path / ARRAYS).absolute(), args=args)
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'{path / ARRAYS} cannot be read ({str(error).splitlines()[0]}); convert the weights again.'
    ) from None
  return jax.device_get(tree), description
