"""Agreement with the official evaluation of Cityscapes, from prediction files on the disk."""

import numpy as np
from PIL import Image
import pytest

evaluation = pytest.importorskip(
  'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling',
  reason='needs pip install cityscapesScripts',
)

from cityscapesscripts.helpers.labels import labels  # noqa: E402
import flax.linen as nn  # noqa: E402
import jax  # noqa: E402

from classmix_jax.config import defaults  # noqa: E402
from classmix_jax.config.setup import make_evaluation_setup  # noqa: E402
from classmix_jax.data.source import Dataset, Source  # noqa: E402
from classmix_jax.datasets.cityscapes import classes  # noqa: E402
from classmix_jax.evaluation.evaluator import Evaluator  # noqa: E402
from classmix_jax.models.segmenter import Segmenter  # noqa: E402
from classmix_jax.types import VOID  # noqa: E402

CLASSES = sorted((x for x in labels if 0 <= x.trainId < VOID), key=lambda x: x.trainId)
FRAMES = (
  'frankfurt/frankfurt_000000_000294',
  'frankfurt/frankfurt_000001_000294',
  'lindau/lindau_000000_000019',
)
SIZE = (16, 32)


class Red(nn.Module):
  """Predicts the class that stands in the red channel."""

  @nn.compact
  def __call__(self, image, train):
    return jax.nn.one_hot((image[..., 0] * 255).round().astype('int32'), len(CLASSES))


class Keep(nn.Module):
  @nn.compact
  def __call__(self, features, train):
    return features


def draw(index):
  """Returns (predicted train ids, true raw ids): half right; class 18 is absent, void is not."""
  rng = np.random.default_rng(index)
  guess = rng.integers(0, len(CLASSES) - 1, SIZE)
  raw = np.array([x.id for x in CLASSES])[guess]
  wrong = rng.random(SIZE) < 0.5
  others = [x.id for x in labels if x.id >= 0 and x.trainId != 18]
  return guess.astype(np.uint8), np.where(wrong, rng.choice(others, SIZE), raw).astype(np.uint8)


def made_up():
  train_id = np.full(256, VOID, np.uint8)
  for entry in CLASSES:
    train_id[entry.id] = entry.trainId
  val = Source(FRAMES, lambda i: np.stack([draw(i)[0]] * 3, -1), lambda i: train_id[draw(i)[1]])
  return Dataset(
    'cityscapes', classes.CLASS_NAMES, classes.PALETTE, val, val, raw_ids=classes.RAW_IDS
  )


def official(predictions, truth):
  """What the official script finds in two directories, without the instances."""
  for index, name in enumerate(FRAMES):
    path = truth / f'{name}_gtFine_labelIds.png'
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(draw(index)[1]).save(path)
  args = evaluation.args
  args.predictionPath, args.predictionWalk = str(predictions), None
  args.evalInstLevelScore, args.JSONOutput, args.quiet = False, False, True
  files = [str(truth / f'{name}_gtFine_labelIds.png') for name in FRAMES]
  result = [evaluation.getPrediction(args, file) for file in files]
  return evaluation.evaluateImgLists(result, files, args)


def test_classes_are_the_official_ones():
  ours = zip(classes.CLASS_NAMES, classes.PALETTE, classes.RAW_IDS, strict=True)
  assert list(ours) == [(x.name, x.color, x.id) for x in CLASSES]


def test_same_numbers_as_the_official_script(tmp_path):
  config = defaults.get_config('method=supervised')
  evaluator = Evaluator(
    made_up(),
    Segmenter(backbone=Red(), head=Keep()),
    jax.devices()[:2],
    ('', 0),
    0.95,
    **make_evaluation_setup(config)._asdict(),
  )
  variables = {'params': {}, 'batch_stats': {}}
  evaluator.write_predictions(variables, tmp_path / 'predictions')
  reference = official(tmp_path / 'predictions', tmp_path / 'truth')
  ours = evaluator(0, {'student': variables})
  assert ours['classes_present'] == 18 and ours['iou']['bicycle'] is None
  assert np.isnan(reference['classScores']['bicycle'])
  for name, value in ours['iou'].items():
    if value is not None:
      assert value == pytest.approx(reference['classScores'][name], abs=1e-6)
  assert ours['miou'] == pytest.approx(reference['averageScoreClasses'], abs=1e-6)
  assert 0.4 < ours['miou'] < 0.6
