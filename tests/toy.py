"""Small data sets on disk and small configs, for tests that run the whole program."""

from pathlib import Path

from ml_collections import ConfigDict
import numpy as np
from PIL import Image

from configs import folder

HEIGHT, WIDTH = 32, 48
CLASSES = ('ground', 'box', 'ball')


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
  """A box and a ball on the ground: image `[32, 48, 3]` and label `[32, 48]`, uint8."""
  rng = np.random.default_rng(seed)
  row, column = np.mgrid[:HEIGHT, :WIDTH]
  label = np.zeros((HEIGHT, WIDTH), np.uint8)
  top, left = rng.integers(2, 16), rng.integers(2, 24)
  label[top:top + 12, left:left + 16] = 1
  y, x = rng.integers(8, 24), rng.integers(8, 40)
  label[(row - y) ** 2 + (column - x) ** 2 < 36] = 2
  label[0] = 255
  colors = np.array([[60, 90, 60], [200, 80, 60], [70, 80, 210]])
  image = colors[np.where(label == 255, 0, label)] + rng.normal(0, 12, (HEIGHT, WIDTH, 3))
  return np.clip(image, 0, 255).astype(np.uint8), label


def write_pair(root: Path, name: str, seed: int) -> None:
  image, label = draw(seed)
  for kind, array in (('images', image), ('masks', label)):
    path = root / kind / f'{name}.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def write_folder(root: Path, labeled: int = 4, unlabeled: int = 6, val: int = 3) -> Path:
  """Writes a data set in the layout of `datasets/folder.py`; returns its root."""
  for index in range(labeled):
    write_pair(root / 'labeled', f'street/{index}', index)
  for index in range(val):
    write_pair(root / 'val', f'{index}', 100 + index)
  for index in range(unlabeled):
    path = root / 'unlabeled' / 'images' / f'{index}.jpg'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(200 + index)[0]).save(path, quality=95)
  (root / 'classes.txt').write_text('\n'.join(CLASSES) + '\n')
  return root


def config(root: Path, arguments: str = 'method=classmix', **fields) -> ConfigDict:
  """A config of a few steps on `write_folder`."""
  config = folder.get_config(arguments)
  config.data.root = str(root)
  config.data.crop = (24, 32)
  config.data.scale = (1.0, 1.0)
  config.steps = 4
  config.eval_every = 2
  config.checkpoint_every = 1
  config.log_every = 1
  config.batch_size = config.unlabeled_batch_size = 2
  config.eval_batch_size = 2
  config.update_from_flattened_dict(fields)
  return config
