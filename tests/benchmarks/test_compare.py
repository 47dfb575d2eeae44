"""What is compared with torch is the same work, and torch's masks are ours."""

import importlib
import json
import sys

import pytest

WORK = {'method': 'classmix', 'crop': [8, 8], 'batch_size': 2, 'classes': 3}
OURS = {
  **WORK,
  'model': {'backbone': 'tiny', 'dtype': 'float32'},
  'ms': 2.0,
  'losses': {'loss/sup': 1.0},
  'peak_bytes': None,
}
TORCH = {
  **WORK,
  'backbone': 'tiny',
  'dtype': 'float32',
  'ms': 1.0,
  'best': 'whole',
  'loss': 1.0,
  'peak_bytes': 2**30,
}


@pytest.fixture
def compare(monkeypatch, tmp_path):
  """Returns a function of torch's result: what compare.py writes."""
  module, path = importlib.import_module('compare'), tmp_path / 'result.json'

  def run(torch):
    def result(command):
      return torch if 'peer_torch' in command[1] else OURS

    monkeypatch.setattr(module, 'run_for_result', result)
    monkeypatch.setattr(sys, 'argv', ['compare.py', '--pairs=2', f'--output={path}'])
    module.main()
    return json.loads(path.read_text())

  return run


def test_equal_work_gives_a_ratio(compare, capsys):
  assert compare(TORCH)['ratios'] == [2.0, 2.0]
  assert 'torch 1.0 ms (whole), 1.00 GiB, loss 1; ours / torch 2.00' in capsys.readouterr().out


@pytest.mark.parametrize(
  'name, value',
  [
    ('dtype', 'bfloat16'),
    ('crop', [8, 9]),
    ('batch_size', 4),
    ('method', 'supervised'),
    ('classes', 19),
    ('backbone', 'resnet50'),
  ],
)
def test_unequal_work_is_refused(compare, capsys, name, value):
  with pytest.raises(SystemExit) as ended:
    compare({**TORCH, name: value})
  assert ended.value.code == 2
  output = capsys.readouterr().err
  assert output.startswith(f'error: the results cannot be compared: {name} is ')
  assert output.endswith(f"and {value} in torch's.\n") and output.count('\n') == 1


def test_both_sides_get_one_dtype(compare, monkeypatch):
  module = sys.modules['compare']
  monkeypatch.setattr(sys, 'argv', ['compare.py', '--dtype=bfloat16'])
  options, _ = module.parse_options()
  assert '--config.model.dtype=bfloat16' in module.our_command(options, [])
  assert '--dtype=bfloat16' in module.torch_command(options)


def test_torch_chooses_half_of_the_classes():
  torch = pytest.importorskip('torch')
  from peer_torch import class_mask

  label = torch.tensor([[[0, 0, 3, 4]], [[2, 2, 2, 2]]])
  seen = torch.stack([class_mask(label, 5) for _ in range(50)])
  assert set(seen[:, 0].sum(-1).flatten().tolist()) == {1, 2}  # 1 of 3 classes, uniformly
  assert (seen[:, 0, 0, 0] == seen[:, 0, 0, 1]).all() and not seen[:, 1].any()
