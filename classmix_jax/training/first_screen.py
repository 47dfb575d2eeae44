"""Describes a training in a few lines before its first step.

Synopsis:

    print('\\n'.join(first_screen(setup, settings, 'paper at 96x192', parameters=500_748)))

`paper_settings.py` has every setting, for `--verbose` and the run's settings.txt.
"""

from collections.abc import Mapping

import jax

from classmix_jax.config.setup import Schedule, Setup
from classmix_jax.evaluation.headline import RULE, headline_network
from classmix_jax.training.streams import has_tensorflow, pipeline_name
from classmix_jax.utils.text import align_columns, plural


def describe_origin(settings: Mapping[str, str]) -> str:
  """Returns where the initial weights are from, see `initialize.describe_weights`.

  Example:
    >>> describe_origin({'pre-training': 'none, from scratch', 'preprocessing': 'imagenet'})
    'from scratch'
  """
  if 'weights' not in settings:
    return 'from scratch'
  name = settings['weights'].partition(', ')[0]
  origin = f'pretrained on {settings["pre-training"]} ({name})'
  differs = ', but the weights are ' in settings['preprocessing']
  return f'{origin}; preprocessing {settings["preprocessing"]}' if differs else origin


def describe_passes(steps: int, batch_size: int, images: int) -> str:
  """Returns how often a training sees each labelled image.

  Example:
    >>> describe_passes(3000, 4, 20), describe_passes(3000, 4, 2975)
    ('600 passes', '4.0 passes')
  """
  passes = steps * batch_size / images
  return f'{passes:,.0f} passes' if passes >= 10 else f'{passes:.1f} passes'


def describe_evaluations(schedule: Schedule) -> str:
  """Returns when the networks are evaluated.

  Example:
    >>> describe_evaluations(Schedule(3000, 1000, 500, 250))
    'every 1,000 steps'
  """
  if not 0 < schedule.eval_every < schedule.steps:
    return 'after the last step'
  whole = schedule.steps % schedule.eval_every == 0
  return f'every {schedule.eval_every:,} steps' + ('' if whole else ' and after the last one')


def describe_training(setup: Setup) -> str:
  """Returns the method, the number of steps and what each of them takes."""
  batches, schedule = setup.batches, setup.schedule
  size = batches.geometry.crop
  unit = f'crops of {size[0]}x{size[1]}' if size else 'whole images'
  images = f'{batches.labeled} labelled'
  if batches.unlabeled:
    images += f' + {batches.unlabeled} unlabelled'
  passes = describe_passes(schedule.steps, batches.labeled, len(setup.split.labeled))
  devices = range(len(setup.devices) * jax.process_count())
  parts = [
    f'{setup.values["method"]["name"]}, {schedule.steps:,} steps of {images} {unit} '
    f'({passes} over the labelled images)',
    f'{len(devices)} {setup.devices[0].platform} {plural("device", devices)}',
  ]
  if not has_tensorflow():
    parts.append(pipeline_name(batches))
  return ', '.join(parts)


def first_screen(
  setup: Setup, settings: Mapping[str, str], protocol: str, parameters: int
) -> list[str]:
  """Returns the lines: data, network, training and score.

  Args:
    setup: of the training run.
    settings: see `paper_settings.run_settings`.
    protocol: description of the evaluation protocol.
    parameters: number of trained parameters.
  """
  split, val, optim = setup.split, setup.dataset.val, setup.values['optim']
  assert split.unlabeled is not None
  unused = '' if setup.batches.unlabeled else ', which are not used'
  network = headline_network(setup.evaluation.headline, setup.method.network_names)
  rows = {
    'data': f'{len(split.labeled):,} labelled {plural("image", split.labeled.names)} (split '
    f'{split.labeled_hash}), {len(split.unlabeled):,} unlabelled{unused}, {len(val):,} for '
    'validation',
    'network': f'{settings["network"]}, {parameters:,} trained parameters, '
    f'{describe_origin(settings)}, {optim["rule"]} at {optim["learning_rate"]:g}',
    'training': describe_training(setup),
    'score': f'mIoU on the validation images {describe_evaluations(setup.schedule)}, {protocol}; '
    f'the {network} ({RULE}) at the last step counts',
  }
  return align_columns(list(rows.items())).splitlines()
