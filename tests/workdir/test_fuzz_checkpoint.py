"""Damaged checkpoints: the saved state is restored, or one sentence names the damage."""

import functools
import json
from pathlib import Path
import tempfile

from fuzz import JSON, damaged, result_or_error, temporary_directory
from hypothesis import given
from hypothesis import strategies as st
import jax.numpy as jnp
import numpy as np

from classmix_jax.types import TrainState
from classmix_jax.workdir import checkpoint, checkpoint_lookup


@functools.cache
def checkpoint_files():
  """Name -> bytes of the files of a checkpoint of four numbers."""
  with tempfile.TemporaryDirectory() as place:
    root = Path(place)
    state = TrainState(jnp.int32(7), {'a': jnp.arange(4.0)}, {}, {}, {})
    with checkpoint.open_manager(root / 'checkpoints') as manager:
      checkpoint.save(manager, 7, state, 0.5)
      checkpoint.finish(manager)
    files = (path for path in sorted(root.rglob('*')) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@st.composite
def changes(draw):
  """(file, its new bytes), None if the file is deleted; some files are replaced by other JSON."""
  name = draw(st.sampled_from(sorted(checkpoint_files())))
  other = JSON.map(lambda content: json.dumps(content).encode())
  return name, draw(st.one_of(damaged(checkpoint_files()[name]), st.none(), other))


@given(changes())
def test_fuzz_checkpoint(case):
  changed, data = case
  with temporary_directory() as root:
    for name, content in checkpoint_files().items():
      (root / name).parent.mkdir(parents=True, exist_ok=True)
      if name != changed or data is not None:
        (root / name).write_bytes(data if name == changed else content)
    restored = result_or_error(lambda: checkpoint_lookup.load(root, 'latest'), root)
  if restored is not None:
    step, state = restored
    assert step == 7
    np.testing.assert_array_equal(state['params']['a'], np.arange(4.0))
