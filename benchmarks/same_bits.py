"""Compares the bits of a training run with those of one that was killed and resumed.

    python benchmarks/same_bits.py --workdir=DIR --steps=200 --output=FILE.json \
        --config=configs/camvid.py ... --config.deterministic=True

Unknown arguments go to launch/main.py. Compares the losses of the last row, the confusion matrix,
and every bit of the networks' weights.
"""

import argparse
import hashlib
import json
import os
from pathlib import Path
import shutil
import subprocess
import sys
import time

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import json_file  # noqa: E402
from long_run import MAIN, rows  # noqa: E402
from provenance import provenance  # noqa: E402


def train(command: list[str], checkpoint: Path | None = None) -> None:
  """Trains; with a checkpoint, kills the process once it exists, and starts it again."""
  if checkpoint is not None:
    with subprocess.Popen(command) as process:
      while process.poll() is None and not checkpoint.exists():
        time.sleep(0.05)
      process.kill()
  subprocess.run(command, check=True)


def digests(run: Path, steps: int) -> dict[str, str]:
  """Returns short hashes of the results of a training run."""
  import jax

  from classmix_jax.inference.restore import load_networks

  row = rows(run)[-1]
  losses = json.dumps({key: row[key] for key in sorted(row) if key.startswith('loss/')})
  _, networks = load_networks(run, 'latest')
  weights = hashlib.sha256()
  for leaf in jax.tree.leaves(networks):
    weights.update(jax.device_get(leaf).tobytes())

  def short(content):
    return hashlib.sha256(content).hexdigest()[:16]

  return {
    'losses': short(losses.encode()),
    'weights': weights.hexdigest()[:16],
    'confusion': short((run / 'eval' / f'{steps}-confusion.csv').read_bytes()),
  }


def compare(directory: Path, steps: int, arguments: list[str]) -> dict:
  """Trains an uninterrupted run and a killed one; returns the hashes of both."""
  runs = {'undisturbed': directory / 'undisturbed', 'killed': directory / 'killed'}
  for name, run in runs.items():
    cache = runs['undisturbed'] / 'compiled'  # on GPUs: the chosen kernels
    if name == 'killed' and cache.exists():
      shutil.copytree(cache, run / 'compiled')
    command = [
      sys.executable,
      str(MAIN),
      f'--workdir={run}',
      *arguments,
      f'--config.steps={steps}',
      f'--config.checkpoint_every={steps // 2}',
    ]
    train(command, run / 'checkpoints' / str(steps // 2) if name == 'killed' else None)
  os.environ['JAX_PLATFORMS'] = 'cpu'  # weights are read only
  result = {name: digests(run, steps) for name, run in runs.items()}
  same = {key: result['killed'][key] == value for key, value in result['undisturbed'].items()}
  return {'same': all(same.values()), 'same_each': same, **result}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', type=Path, required=True)
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--output', default='')
  options, arguments = parser.parse_known_args()
  result = {
    **provenance('jax', 'jaxlib'),
    'steps': options.steps,
    'arguments': arguments,
    **compare(options.workdir, options.steps, arguments),
  }
  json_file.write(options.output, result)
  print('the same bits' if result['same'] else f'not the same bits: {result["same_each"]}')


if __name__ == '__main__':
  main()
