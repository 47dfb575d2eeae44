"""Compares runs: what differs in their configs, and what makes their scores incomparable.

Synopsis:

    check_classes([run, other])
    for sentence in warnings([run, other]): print(sentence)
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.tools.report.runs import Run

MISSING = object()  # value of a field that the config of a run does not have


def short_names(directories: Sequence[Path]) -> list[str]:
  """Returns the shortest trailing parts of the paths that differ from each other.

  Example:
    >>> short_names([Path('first/classmix'), Path('second/classmix')])
    ['first/classmix', 'second/classmix']
  """
  names = []
  for depth in range(1, max(len(directory.parts) for directory in directories) + 1):
    names = ['/'.join(directory.parts[-depth:]) for directory in directories]
    if len(set(names)) == len(names):
      break
  return names


def check_classes(runs: Sequence[Run]) -> None:
  """Raises UserError if the runs have different classes: their tables have no common rows."""
  first = runs[0]
  for run in runs[1:]:
    if list(run.class_names) != list(first.class_names):
      raise UserError(
        f'{run.path} has the classes {", ".join(run.class_names)}, and {first.path} has '
        f'{", ".join(first.class_names)}: leave one of them out.'
      )


def warnings(runs: Sequence[Run]) -> list[str]:
  """Returns a sentence for everything that makes the scores of runs incomparable.

  Protocol and validation images decide the score of one and the same network.
  """
  sentences = []
  for noun, read in (
    ('protocols', lambda run: run.result['protocol']),
    ('validation images', lambda run: (tuple(run.val_names), run.result['pixels'])),
  ):
    groups = group_runs(runs, read)
    if len(groups) > 1:
      sides = ' and '.join(', '.join(group) for group in groups)
      sentences.append(f'Scores do not compare: {sides} have different {noun}.')
  return sentences


def remarks(runs: Sequence[Run]) -> list[str]:
  """Returns a sentence for differences that belong to the comparison, or may belong to it."""
  sentences = []
  groups = group_runs(runs, lambda run: run.result['split'])
  if len(groups) > 1:
    sides = ' and '.join(', '.join(group) for group in groups)
    sentences.append(f'Different labelled images: {sides}.')
  sentences += [
    f'{run.name} has not finished: step {run.result["step"]:,} of {run.config["steps"]:,}.'
    for run in runs
    if run.result['step'] < run.config['steps']
  ]
  return sentences


def group_runs(runs: Sequence[Run], read: Callable[[Run], Any]) -> list[list[str]]:
  """Returns the names of runs that have the same value, in the order of the runs."""
  groups: dict[Any, list[str]] = {}
  for run in runs:
    groups.setdefault(read(run), []).append(run.name)
  return list(groups.values())


def differences(runs: Sequence[Run]) -> dict[str, list[Any]]:
  """Returns the config's fields that are not the same in all runs, with every run's value.

  A method lacks the options of others; their value is `MISSING`.
  """
  configs = [run.fields() for run in runs]
  keys = sorted(set().union(*configs))
  values = {key: [config.get(key, MISSING) for config in configs] for key in keys}
  return {
    key: row
    for key, row in values.items()
    if any(value != row[0] for value in row) and not key.startswith('paper.')
  }
