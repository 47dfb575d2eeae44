"""Reads tensor files (.safetensors, .onnx, torch's without executing code) and writes them.

Synopsis:

    content = read_file(Path('resnet50-0676ba61.pth'))     # nested dicts of NumPy arrays
    tensors = unwrap(content, network='student', path=path)
    write_file(Path('weights.safetensors'), tensors)
"""

from collections.abc import Mapping
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.pretrained.onnx_file import read_onnx
from classmix_jax.pretrained.torch_file import read_torch
from classmix_jax.utils.atomic_write import replacing

SAFETENSORS = '.safetensors'
ONNX = '.onnx'  # is only read
# .bin: torch's files on the Hub.
ENDINGS = ('.pth', '.pt', '.pth.tar', '.bin', SAFETENSORS, ONNX)
# In a checkpoint of two networks.
CHECKPOINT_KEYS = {'student': ('model',), 'teacher': ('ema_model', 'model_ema')}
PARALLEL_PREFIX = 'module.'  # of all names in a state dict saved from a DataParallel wrapper


def is_file_name(path: Path) -> bool:
  """Returns whether the name ends as that of a file of tensors."""
  return path.name.endswith(ENDINGS)


def hash_file(path: Path) -> str:
  """Returns the SHA-256 of a file in hexadecimal digits."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def read_file(path: Path) -> Mapping[str, Any]:
  """Reads a file of tensors as nested dicts with NumPy arrays.

  Raises:
    UserError: the file is unreadable or holds objects other than tensors and plain values, or the
      package that reads .safetensors is not installed.
  """
  try:
    path.open('rb').close()
  except OSError as error:
    raise UserError(f'{path} cannot be read ({error.strerror}).') from None
  readers = {SAFETENSORS: read_safetensors, ONNX: read_onnx}
  content = readers.get(path.suffix, read_torch)(path)
  if not isinstance(content, Mapping):
    raise UserError(
      f'{path} contains one {type(content).__name__}; expected a state dict, or a checkpoint '
      'with one.'
    )
  return content


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
  """Reads a .safetensors file; see `read_file` for errors."""
  try:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file
  except ImportError:
    raise UserError(f'{path}: reading it needs safetensors: pip install safetensors') from None
  try:
    return load_file(path)
  except (SafetensorError, KeyError, ValueError) as error:  # KeyError: a dtype that NumPy lacks
    raise UserError(f'{path} cannot be read as safetensors ({error}).') from None


def import_torch(path: Path) -> Any:
  """Returns the module torch; raises UserError if it is not installed."""
  try:
    import torch
  except ImportError:
    raise UserError(
      f'{path}: writing it needs torch; give it the ending {SAFETENSORS}, or install the CPU build '
      'of torch: pip install torch --index-url https://download.pytorch.org/whl/cpu'
    ) from None
  return torch


def is_state_dict(content: Any) -> bool:
  """Returns whether a value is a mapping with at least one array."""
  return isinstance(content, Mapping) and any(
    isinstance(value, np.ndarray) for value in content.values()
  )


def unwrap(content: Mapping[str, Any], network: str, path: Path) -> dict[str, np.ndarray]:
  """Returns the tensors of one network in a file, without the prefix of DataParallel.

  Args:
    content: see `read_file`: a state dict, or a checkpoint with one under
      `state_dict`, `model`, `ema_model` or `model_ema`.
    network: 'student' or 'teacher', for checkpoints with both.
    path: for messages.

  Raises:
    UserError: the file has no such network or no state dict, or a value is not a dense tensor.

  Example:
    >>> list(unwrap({'model': {'module.a': np.ones(1)}}, 'student', Path('x.pth')))
    ['a']
  """
  if network not in CHECKPOINT_KEYS:
    raise UserError(f'--network={network} is not known; there are {", ".join(CHECKPOINT_KEYS)}.')
  state_dict = find_state_dict(content, network, path)
  names = list(state_dict)
  prefix = PARALLEL_PREFIX if all(name.startswith(PARALLEL_PREFIX) for name in names) else ''
  tensors = {name.removeprefix(prefix): x for name, x in state_dict.items()}
  invalid = [name for name, x in tensors.items() if not isinstance(x, np.ndarray)]
  if invalid:
    raise UserError(f'{path}: {invalid[0]} is not a dense tensor; expected a state dict.')
  return tensors


def find_state_dict(content: Mapping[str, Any], network: str, path: Path) -> Mapping[str, Any]:
  """Returns the state dict of a network; see `unwrap` for arguments and errors."""
  if is_state_dict(content):
    if network == 'teacher':
      raise UserError(f'{path} contains a single network; leave --network out.')
    return content
  for key in CHECKPOINT_KEYS[network]:
    if is_state_dict(content.get(key)):
      return content[key]
  # A single network under 'state_dict' is the student.
  if network == 'student' and is_state_dict(content.get('state_dict')):
    return content['state_dict']
  raise UserError(
    f'{path} has no state dict of the {network}: it has '
    f'{", ".join(map(repr, list(content)[:8])) or "nothing"}; expected tensors, or '
    f"'{CHECKPOINT_KEYS[network][0]}'{' or state_dict' if network == 'student' else ''}."
  )


def write_file(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
  """Writes a state dict atomically.

  Args:
    path: ends in .safetensors, or else is a file of torch.
    tensors: name -> array.

  Raises:
    UserError: the file cannot be written, or the package that writes it is not installed, or the
      name ends in .onnx.
  """
  if path.suffix == ONNX:
    raise UserError(
      f'{path} cannot be written, since .onnx files of weights are only read; give it the ending '
      f'.pth or {SAFETENSORS}.'
    )
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
      if path.suffix == SAFETENSORS:
        write_safetensors(temporary, tensors, target=path)
      else:
        torch = import_torch(path)
        # Copied, because torch warns of read-only memory.
        torch.save({name: torch.from_numpy(np.array(x)) for name, x in tensors.items()}, temporary)
  except OSError as error:
    raise UserError(f'{path} cannot be written ({error.strerror}).') from None


def write_safetensors(path: Path, tensors: Mapping[str, np.ndarray], target: Path) -> None:
  """Writes a .safetensors file; errors name `target`, as in `write_file`."""
  try:
    from safetensors.numpy import save_file
  except ImportError:
    raise UserError(f'{target}: writing it needs safetensors: pip install safetensors') from None
  save_file(dict(tensors), path, metadata={'format': 'pt'})
