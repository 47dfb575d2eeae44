"""Files of weights of any content: read, or refused in one sentence."""

import json
import pickle

from fuzz import JSON, damaged, result_or_error, temporary_directory
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from onnx_writer import onnx_model

from classmix_jax.pretrained.converted_directory import DESCRIPTION_FIELDS, read_weights
from classmix_jax.pretrained.state_dict_files import read_file

HEADER = json.dumps({'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}}).encode()
STATE_DICTS = (
  len(HEADER).to_bytes(8, 'little') + HEADER + bytes(8),  # safetensors
  pickle.dumps([2, 0, 1]),
  pickle.dumps(np.array([1, 0])),
  pickle.dumps({'a': 1}, protocol=2),
  b'PK\x03\x04',
  onnx_model({'a': np.ones(2, np.float32)}, [('/a/MatMul', 'MatMul', ['a'])]),
)
DESCRIPTION = json.dumps(dict.fromkeys(DESCRIPTION_FIELDS, 'x')).encode()


@given(st.sampled_from(STATE_DICTS).flatmap(damaged))
def test_fuzz_state_dicts(data):
  with temporary_directory() as root:
    for name in ('x.pth', 'x.safetensors', 'x.onnx'):
      (root / name).write_bytes(data)
      result_or_error(lambda path=root / name: read_file(path), name)


@given(damaged(DESCRIPTION) | JSON.map(lambda content: json.dumps(content).encode()))
def test_fuzz_descriptions(data):
  with temporary_directory() as root:
    (root / 'weights.json').write_bytes(data)
    result_or_error(lambda: read_weights(root), root)
