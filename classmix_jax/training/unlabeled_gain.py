"""Describes whether the unlabelled images pay, by the validation images.

Synopsis:

    gain = UnlabeledGain(run, values, 'paper at 96x192', steps=3000, middle=2000, command='...')
    gain.describe(result)        # one or two lines for the results of steps 2000 and 3000
"""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
from typing import Any

from classmix_jax.training.supervised_runs import SupervisedRun, choose_run, find_supervised_runs
from classmix_jax.utils.text import listed

SEEDS = 0.01  # mIoU by which two seeds of one setting differ easily, see docs/results.md
FEW = 0.1  # fraction of confident pixels below which the unlabelled loss weighs little


def middle_evaluation(steps: int, eval_every: int, first: int = 0) -> int:
  """Returns the evaluated step in the middle of those with unlabelled images.

  It is the later one of two that are equally near, and 0 if only the last step is evaluated.

  Args:
    steps: length of the run.
    eval_every: interval of evaluations, 0 for the last step only.
    first: step before which labels alone are used.

  Example:
    >>> middle_evaluation(3000, 1000), middle_evaluation(3000, 0), middle_evaluation(1000, 250, 500)
    (2000, 0, 750)
  """
  evaluated = range(eval_every, steps, eval_every) if eval_every else ()
  return min(evaluated, key=lambda step: (abs(2 * step - steps - first), -step), default=0)


def compare(result: Mapping[str, Any], run: SupervisedRun, steps: int) -> str:
  """Returns whether a result is better than that of a supervised run after the same step.

  Args:
    result: of an evaluation.
    run: a supervised run that was evaluated at this step.
    steps: length of both runs.
  """
  step, other = result['step'], run.scores[result['step']]
  gain, so_far = result['miou'] - other, ' so far' if step < steps else ''
  if gain <= 0:
    verdict = f'the unlabelled images do not pay here{so_far}'
  else:
    verdict = f'the unlabelled images gain {100 * gain:.2f} points{so_far}'
  if abs(gain) < SEEDS:
    verdict += ', but two seeds differ by as much'
  return (
    f'{run.method} in {run.path} had {100 * other:.2f} at step {step}, this run has '
    f'{100 * result["miou"]:.2f}: {verdict}'
  )


def find_doubts(result: Mapping[str, Any]) -> list[str]:
  """Returns signs within a run that its unlabelled images teach little.

  Args:
    result: of an evaluation, with the fields of `place_score`. Pseudo-labels are the teacher's, or
      the headline network's if there is no teacher.
  """
  doubts, labeler = [], pseudo_labeler(result)
  reliability = labeler['reliability']
  if result['best_step'] is not None and result['best_step'] < result['step']:
    doubts.append(
      f'mIoU has not risen since step {result["best_step"]} ({100 * result["best_miou"]:.2f}, now '
      f'{100 * result["miou"]:.2f})'
    )
  if reliability['share'] < FEW:
    doubts.append(f'only {100 * reliability["share"]:.1f} % of the validation pixels are confident')
  precision, threshold = reliability['precision'], reliability['threshold']
  if precision is not None and precision < threshold:
    doubts.append(
      f'{100 * precision:.1f} % of the confident pixels are correct, at a confidence of '
      f'{100 * threshold:g} % or more: the pseudo-labels are poor'
    )
  present = {name: iou for name, iou in labeler['iou'].items() if iou is not None}
  absent = [name for name, iou in present.items() if iou == 0]
  if 2 * len(absent) >= len(present):
    doubts.append(
      f'{len(absent)} of {len(present)} classes have no correct pixel ({listed(absent, 3)})'
    )
  return doubts


def pseudo_labeler(result: Mapping[str, Any]) -> Mapping[str, Any]:
  """Returns the scores of the network that makes the pseudo-labels."""
  return result['networks'].get('teacher', result)


def describe_alone(result: Mapping[str, Any]) -> str:
  """Returns what a run without a supervised one beside it shows about its unlabelled images."""
  doubts, reliability = find_doubts(result), pseudo_labeler(result)['reliability']
  if doubts:
    return f'step {result["step"]}: the unlabelled images may not pay here: {"; ".join(doubts)}'
  return (
    f'step {result["step"]}: whether the unlabelled images pay is known from a supervised run '
    f'only; {100 * reliability["share"]:.0f} % of the validation pixels are confident, '
    f'{100 * reliability["precision"]:.1f} % of them correct'
  )


@dataclasses.dataclass(frozen=True)
class UnlabeledGain:
  """Describes whether the unlabelled images of a run pay.

  Attributes:
    run: directory of the run.
    values: its config as nested plain dicts.
    protocol: description of its evaluation protocol.
    steps: length of the run.
    middle: evaluated step near half of the steps, 0 if there is none.
    command: the command of the supervised run, '' if it is not known.
    active: whether there are unlabelled images.
  """

  run: Path
  values: Mapping[str, Any]
  protocol: str
  steps: int
  middle: int
  command: str = ''
  active: bool = True

  def describe(self, result: Mapping[str, Any]) -> list[str]:
    """Returns one or two lines on the result of the middle evaluation or of the last step."""
    step = result['step']
    if not self.active or step not in (self.middle, self.steps):
      return []
    runs = list(find_supervised_runs(self.run, self.values, self.protocol))
    other = choose_run(runs, self.values['seed'], step)
    if other is not None:
      return [compare(result, other, self.steps)]
    command = self.command or 'a training with method=supervised in a directory beside this one'
    return [describe_alone(result), f'  to compare: {command}']
