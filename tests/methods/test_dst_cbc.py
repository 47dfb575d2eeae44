"""DST-CBC by hand: the loss, the stages, the choice of pseudo-labels."""

import json

from fixed import LN2, LN3, Fixed, image, pixels
import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image
import pytest
import small
import toy

from classmix_jax.errors import UserError
from classmix_jax.methods.dst_cbc import DstCbc, Targets
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.training.self_training import balanced_label, class_thresholds
from classmix_jax.types import VOID, Stage

# Class 0 has a probability of 1/2 and of 3/4.
LOGITS = jnp.array([[[0.0, 0.0], [LN3, 0.0]]])


def terms(logits=LOGITS, gamma=2.0):
  """One labelled pixel; of the unlabelled ones both have pseudo-labels: three pixels count."""
  labeled = Labeled(image(2), pixels(0, VOID), pixels(1.0, 0.0), jnp.float32(1.0), jnp.float32(1.0))
  targets = Targets(labeled, image(2), pixels(0, 1), jnp.float32(3.0))
  method = DstCbc(Fixed(), 2, gamma=gamma)
  return method.loss({'segmenter': logits}, {'segmenter': {}}, targets)


def test_loss():
  """Pseudo-labels 0 at 1/2 and 1 at 1/4: CE times p^gamma, over all three pixels."""
  for gamma, weight in ((0.0, (1, 1)), (2.0, (1 / 4, 1 / 16))):
    loss, (_, result) = terms(gamma=gamma)
    pseudo = (weight[0] * LN2 + weight[1] * 2 * LN2) / 3
    np.testing.assert_allclose(result['loss/pseudo'], pseudo, rtol=1e-6)
    np.testing.assert_allclose(result['loss/sup'], LN2, rtol=1e-6)
    np.testing.assert_allclose(loss, LN2 / 3 + pseudo, rtol=1e-6)


def test_the_weight_passes_no_gradient():
  """Pixel 1: (p - y) times 1/16 over three pixels."""
  slope = jax.grad(lambda x: terms(x)[0])(LOGITS)
  np.testing.assert_allclose(slope[0, 1], np.array([0.75, -0.75]) / 16 / 3, rtol=1e-5)


def test_stages():
  """12 steps, two rounds: a supervised stage of 4, then half of the pixels, then all."""
  method = DstCbc(Fixed(), 2, rounds=2)
  assert method.stages(12) == (
    Stage(0, 4, unlabeled=False),
    Stage(4, 8, fraction=0.5),
    Stage(8, 12, fraction=1.0),
  )
  # What cannot be divided lengthens the first.
  lengths = [stage.stop - stage.start for stage in method.stages(13)]
  assert lengths == [5, 4, 4]
  assert DstCbc(Fixed(), 2, rounds=2, supervised_share=2 / 3).stages(12)[0].stop == 8
  with pytest.raises(UserError, match='config.steps is 2: too few for config.method.rounds=5'):
    DstCbc(Fixed(), 2).stages(2)


def test_thresholds():
  """The surest 40 % of five are two, of one at least one; a class never seen is not given."""
  values = [np.array([0.9, 0.5, 0.8, 0.7, 0.6]), np.array([0.3]), np.zeros(0)]
  np.testing.assert_allclose(class_thresholds(values, 0.4), [0.8, 0.3, 1.0])
  np.testing.assert_allclose(class_thresholds(values, 1.0), 1e-4)


def test_balanced_label():
  """p / k decides: a rare class with a low threshold may win over the largest probability."""
  prob = jnp.array([[0.79, 0.21], [0.81, 0.19], [0.6, 0.4]])
  label = balanced_label(prob, jnp.array([0.8, 0.3]))
  assert label.tolist() == [VOID, 0, 1] and label.dtype == jnp.uint8


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  """Six steps: two supervised ones and two rounds of two, with a network of the suite's own."""
  directory = tmp_path_factory.mktemp('dst_cbc')
  config = toy.config(toy.write_folder(directory / 'data'), 'method=dst_cbc')
  config.steps, config.method.rounds = 6, 2
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr('classmix_jax.config.model.build_model', lambda config, count: small.model(count))
    toy.train(config, directory / 'run')
    yield directory, config


def test_pseudo_labels_are_images(run):
  """Of every unlabelled image, in the classes' colours, with a summary beside them."""
  directory, _ = run
  names = (directory / 'run' / 'splits' / 'unlabeled.txt').read_text().split()
  fractions = []
  for start, share in ((2, 0.5), (4, 1.0)):
    labels = directory / 'run' / 'pseudo_labels' / str(start)
    summary = json.loads((labels / 'summary.json').read_text())
    result = []
    for name in names:
      with Image.open(labels / f'{name}.png') as image:
        assert image.mode == 'P' and image.size == (toy.WIDTH, toy.HEIGHT)
        result.append(np.array(image))
    result = np.stack(result)
    assert set(np.unique(result)) <= {0, 1, 2, VOID}
    assert summary['share'] == share and summary['images'] == len(names)
    np.testing.assert_allclose(summary['labeled'], (result != VOID).mean())
    counts = [entry['pixels'] for entry in summary['classes'].values()]
    assert counts == [int((result == i).sum()) for i in range(3)]
    fractions.append((result != VOID).mean())
  assert 0.3 < fractions[0] < 0.7 and fractions[1] == 1.0


def test_metrics_differ_by_stage(run):
  directory, _ = run
  rows = [
    json.loads(line) for line in (directory / 'run' / 'metrics.jsonl').read_text().splitlines()
  ]
  shares = [row['pseudo_labeled_share'] for row in rows]
  assert max(shares[:2]) < 1e-5 and all(0.1 < x < 1 for x in shares[2:4]) and shares[4:] == [1, 1]


def test_interrupted_in_a_round_ends_in_the_same_bits(run, monkeypatch):
  """Stopped inside of step 5 and started again: labels are read, not made again."""
  from classmix_jax.training.callbacks import Callbacks

  directory, config = run
  other = directory / 'other'
  write, after_step = Callbacks.__call__, []

  def stopping(self, inputs, step, state, metrics):
    if step == 5 and not after_step:
      after_step.append(step)
      raise KeyboardInterrupt
    write(self, inputs, step, state, metrics)

  monkeypatch.setattr(Callbacks, '__call__', stopping)
  with pytest.raises(KeyboardInterrupt):
    toy.train(config, other)
  toy.train(config, other)
  first, second = ((directory / name / 'eval' / '6.json').read_text() for name in ('run', 'other'))
  assert first == second


def test_lost_labels_are_named(run):
  directory, config = run
  lost = directory / 'run' / 'pseudo_labels' / '4' / 'summary.json'
  config = config.copy_and_resolve_references()
  config.steps = 6
  summary = lost.read_text()
  lost.unlink()
  for name in ('6',):
    for path in sorted((directory / 'run' / 'checkpoints' / name).rglob('*'), reverse=True):
      path.unlink() if path.is_file() else path.rmdir()
    (directory / 'run' / 'checkpoints' / name).rmdir()
  with pytest.raises(UserError, match='pseudo_labels/4 is not complete'):
    toy.train(config, directory / 'run')
  lost.write_text(summary)
