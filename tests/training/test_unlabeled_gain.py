"""Whether unlabelled images pay: numbers by hand, and runs that compare or do not."""

import json

import pytest

from classmix_jax.training.supervised_runs import SupervisedRun, choose_run, find_supervised_runs
from classmix_jax.training.unlabeled_gain import (
  UnlabeledGain,
  compare,
  describe_alone,
  find_doubts,
  middle_evaluation,
)

CONFIG = {
  'seed': 0,
  'steps': 3000,
  'eval_every': 1000,
  'data': {'root': 'DIR', 'crop': [4, 6]},
  'method': {'name': 'classmix', 'threshold': 0.9},
  'paper': {},
}
SUPERVISED = {**CONFIG, 'eval_every': 500, 'method': {'name': 'supervised'}}
STAMP = [[10, 5, 'aa'], [20, 5, 'bb']]


def result(step, miou, *, share=0.5, precision=0.95, best_step=None, best_miou=0.0, iou=0.5):
  """An evaluation whose headline is the student and whose pseudo-labels are the teacher's."""
  teacher = {
    'miou': miou + 0.1,
    'iou': {'road': 0.9, 'car': iou, 'pole': None},
    'reliability': {'threshold': 0.9, 'share': share, 'precision': precision},
  }
  student = {**teacher, 'miou': miou, 'reliability': {'threshold': 0.9, 'share': 0, 'precision': 0}}
  best = best_step or step
  networks = {'student': student, 'teacher': teacher}
  return {
    **student, 'step': step, 'networks': networks, 'best_step': best, 'best_miou': best_miou
  }  # fmt: skip


@pytest.mark.parametrize(
  'steps, eval_every, middle',
  [(3000, 1000, 2000), (3000, 500, 1500), (2500, 1000, 1000), (3000, 3000, 0), (3000, 0, 0)],
)
def test_the_middle_is_the_evaluation_nearest_to_half(steps, eval_every, middle):
  assert middle_evaluation(steps, eval_every) == middle


@pytest.mark.parametrize(
  'miou, step, verdict',
  [
    (0.5322, 3000, 'the unlabelled images do not pay here'),
    (0.5322, 1000, 'the unlabelled images do not pay here so far'),
    (0.5938, 3000, 'the unlabelled images gain 3.00 points'),
    (
      0.5700,
      1000,
      'the unlabelled images gain 0.62 points so far, but two seeds differ by as much',
    ),
    (0.5638, 3000, 'the unlabelled images do not pay here, but two seeds differ by as much'),
  ],
)
def test_a_supervised_run_decides(miou, step, verdict):
  run = SupervisedRun('runs/sup', 'supervised', 0, {1000: 0.5638, 3000: 0.5638})
  assert compare(result(step, miou), run, steps=3000) == (
    f'supervised in runs/sup had 56.38 at step {step}, this run has {100 * miou:.2f}: {verdict}'
  )


@pytest.mark.parametrize(
  'fields, doubt',
  [
    (
      {'best_step': 1000, 'best_miou': 0.5},
      'mIoU has not risen since step 1000 (50.00, now 40.00)',
    ),
    ({'share': 0.042}, 'only 4.2 % of the validation pixels are confident'),
    (
      {'precision': 0.881},
      '88.1 % of the confident pixels are correct, at a confidence of 90 % or more: the '
      'pseudo-labels are poor',
    ),
    ({'iou': 0.0}, '1 of 2 classes have no correct pixel (car)'),
  ],
)
def test_signs_within_a_run(fields, doubt):
  assert find_doubts(result(2000, 0.4, **fields)) == [doubt]
  assert describe_alone(result(2000, 0.4, **fields)) == (
    f'step 2000: the unlabelled images may not pay here: {doubt}'
  )


def test_without_signs_the_numbers_of_the_teacher():
  assert describe_alone(result(2000, 0.4, share=0.59)) == (
    'step 2000: whether the unlabelled images pay is known from a supervised run only; 59 % of the '
    'validation pixels are confident, 95.0 % of them correct'
  )
  nothing = result(2000, 0.4, share=0.0, precision=None)
  assert find_doubts(nothing) == ['only 0.0 % of the validation pixels are confident']


