"""Chooses the network whose score counts, and describes the step that a score belongs to.

Synopsis:

    result |= place_score(scores, steps=3000)     # 'steps', 'best_step', 'best_miou'
    describe_headline(result)
"""

from collections.abc import Collection, Mapping
import math
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.methods import network_names

RULE = 'config.eval_network'  # fixes the headline network before a training


def headline_network(name: str, networks: Collection[str]) -> str:
  """Returns the name of the network whose score counts, 'student' if a method has no other.

  Raises:
    UserError: no method has a network of this name.
  """
  names = network_names()
  if name not in names:
    raise UserError(f'config.eval_network is {name!r}; known are {", ".join(names)}.')
  return name if name in networks else 'student'


def network_scores(results: Mapping[int, Mapping[str, Any]], network: str) -> dict[int, float]:
  """Returns step -> mIoU of a network, of the results that have it.

  Example:
    >>> network_scores({10: {'networks': {'student': {'miou': 0.5}}}}, 'student')
    {10: 0.5}
  """
  networks = {step: result['networks'] for step, result in results.items()}
  return {step: x[network]['miou'] for step, x in networks.items() if network in x}


def find_best(scores: Mapping[int, float]) -> int:
  """Returns the step with the largest mIoU, the last of equal ones, as checkpoint `best` is.

  Example:
    >>> find_best({1000: 0.5, 2000: 0.5, 3000: float('nan')})
    2000
  """
  return max(scores, key=lambda step: (-1 if math.isnan(scores[step]) else scores[step], step))


def place_score(scores: Mapping[int, float], steps: int, rule: str = RULE) -> dict[str, Any]:
  """Returns the fields of a result that place its score among those of its run.

  Args:
    scores: step -> mIoU of the headline network on the run's validation images, so far.
    steps: length of the run.
    rule: what chose the headline network.

  Returns:
    `network_rule`, `steps`, and `best_step` and `best_miou`, which are None without scores.

  Example:
    >>> place_score({1000: 0.5, 2000: 0.4}, steps=2000)['best_step']
    1000
  """
  best = find_best(scores) if scores else None
  return {
    'network_rule': rule,
    'steps': steps,
    'best_step': best,
    'best_miou': None if best is None else scores[best],
  }


def name_step(result: Mapping[str, Any]) -> str:
  """Returns whether the step of a result is the last or the best one of its run, in words.

  Example:
    >>> name_step({'step': 2000, 'steps': 3000, 'best_step': 2000})
    'the best step'
  """
  last, best = (result['step'] == result[field] for field in ('steps', 'best_step'))
  if last and best:
    return 'the last and best step'
  if last or best:
    return f'the {"last" if last else "best"} step'
  return 'neither the last nor the best step'


def describe_headline(result: Mapping[str, Any]) -> str:
  """Returns the headline score with its network, the rule that chose it, and its step.

  Args:
    result: of an evaluation, with the fields of `place_score`.

  Example:
    >>> describe_headline({
    ...   'miou': 0.5233, 'network': 'student', 'networks': {'student': {}}, 'step': 300,
    ...   **place_score({300: 0.5233}, steps=300),
    ... })
    'headline: mIoU 52.33, student (the only network), step 300, the last and best step'
  """
  if len(result['networks']) == 1:
    rule = 'the only network'
  elif result['network_rule'] == RULE:
    rule = f'fixed by {RULE} before the run'
  else:
    rule = f'chosen by {result["network_rule"]}'
  sentence = (
    f'headline: mIoU {100 * result["miou"]:.2f}, {result["network"]} ({rule}), '
    f'step {result["step"]}, {name_step(result)}'
  )
  if result['best_step'] in (None, result['step']):
    return sentence
  return (
    f'{sentence}; step {result["best_step"]} had {100 * result["best_miou"]:.2f}, the best on the '
    "run's validation images"
  )
