"""The first stage on labels alone: the supervised student, on the state of any method."""

from fixed import Fixed
import jax
import numpy as np
import pytest
import toy

from classmix_jax.core.ema import relative_distance
from classmix_jax.inference.restore import load_networks
from classmix_jax.methods.labels_first import make_stages, stage_method
from classmix_jax.methods.mean_teacher import MeanTeacher
from classmix_jax.methods.supervised import Supervised
from classmix_jax.types import Stage


def test_stages_of_the_method_follow():
  class Two(Supervised):
    min_unlabeled = 1

    def stages(self, steps):
      return Stage(0, 2), Stage(2, steps)

  method = Two(Fixed(), 2)
  assert make_stages(method, 10, 0.0) == (Stage(0, 2), Stage(2, 10))
  first = Stage(0, 5, unlabeled=False, labels_only=True, schedule=(0, 7))
  assert make_stages(method, 10, 0.5) == (first, Stage(5, 7, schedule=(0, 7)), Stage(7, 10))
  assert make_stages(Supervised(Fixed(), 2), 10, 0.5) == (Stage(0, 10),)  # has no other stage


def test_other_stages_are_computed_by_the_method():
  method = MeanTeacher(Fixed(), 2)
  assert stage_method(method, Stage(5, 7).labels_only) is method
  first = stage_method(method, labels_only=True)
  assert first.averages == {'teacher': 'segmenter'} and first.labeled_loss is method.labeled_loss


@pytest.mark.slow
def test_first_stage_is_supervised_training(tmp_path):
  """The student after three of six steps is that of a supervised run with this schedule."""
  root = toy.write_folder(tmp_path / 'data')
  fields = {'checkpoint_every': 3, 'eval_every': 3, 'method.jitter': 0.0, 'method.blur': False}
  mixed = toy.config(root, 'method=classmix', labels_first=0.5, steps=6, **fields)
  toy.train(mixed, tmp_path / 'mixed')
  alone = toy.config(root, 'method=supervised', steps=6, checkpoint_every=3, eval_every=3)
  toy.train(alone, tmp_path / 'alone')
  students = [load_networks(tmp_path / run, '3')[1]['student'] for run in ('mixed', 'alone')]
  jax.tree.map(np.testing.assert_array_equal, *students)
  networks = load_networks(tmp_path / 'mixed', '3')[1]
  # The teacher follows: it is neither the student nor what it was at the start.
  distance = relative_distance(networks['teacher']['params'], networks['student']['params'])
  assert 0 < float(distance) < 0.5
