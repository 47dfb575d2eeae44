"""Damaged run directories: the report is written, or one sentence names the file."""

import json

from fuzz import JSON, damaged, result_or_error, temporary_directory
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict
import page_runs
import toy

from classmix_jax.config.load import read_config
from classmix_jax.config.model import build_method, build_protocol
from classmix_jax.tools.report.page import page
from classmix_jax.tools.report.runs import read_run
from classmix_jax.workdir import layout, run_files

NETWORK = {
  'miou': 0.5,
  'iou': dict.fromkeys(toy.CLASSES, 0.5),
  'reliability': {
    'threshold': 0.95,
    'precision': 0.5,
    'share': 0.5,
    'calibration_error': 0.5,
    'curve': [[0.5, 0.5, 1.0]],
  },
}
RESULT = {
  'step': 2,
  'network': 'student',
  'network_rule': 'config.eval_network',
  'protocol': 'paper',
  'images': 3,
  'pixels': 9,
  'split': 'abc',
  'devices': '1 x cpu',
  **NETWORK,
  'networks': {'student': NETWORK},
}
FILES = {  # all but the arrays
  'config.json': toy.config('DATA', **page_runs.COMPLETE).to_dict(),
  'classes.json': {'names': toy.CLASSES, 'palette': [[0, 0, 0], [1, 1, 1], [2, 2, 2]]},
  'pretrained.json': dict.fromkeys(run_files.ORIGIN_FIELDS, 'x'),
  'left_out.json': {'train': {'a': 'a does not decode.'}, 'unlabeled': {}},
  'eval/2.json': RESULT,
  'metrics.jsonl': {'step': 2, 'loss/sup': 1.0},
  'splits/labeled.txt': 'a',
  'splits/unlabeled.txt': 'b',
  'splits/val.txt': 'c',
  'started.json': {'arguments': ['--config=x'], 'versions': {'jax': '0.0.1'}},
}

CONFUSION = 'truth,a,b,c\na,1,1,1\nb,1,1,1\nc,1,1,1\n'


@st.composite
def changes(draw):
  """(file, its bytes): damaged, other JSON, or with one field replaced or deleted."""
  name = draw(st.sampled_from(sorted(FILES)))
  how = draw(st.sampled_from(['damaged', 'other', 'field', 'field', 'field']))
  if how == 'other':
    return name, json.dumps(draw(JSON)).encode()
  content = json.loads(json.dumps(FILES[name]))
  if how == 'field' and isinstance(content, dict):
    parent, key = content, draw(st.sampled_from(sorted(content)))
    while isinstance(parent[key], dict) and parent[key] and draw(st.booleans()):
      parent = parent[key]
      key = draw(st.sampled_from(sorted(parent)))
    parent.pop(key)
    if draw(st.booleans()):
      parent[key] = draw(JSON)
  data = json.dumps(content).encode()
  return name, draw(damaged(data)) if how == 'damaged' else data


@given(changes())
def test_fuzz_run(case):
  changed, data = case
  with temporary_directory() as run:
    for name, content in FILES.items():
      (run / name).parent.mkdir(exist_ok=True)
      (run / name).write_text(json.dumps(content))
    layout.confusion_path(run, 2).write_text(CONFUSION)
    (run / changed).write_bytes(data)

    def write_page():
      config = ConfigDict(read_config(run))
      names, _ = run_files.read_classes(run)
      build_protocol(config)
      build_method(config, len(names))
      return page([read_run(run)], [], None)

    # A sentence about these two names a field, not always the file.
    result_or_error(write_page, '' if changed in ('config.json', 'eval/2.json') else changed)
