"""Turns the config.json of a training run into its network, method and validation data.

Synopsis:

    values = override(read_config(run), {'data.root': '/data'})
    setup = trained_setup(values, num_classes=11)
    setup.method.model, setup.evaluation.protocol
"""

from collections.abc import Callable, Mapping
import copy
import operator
from typing import Any, NamedTuple

from classmix_jax.config.check import check_eval_network
from classmix_jax.config.data import build_dataset, build_validation
from classmix_jax.config.lookup import Config
from classmix_jax.config.model import build_method
from classmix_jax.config.setup import EvaluationSetup, make_evaluation_setup
from classmix_jax.data.source import Dataset, Source
from classmix_jax.data.unreadable import UnreadableExamples
from classmix_jax.types import Method


class TrainedSetup(NamedTuple):
  """What predicts, evaluates or exports the networks of a training run.

  Attributes:
    method: the method, with its network as `model`.
    evaluation: how the run evaluates its networks.
  """

  method: Method
  evaluation: EvaluationSetup


def override(values: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
  """Returns nested dicts with some fields replaced, by dotted name.

  Example:
    >>> override({'data': {'root': 'old', 'size': []}}, {'data.root': 'new'})
    {'data': {'root': 'new', 'size': []}}
  """
  result = copy.deepcopy(dict(values))
  for name, value in fields.items():
    *parents, last = name.split('.')
    part = result
    for parent in parents:
      part = part[parent]
    part[last] = value
  return result


def evaluation_setup(values: Mapping[str, Any]) -> EvaluationSetup:
  """Returns how networks are evaluated.

  Raises:
    UserError: `eval_network` or a field of `eval` is wrong.
  """
  config = Config(values)
  check_eval_network(config)
  return make_evaluation_setup(config)


def trained_setup(values: Mapping[str, Any], num_classes: int) -> TrainedSetup:
  """Returns what predicts, evaluates or exports the networks of a training run.

  Args:
    values: see `read_config`.
    num_classes: C of the run's classes.json.

  Raises:
    UserError: a name or a number in `values` is wrong.
  """
  return TrainedSetup(build_method(Config(values), num_classes), evaluation_setup(values))


def open_validation(
  values: Mapping[str, Any], choose: Callable[[Dataset], Source] = operator.attrgetter('val')
) -> Dataset:
  """Opens the data set of a run to evaluate on what `choose` returns, which becomes its `val`.

  Raises:
    UserError: the data is missing.
  """
  return build_validation(Config(values), choose)


def open_training_data(values: Mapping[str, Any], left_out: UnreadableExamples) -> Dataset:
  """Opens a run's data set without unreadable examples; raises UserError if it is missing."""
  return build_dataset(Config(values), left_out)
