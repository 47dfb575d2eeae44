"""Finds trainings of the same labelled images, without the unlabelled ones, beside a run.

Synopsis:

    runs = find_supervised_runs(Path('runs/classmix'), config.to_dict())
    choose_run(runs, seed=0, step=3000)         # the one to compare with after step 3000
"""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import json
from pathlib import Path
from typing import Any, NamedTuple

from flax.traverse_util import flatten_dict

from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS, method_class
from classmix_jax.workdir import resume, run_files
from classmix_jax.workdir.image_record import ImageRecord, Pair, differ, digest_of, read_record

# Fields in which a training with unlabelled images and one without may differ.
FREE = {*resume.CHANGEABLE, 'name', 'seed', 'unlabeled_batch_size', 'eval_network'} - {'steps'}


class SupervisedRun(NamedTuple):
  """A training without unlabelled images.

  Attributes:
    path: its directory.
    method: its method.
    seed: its `config.seed`.
    scores: step -> mIoU of its headline network.
  """

  path: Path
  method: str
  seed: int
  scores: Mapping[int, float]


def comparable_fields(values: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the fields of a config, by dotted name, that two compared runs must share.

  Example:
    >>> comparable_fields({'seed': 1, 'steps': 9, 'method': {'name': 'classmix'}})
    {'steps': 9}
  """
  fields = flatten_dict(json.loads(json.dumps(values)), sep='.')  # tuples are lists in files
  return {
    name: value
    for name, value in fields.items()
    if name not in FREE and not name.startswith(('method.', 'paper.'))
  }


def are_same(pairs: Mapping[str, Pair], others: Mapping[str, Pair]) -> bool:
  """Returns whether two records have the same images with the same masks."""
  return pairs.keys() == others.keys() and not any(
    differ(digest_of(pairs[name], index), digest_of(others[name], index))
    for name in pairs
    for index in (0, 1)
  )


def read_supervised_run(
  path: Path, fields: Mapping[str, Any], record: ImageRecord, protocol: str
) -> SupervisedRun | None:
  """Reads a directory; returns None if it is no supervised run that compares.

  Args:
    path: the directory.
    fields: see `comparable_fields`.
    record: the images of the run to compare.
    protocol: description of its evaluation protocol.
  """
  with contextlib.suppress(UserError, OSError, TypeError, AttributeError):  # any directory
    if not (path / 'config.json').is_file():
      return None
    types = {'method.name': str, 'seed': int}
    values = run_files.read_object(path / 'config.json', types)
    method, other = values['method']['name'], read_record(path)
    if method not in METHODS or method_class(method).min_unlabeled or other is None:
      return None
    if comparable_fields(values) != fields:
      return None
    if not are_same(record.labeled, other.labeled) or not are_same(record.val, other.val):
      return None
    results = run_files.read_results(path).items()
    scores = {step: x['miou'] for step, x in results if x['protocol'] == protocol}
    return SupervisedRun(path, method, values['seed'], scores)
  return None


def find_supervised_runs(
  run: Path, values: Mapping[str, Any], protocol: str
) -> Iterator[SupervisedRun]:
  """Yields the supervised runs in the directory of a run that compare with it.

  They have the same labelled and validation images, protocol and settings, except for the method
  and the seed.

  Args:
    run: directory of the run.
    values: its config as nested plain dicts.
    protocol: description of its evaluation protocol.
  """
  record, fields = read_record(run), comparable_fields(values)
  with contextlib.suppress(OSError):
    for path in sorted(run.parent.iterdir()):
      other = record and read_supervised_run(path, fields, record, protocol)
      if other:
        yield other


def choose_run(runs: Sequence[SupervisedRun], seed: int, step: int) -> SupervisedRun | None:
  """Returns the run to compare with after a step, None if none was evaluated then.

  Those of the same seed come first, and of these the one with the highest score.
  """
  candidates = [run for run in runs if step in run.scores]
  same_seed = [run for run in candidates if run.seed == seed]
  return max(same_seed or candidates, key=lambda run: run.scores[step], default=None)