def write(run, config, scores=(), protocol='paper at 4x6', stamp=STAMP):
  """Writes the files of a run with one labelled and one validation image."""
  (run / 'eval').mkdir(parents=True)
  (run / 'config.json').write_text(json.dumps(config))
  record = {
    'root': 'DIR',
    'values': '',
    'labeled': {'a': stamp},
    'unlabeled': {},
    'val': {'b': STAMP},
  }
  (run / 'data.json').write_text(json.dumps(record))
  for step, miou in dict(scores).items():
    fields = {'step': step, 'miou': miou, 'protocol': protocol, 'networks': {}}
    (run / 'eval' / f'{step}.json').write_text(json.dumps(fields))
  return run


def test_runs_that_compare(tmp_path):
  """Same images, masks, protocol and settings; the method, the seed and places may differ."""
  run = write(tmp_path / 'classmix', CONFIG)
  scores = {1000: 0.5, 3000: 0.6}
  moved = {**SUPERVISED, 'seed': 1, 'data': {'root': 'MOVED', 'crop': [4, 6]}}
  write(tmp_path / 'a', SUPERVISED, scores)
  write(tmp_path / 'b', {**moved, 'method': {'name': 'supervised_ema'}}, scores)
  write(tmp_path / 'other steps', {**SUPERVISED, 'steps': 2000}, scores)
  write(tmp_path / 'other crop', {**SUPERVISED, 'data': {'root': 'DIR', 'crop': [8, 8]}}, scores)
  write(tmp_path / 'other labels', SUPERVISED, scores, stamp=[STAMP[0], [20, 5, 'cc']])
  write(tmp_path / 'cutmix', {**CONFIG, 'method': {'name': 'cutmix', 'threshold': 0.9}}, scores)
  write(tmp_path / 'other protocol', SUPERVISED, scores, protocol='full at 8x12')
  (tmp_path / 'notes').mkdir()
  (tmp_path / 'damaged').mkdir()
  (tmp_path / 'damaged' / 'config.json').write_text('[1')
  (tmp_path / 'a' / 'eval' / '2000.json').write_text('{')
  runs = list(find_supervised_runs(run, CONFIG, 'paper at 4x6'))
  assert [(x.path.name, x.method, x.seed, x.scores) for x in runs] == [
    ('a', 'supervised', 0, scores),
    ('b', 'supervised_ema', 1, scores),
    ('other protocol', 'supervised', 0, {}),
  ]


def test_the_same_seed_comes_first_and_then_the_better_run():
  first = SupervisedRun('first', 'supervised', 0, {10: 0.4, 20: 0.5})
  second = SupervisedRun('second', 'supervised_ema', 0, {20: 0.6})
  third = SupervisedRun('third', 'supervised', 1, {20: 0.9, 30: 0.9})
  runs = [first, second, third]
  assert choose_run(runs, 0, 10) is first and choose_run(runs, 0, 20) is second
  assert choose_run(runs, 0, 30) is third and choose_run(runs, 0, 40) is None


def test_lines_at_the_middle_and_at_the_end(tmp_path, capsys):
  run = write(tmp_path / 'classmix', CONFIG)
  gain = UnlabeledGain(
    run, CONFIG, 'paper at 4x6', steps=3000, middle=2000, command='python launch/main.py x'
  )
  gain.report(1000, result(1000, 0.4))
  assert capsys.readouterr().out == ''
  gain.report(2000, result(2000, 0.4))
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) == 2 and lines[1] == '  to compare: python launch/main.py x'
  write(tmp_path / 'supervised', SUPERVISED, {3000: 0.6})
  gain.report(3000, result(3000, 0.4))
  assert capsys.readouterr().out == (
    f'supervised in {tmp_path / "supervised"} had 60.00 at step 3000, this run has 40.00: the '
    'unlabelled images do not pay here\n'
  )
