"""Our training step and torch's in turn, A B A B: what a step takes, and the ratio pair by pair.

    python benchmarks/compare.py --method=classmix --backbone=resnet50 --size=321,321 --batch=2 \
        [--pairs=3] [--steps=5] [--classes=19] \
        [--tuned] [--torch_python=PYTHON] [--output=FILE.json]

Runs benchmarks/step.py and benchmarks/peer_torch.py; --torch_python is an interpreter that has
torch, if this one has not. Remaining arguments that begin with --config. go to our step.
"""

import argparse
import json
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile

HERE = Path(__file__).resolve().parent
HEADS = {'tiny': 'conv3x3', 'resnet50': 'deeplab_v2', 'resnet101': 'deeplab_v2'}


def ours(options, overrides: list[str]) -> list[str]:
  return [
      sys.executable, str(HERE / 'step.py'),
      f'--config={HERE.parent / "configs" / "base.py"}:method={options.method}',
      f'--config.model.backbone={options.backbone}',
      f'--config.model.head={HEADS[options.backbone]}', f'--config.data.crop=({options.size})',
      f'--config.batch_size={options.batch}', f'--config.unlabeled_batch_size={options.batch}',
      f'--classes={options.classes}', f'--steps={options.steps}', *overrides]


def theirs(options) -> list[str]:
  return [
      options.torch_python, str(HERE / 'peer_torch.py'), f'--method={options.method}',
      f'--backbone={options.backbone}', f'--size={options.size}', f'--batch={options.batch}',
      f'--classes={options.classes}', f'--steps={options.steps}',
      *(['--tuned'] if options.tuned else [])]


def timed(command: list[str]) -> dict:
  """Runs a program that writes its result to --output."""
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / 'result.json'
    subprocess.run([*command, f'--output={path}'], check=True)
    return json.loads(path.read_text())


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--method', choices=('supervised', 'classmix'), default='classmix')
  parser.add_argument('--backbone', choices=tuple(HEADS), default='resnet50')
  parser.add_argument('--size', default='321,321')
  parser.add_argument('--batch', type=int, default=2)
  parser.add_argument('--classes', type=int, default=19)
  parser.add_argument('--steps', type=int, default=5)
  parser.add_argument('--pairs', type=int, default=3)
  parser.add_argument('--tuned', action='store_true')
  parser.add_argument('--torch_python', default=sys.executable)
  parser.add_argument('--output', default='')
  options, overrides = parser.parse_known_args()
  pairs = [(timed(ours(options, overrides)), timed(theirs(options)))
           for _ in range(options.pairs)]
  ratios = [a['ms']['median'] / b['ms']['median'] for a, b in pairs]
  print('ours / torch, pair by pair: ' + '  '.join(f'{ratio:.2f}' for ratio in ratios)
        + f'  median {statistics.median(ratios):.2f}')
  if options.output:
    told = {key: value for key, value in vars(options).items()
            if key not in ('torch_python', 'output')}  # places on this machine
    found = {**told, 'overrides': overrides, 'ratios': ratios,
             'pairs': [{'ours': a, 'torch': b} for a, b in pairs]}
    Path(options.output).write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
  main()
