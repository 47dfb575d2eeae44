"""Trains, resumes, evaluates, predicts, exports and reports without TensorFlow.

    python tests/train_without_tensorflow.py FOLDER

`.ci/run` calls it in an environment with nothing but what a training imports. FOLDER gets a data
set in the layout of configs/folder.py and two runs; two minutes on two cores.
"""

from importlib.util import find_spec
import json
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from classmix_jax.datasets.scenes.classes import CLASS_NAMES  # noqa: E402
from classmix_jax.datasets.scenes.render import render  # noqa: E402
from classmix_jax.workdir import checkpoint_lookup  # noqa: E402

ABSENT = ('tensorflow', 'tensorflow_datasets', 'tensorboard')
PARTS = {'labeled': 6, 'unlabeled': 6, 'val': 4}
STEPS = 20


def draw(data: Path) -> None:
  """Writes rendered scenes in the layout of configs/folder.py."""
  for seed, (part, count) in enumerate(PARTS.items()):
    for index in range(count):
      for kind, array in zip(('images', 'masks'), render(seed, index), strict=True):
        if (part, kind) != ('unlabeled', 'masks'):
          (data / part / kind).mkdir(parents=True, exist_ok=True)
          Image.fromarray(array).save(data / part / kind / f'{index}.png')
  (data / 'classes.txt').write_text('\n'.join(CLASS_NAMES) + '\n')


def command(program: str, *arguments: str) -> list[str]:
  return [sys.executable, str(ROOT / 'launch' / f'{program}.py'), *arguments]


def launch(program: str, *arguments: str, status: int = 0) -> str:
  """Runs a program to its end, prints what it prints and returns that."""
  begin = time.monotonic()
  done = subprocess.run(
    command(program, *arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
  )
  print(f'{done.stdout}---- {program}: {time.monotonic() - begin:.0f} s', flush=True)
  assert done.returncode == status, f'{program} ended with status {done.returncode}'
  return done.stdout


def train(data: Path, run: Path, copies: str, steps: int) -> list[str]:
  """Returns the arguments of a short training."""
  return [
    'main',
    '--config=configs/folder.py',
    f'--workdir={run}',
    f'--config.data.root={data}',
    f'--config.data.working_copy={copies}',
    f'--config.data.copy_root={data.parent / "copies"}',
    f'--config.steps={steps}',
    f'--config.eval_every={steps // 2}',
    '--config.checkpoint_every=2',
    '--config.log_every=2',
    '--config.batch_size=2',
    '--config.unlabeled_batch_size=2',
    '--config.data.crop=(64,96)',
    '--config.eval_batch_size=2',
  ]


def kill_half_way(arguments: list[str], run: Path) -> None:
  """Starts a training and kills it as soon as it has a checkpoint."""
  process = subprocess.Popen(command(*arguments))
  while process.poll() is None and not checkpoint_lookup.find_newest_step(run / 'checkpoints'):
    time.sleep(0.05)
  process.kill()
  assert process.wait() == -signal.SIGKILL, 'it ended before it was killed'


def check(run: Path, steps: int) -> None:
  """Fails if the run lacks anything that a finished training leaves behind."""
  rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
  assert [row['step'] for row in rows] == list(range(2, steps + 1, 2)), rows
  assert checkpoint_lookup.find_newest_step(run / 'checkpoints') == steps
  result = json.loads((run / 'eval' / f'{steps}.json').read_text())
  assert result['miou'] == rows[-1]['eval/miou'] > 0
  assert 'id="data">{"palette"' in (run / 'report.html').read_text(encoding='utf-8')
  assert (run / 'training.png').exists() and not (run / 'tensorboard').exists()


def main(directory: Path) -> None:
  present = [name for name in ABSENT if find_spec(name)]
  assert not present, f'{present} are installed here'
  data, run, other = (directory / name for name in ('data', 'disk', 'device'))
  draw(data)
  launch(
    'check_data',
    '--config=configs/folder.py',
    f'--config.data.root={data}',
    f'--output={directory / "check"}',
  )

  arguments = train(data, run, 'disk', STEPS)
  kill_half_way(arguments, run)
  output = launch(*arguments)
  assert 'resumes after step' in output and 'threads (TensorFlow is not installed)' in output
  assert 'no TensorBoard events: the package tensorboard is not installed' in output
  check(run, STEPS)

  assert 'cut on the devices' in launch(*train(data, other, 'device', 4))
  check(other, 4)

  shutil.rmtree(run / 'eval')
  launch('evaluate', f'--workdir={run}')
  launch(
    'predict',
    f'--workdir={run}',
    f'--input={data / "unlabeled" / "images"}',
    f'--output={directory / "predicted"}',
  )
  assert len(list((directory / 'predicted').rglob('*.png'))) >= PARTS['unlabeled']
  assert 'model.stablehlo: logits within' in launch(
    'export', f'--workdir={run}', f'--output={directory / "exported"}'
  )
  (run / 'report.html').unlink()
  launch('report', f'--workdir={run}')
  check(run, STEPS)

  output = launch('main', '--config=configs/scenes.py', f'--workdir={directory / "none"}', status=2)
  assert "error: dataset 'scenes' needs packages that are not installed: pip install" in output
  print('trained, evaluated, predicted, exported and reported without TensorFlow')


if __name__ == '__main__':
  main(Path(sys.argv[1]).absolute())
