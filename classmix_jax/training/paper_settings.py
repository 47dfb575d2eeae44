"""Compares the settings that decide a result with the paper's, for the start of a run.

Synopsis:

    print(fingerprint({'global batch': '4 + 4'}, paper={'global batch': '2 + 2'}))
"""

from collections.abc import Mapping
from typing import Any

import jax

from classmix_jax.config.setup import Setup
from classmix_jax.pretrained import initialize
from classmix_jax.training.streams import pipeline_name
from classmix_jax.types import PyTree

VALUE_WIDTH = 44  # columns; longer values push their verdict to the right


def verdict(value: str, paper: str | None) -> str:
  """Compares one setting with the paper's.

  Example:
    >>> verdict('4 + 4', '2 + 2')
    'differs (paper: 2 + 2)'
  """
  if paper is None:
    return ''
  return 'as in the paper' if value == paper else f'differs (paper: {paper})'


def fingerprint(settings: Mapping[str, str], paper: Mapping[str, str]) -> str:
  """Returns one aligned line per setting: name, value, verdict.

  Args:
    settings: of this run.
    paper: settings of the paper, for some of the names.
  """
  name_width = max(map(len, settings))
  value_width = min(VALUE_WIDTH, max(map(len, settings.values())))
  return '\n'.join(
    f'  {name:{name_width}}  {value:{value_width}}  {verdict(value, paper.get(name))}'.rstrip()
    for name, value in settings.items()
  )


def bn_statistics(bn: str, accumulate: int) -> str:
  """Describes the statistics that BN normalises by: the one thing that accumulation changes."""
  if bn == 'running':
    return 'frozen statistics'
  part = '' if accumulate == 1 else f' of 1/{accumulate} of the batch'
  return f'batch statistics{part}'


def run_settings(
  setup: Setup, params: PyTree, protocol: str, origin: Mapping[str, Any]
) -> dict[str, str]:
  """Returns the settings that decide a result, as texts by name.

  Args:
    setup: of the training run.
    params: trainable parameters by network.
    protocol: description of the evaluation protocol.
    origin: of the initial weights, see `initial_state`.
  """
  model, optim, crop = setup.values['model'], setup.values['optim'], setup.values['data']['crop']
  batches, split = setup.batches, setup.split
  affine = 'frozen' if optim['freeze_bn_affine'] else 'trained'
  statistics = bn_statistics(model['bn'], batches.accumulate)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
  devices = len(setup.devices) * jax.process_count()
  rate, head = f'{optim["learning_rate"]:g}', f'{optim["head_multiplier"]:g}x'
  labeled, unlabeled = batches.labeled, batches.unlabeled
  assert split.unlabeled is not None
  return {
    'method': setup.values['method']['name'],
    'network': f'{model["backbone"]} + {model["head"]}',
    'parameters': f'{parameters:,}, float32',
    'precision': model['dtype'],
    **initialize.describe_weights(model['preprocessing'], origin),
    'labelled images': f'{len(split.labeled):,}, split {split.labeled_hash}',
    'unlabelled images': f'{len(split.unlabeled):,}, masks not read',
    'global batch': f'{labeled} labelled + {unlabeled} unlabelled',
    'learning rate': f'{rate} for {labeled} + {unlabeled} images, head {head}',
    'steps': str(setup.schedule.steps),
    'crop': 'x'.join(map(str, crop)) or 'whole image',
    'batches': pipeline_name(batches),
    'micro-batches': f'{batches.accumulate} per step',
    'BN mode': f'{statistics}, affine {affine}',
    'protocol': f'{protocol}, {setup.evaluation.headline}',
    'devices': f'{devices} of {jax.device_count()} ({setup.devices[0].platform}), '
    f'{labeled // devices} + {unlabeled // devices} images on each',
  }
