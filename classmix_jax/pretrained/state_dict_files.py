"""Files of tensors: .safetensors, and what torch.save wrote, of which nothing is executed.

Synopsis:

    content = read_file(Path('resnet50-0676ba61.pth'))     # nested dicts of NumPy arrays
    tensors = unwrap(content, network='student', path=path)
    write_file(Path('weights.safetensors'), tensors)
"""

from collections.abc import Mapping
import hashlib
from pathlib import Path
import pickle
import re
from typing import Any
import warnings
import zipfile

import numpy as np

from classmix_jax.data.files.archives import check_growth
from classmix_jax.errors import UserError
from classmix_jax.utils.atomic_write import replacing

SAFETENSORS = '.safetensors'
ENDINGS = ('.pth', '.pt', '.pth.tar', SAFETENSORS)
INSTALL = "pip install 'classmix_jax[torch]'"
NETWORKS = {'student': 'model', 'teacher': 'ema_model'}  # key of a checkpoint of two networks
MOST_GROWTH = 2  # torch stores its arrays as they are
PREFIX = 'module.'  # of every name, where a parallel wrapper was saved


def is_file_name(path: Path) -> bool:
  """Whether the name is that of a file of tensors, not of a folder."""
  return path.name.endswith(ENDINGS)


def file_hash(path: Path) -> str:
  """The SHA-256 of a file, in hexadecimal digits."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def read_file(path: Path) -> dict[str, Any]:
  """Returns the content of a file of tensors: nested dicts, tensors as NumPy arrays.

  Raises:
    UserError: the file cannot be read, holds more than tensors and plain
      values, or the package that reads it is missing.
  """
  try:
    path.open('rb').close()
  except OSError as error:
    raise UserError(f'{path} cannot be read ({error.strerror}).') from None
  content = read_safetensors(path) if path.suffix == SAFETENSORS else read_torch(path)
  if not isinstance(content, Mapping):
    raise UserError(
      f'{path} holds one {type(content).__name__}; expected is a state dict, or a checkpoint '
      'with one.'
    )
  return content


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
  try:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
  except ImportError:
    raise UserError(f'{path}: reading it needs safetensors; {INSTALL}.') from None
  try:
    return load_file(path)
  except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a kind NumPy lacks
    raise UserError(f'{path} cannot be read as safetensors ({error}).') from None


def import_torch(path: Path) -> Any:
  """Returns the module torch; UserError where it is missing."""
  try:
    import torch
  except ImportError:
    raise UserError(f'{path}: reading and writing it needs torch; {INSTALL}.') from None
  return torch


def read_torch(path: Path) -> Any:
  """Reads with torch's own unpickler that knows tensors and plain values only."""
  torch = import_torch(path)
  if zipfile.is_zipfile(path):
    with zipfile.ZipFile(path) as opened:
      check_growth(path, opened, MOST_GROWTH)
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # of pickles that it is about to refuse
      content = torch.load(path, map_location='cpu', weights_only=True)
  except pickle.UnpicklingError as error:
    wanted = re.search(r'GLOBAL (\S+)', str(error))
    raise UserError(
      f'{path} {f"asks for {wanted[1]}" if wanted else "is no file of torch"}; only tensors and '
      'plain values are read, and nothing was executed. Save its state dict alone.'
    ) from None
  except Exception as error:  # whatever a damaged file makes the reader stumble over
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    raise UserError(f'{path} cannot be read as a file of torch ({reason}).') from None
  return to_numpy(content, torch)


def to_numpy(content: Any, torch: Any) -> Any:
  """Replaces the dense tensors in nested dicts by NumPy arrays; bfloat16 becomes float32."""
  if isinstance(content, Mapping):
    return {key: to_numpy(value, torch) for key, value in content.items()}
  if isinstance(content, torch.Tensor) and content.layout == torch.strided:
    content = content.detach()
    return (content.float() if content.dtype == torch.bfloat16 else content).numpy()
  return content


def is_state_dict(content: Any) -> bool:
  return isinstance(content, Mapping) and any(
    isinstance(value, np.ndarray) for value in content.values()
  )


def unwrap(content: Mapping[str, Any], network: str, path: Path) -> dict[str, np.ndarray]:
  """Returns the tensors of one network of a file, without their common prefix.

  Args:
    content: see `read_file`: a state dict, or a checkpoint with one under
      `state_dict`, `model` or `ema_model`.
    network: 'student' or 'teacher', for checkpoints that have both.
    path: for messages.

  Raises:
    UserError: there is no such network, or no state dict at all.
  """
  if network not in NETWORKS:
    raise UserError(f'--network={network} is not known; there are {", ".join(NETWORKS)}.')
  inner = content
  if not is_state_dict(content):
    found = [key for key in ('model', 'ema_model', 'state_dict') if is_state_dict(content.get(key))]
    # A single network is the student, unless it is called the teacher.
    wanted = NETWORKS[network] if NETWORKS[network] in found else 'state_dict'
    if wanted not in found or (network == 'teacher' and wanted == 'state_dict'):
      raise UserError(
        f'{path} has no state dict of the {network}: it has '
        f'{", ".join(map(repr, list(content)[:8])) or "nothing"}; expected are tensors, or '
        f"'{NETWORKS[network]}'"
        f'{" or state_dict" if network == "student" else ""}.'
      )
    inner = content[wanted]
  elif network == 'teacher':
    raise UserError(f'{path} holds a single network; leave --network out.')
  prefix = PREFIX if all(name.startswith(PREFIX) for name in inner) else ''
  tensors = {name.removeprefix(prefix): x for name, x in inner.items()}
  strange = [name for name, x in tensors.items() if not isinstance(x, np.ndarray)]
  if strange:
    raise UserError(f'{path}: {strange[0]} is no dense tensor; expected is a state dict.')
  return tensors


def write_file(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
  """Writes a state dict; a crash leaves the old file or the new one.

  Raises:
    UserError: the file cannot be written, or the package that does it is missing.
  """
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
      if path.suffix == SAFETENSORS:
        write_safetensors(temporary, tensors)
      else:
        torch = import_torch(path)
        # A copy: torch wants memory that may be written to.
        torch.save({name: torch.from_numpy(np.array(x)) for name, x in tensors.items()}, temporary)
  except OSError as error:
    raise UserError(f'{path} cannot be written ({error.strerror}).') from None


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
  try:
    from safetensors.numpy import save_file
  except ImportError:
    raise UserError(f'{path}: writing it needs safetensors; {INSTALL}.') from None
  save_file(dict(tensors), path, metadata={'format': 'pt'})
