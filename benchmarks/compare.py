"""Times the training step here and in torch in turn, A B A B; prints the ratio of each pair.

    python benchmarks/compare.py --method=classmix --backbone=resnet50 --size=321,321 --batch=2 \
        [--pairs=3] [--steps=5] [--classes=19] [--dtype=float32] \
        [--variants=eager,parts,whole,graphs] [--torch_python=PYTHON] [--output=FILE.json]

Runs benchmarks/step.py and benchmarks/peer_torch.py, each pair in fresh processes. --dtype is that
of both networks, --variants those of torch, the fastest of which counts; --torch_python is an
interpreter with torch, if this one has none. Both sides have the same images, classes and
network, and neither jitters nor blurs mixed images. Remaining arguments that begin with --config.
go to our step. Results of unequal work are refused with status 2.

On a GPU compiling takes longer than all steps: one pair with many steps is enough there.
"""

import argparse
import json
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile

import json_file

HERE = Path(__file__).resolve().parent
HEADS = {'tiny': 'conv3x3', 'resnet50': 'deeplab_v2', 'resnet101': 'deeplab_v2'}
EQUAL = ('method', 'backbone', 'dtype', 'crop', 'batch_size', 'classes')
UNDISTORTED = ('--config.method.jitter=0', '--config.method.blur=False')


def our_command(options, overrides: list[str]) -> list[str]:
  return [
    sys.executable,
    str(HERE / 'step.py'),
    f'--config={HERE.parent / "classmix_jax" / "config" / "defaults.py"}:method={options.method}',
    f'--config.model.backbone={options.backbone}',
    f'--config.model.head={HEADS[options.backbone]}',
    f'--config.model.dtype={options.dtype}',
    f'--config.data.crop=({options.size})',
    f'--config.batch_size={options.batch}',
    f'--config.unlabeled_batch_size={options.batch}',
    f'--classes={options.classes}',
    f'--steps={options.steps}',
    *(UNDISTORTED if options.method == 'classmix' else ()),
    *overrides,
  ]


def torch_command(options) -> list[str]:
  return [
    options.torch_python,
    str(HERE / 'peer_torch.py'),
    f'--method={options.method}',
    f'--backbone={options.backbone}',
    f'--size={options.size}',
    f'--batch={options.batch}',
    f'--classes={options.classes}',
    f'--steps={options.steps}',
    f'--dtype={options.dtype}',
    f'--variants={options.variants}',
  ]


def run_for_result(command: list[str]) -> dict:
  """Runs a program that writes its result to --output."""
  with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / 'result.json'
    subprocess.run([*command, f'--output={path}'], check=True)
    return json.loads(path.read_text(encoding='utf-8'))


def describe_difference(ours: dict, torch: dict) -> str:
  """Returns a sentence if two results are not of the same work, else ''.

  Example:
    >>> both = dict(method='supervised', backbone='tiny', crop=[8, 8], batch_size=2, classes=3)
    >>> describe_difference({**both, 'dtype': 'float32'}, {**both, 'dtype': 'bfloat16'})
    "the results cannot be compared: dtype is float32 in ours and bfloat16 in torch's."
  """
  ours = {**ours.get('model', {}), **ours}
  differences = [
    f"{name} is {ours[name]} in ours and {torch[name]} in torch's"
    for name in EQUAL
    if ours[name] != torch[name]
  ]
  return f'the results cannot be compared: {"; ".join(differences)}.' if differences else ''


def measure_pair(options, overrides: list[str]) -> dict:
  """Runs both programs; ends with status 2 if their work is not the same."""
  pair = {
    'ours': run_for_result(our_command(options, overrides)),
    'torch': run_for_result(torch_command(options)),
  }
  difference = describe_difference(**pair)
  if difference:
    print(f'error: {difference}', file=sys.stderr)
    raise SystemExit(2)
  return pair


def sentence(pair: dict) -> str:
  """Returns the printed line of a pair: ms, memory and loss of both."""

  def gib(times):
    return f', {times["peak_bytes"] / 2**30:.2f} GiB' if times['peak_bytes'] else ''

  ours, torch = pair['ours'], pair['torch']
  return (
    f'ours {ours["ms"]:.1f} ms{gib(ours)}, loss {sum(ours["losses"].values()):.4g}; '
    f'torch {torch["ms"]:.1f} ms ({torch["best"]}){gib(torch)}, loss {torch["loss"]:.4g}; '
    f'ours / torch {ours["ms"] / torch["ms"]:.2f}'
  )


def parse_options() -> tuple[argparse.Namespace, list[str]]:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--method', choices=('supervised', 'classmix'), default='classmix')
  parser.add_argument('--backbone', choices=tuple(HEADS), default='resnet50')
  parser.add_argument('--size', default='321,321')
  parser.add_argument('--batch', type=int, default=2)
  parser.add_argument('--classes', type=int, default=19)
  parser.add_argument('--steps', type=int, default=5)
  parser.add_argument('--pairs', type=int, default=3)
  parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
  parser.add_argument('--variants', default='')
  parser.add_argument('--torch_python', default=sys.executable)
  parser.add_argument('--output', default='')
  return parser.parse_known_args()


def main() -> None:
  options, overrides = parse_options()
  asked = {
    key: value for key, value in vars(options).items() if key not in ('torch_python', 'output')
  }  # paths of this machine
  pairs = []
  for _ in range(options.pairs):
    pairs.append(measure_pair(options, overrides))
    ratios = [pair['ours']['ms'] / pair['torch']['ms'] for pair in pairs]
    json_file.write(
      options.output, {**asked, 'overrides': overrides, 'ratios': ratios, 'pairs': pairs}
    )
    print(sentence(pairs[-1]), flush=True)
  print(
    'ours / torch, pair by pair: '
    + '  '.join(f'{ratio:.2f}' for ratio in ratios)
    + f'  median {statistics.median(ratios):.2f}'
  )


if __name__ == '__main__':
  main()
