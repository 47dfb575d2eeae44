"""What decides a result, next to what the paper used: printed before every training.

Synopsis:

    print(fingerprint(found={'global batch': '4 + 4'}, paper={'global batch': '2 + 2'}))
"""

from collections.abc import Mapping
from typing import Any

import jax

from classmix_jax.config.data import (
  Split,
)
from classmix_jax.config.lookup import Config
from classmix_jax.pretrained import initialize
from classmix_jax.training.streams import pipeline, unlabeled_batch_size
from classmix_jax.types import TrainState


def verdict(found: str, paper: str | None) -> str:
  """Compares one setting with the paper's.

  Example:
    >>> verdict('4 + 4', '2 + 2')
    'differs (paper: 2 + 2)'
  """
  if paper is None:
    return ''
  return 'as in the paper' if found == paper else f'differs (paper: {paper})'


def fingerprint(found: Mapping[str, str], paper: Mapping[str, str]) -> str:
  """Returns one aligned line per setting: name, value, verdict.

  Args:
    found: the settings of this run.
    paper: the settings of the paper's row, for some of the names.
  """
  name_width = max(map(len, found))
  value_width = min(44, max(map(len, found.values())))
  return '\n'.join(
    f'  {name:{name_width}}  {value:{value_width}}  {verdict(value, paper.get(name))}'.rstrip()
    for name, value in found.items()
  )


def bn_statistics(config: Config) -> str:
  """Whose statistics normalise: the one thing that accumulation changes."""
  if config.model.bn == 'running':
    return 'frozen statistics'
  of = '' if config.accumulate == 1 else f' of 1/{config.accumulate} of the batch'
  return f'batch statistics{of}'


def settings(
  config: Config,
  split: Split,
  devices: list,
  state: TrainState,
  protocol: str,
  origin: Mapping[str, Any],
) -> dict[str, str]:
  """What decides the result, as the fingerprint prints it."""
  optim, data = config.optim, config.data
  affine = 'frozen' if optim.freeze_bn_affine else 'trained'
  unlabeled = unlabeled_batch_size(config)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  share = len(devices) * jax.process_count()
  return {
    'method': config.method.name,
    'network': f'{config.model.backbone} + {config.model.head}',
    'parameters': f'{parameters:,}, float32',
    'precision': config.model.dtype,
    **initialize.describe_weights(config.model.pretrained, config.model.preprocessing, origin),
    'labelled images': f'{len(split.labeled):,}, split {split.labeled_hash}',
    'unlabelled images': f'{len(split.unlabeled):,}, masks not read',
    'global batch': f'{config.batch_size} labelled + {unlabeled} unlabelled',
    'learning rate': f'{optim.learning_rate:g} for {config.batch_size} + {unlabeled} images, '
    f'head {optim.head_multiplier:g}x',
    'steps': str(config.steps),
    'crop': 'x'.join(map(str, data.crop)) if len(data.crop) else 'whole image',
    'batches': pipeline(config),
    'micro-batches': f'{config.accumulate} per step',
    'BN mode': f'{bn_statistics(config)}, affine {affine}',
    'protocol': f'{protocol}, {config.eval_network}',
    'devices': f'{share} of {jax.device_count()} ({devices[0].platform}), '
    f'{config.batch_size // share} + {unlabeled // share} images on each',
  }
