"""The first table of a report: what ran on what, and what it reached.

Synopsis:

    rows = run_facts([run, other])     # 'method' -> ['classmix', 'supervised']
    describe_moments([run])            # 'At step 3,000, the last step.'
"""

from collections.abc import Sequence
from pathlib import Path
import re
import shlex
from typing import Any

from classmix_jax.evaluation.headline import name_step
from classmix_jax.tools.report.compare import MISSING
from classmix_jax.tools.report.runs import Run

DASH = '–'  # of a value that a run does not have, or that is not set
# The directories of a path anywhere in a text, which begins with / or ~/.
DIRECTORIES = re.compile(r'(?<![\w….*~-])~?/(?:[^/,:=]+/)*(?=[^\s/])')


def run_facts(runs: Sequence[Run]) -> dict[str, list[Any]]:
  """Returns the rows of the table: fact -> its value for each run, a dash if it has none."""
  columns = [_facts_of_run(run) for run in runs]
  facts = dict.fromkeys(fact for column in columns for fact in column)
  return {fact: [column.get(fact, DASH) for column in columns] for fact in facts}


def _facts_of_run(run: Run) -> dict[str, Any]:
  model, result, place = run.config['model'], run.result, run.place
  facts = {
    'method': run.config['method']['name'],
    'network': f'{model["backbone"]} + {model["head"]}',
    'pre-training': run.pretrained.get('name', 'none'),
    'data': data_name(run),
    'labelled images': f'{run.labeled:,} (split {result["split"]})',
    'unlabelled images': f'{run.unlabeled:,}',
    'examples left out': f'{run.left_out:,}',
    'validation': f'{result["images"]:,} images, {result["pixels"]:,} pixels',
    'protocol': result['protocol'],
    'steps': f'{result["step"]:,} of {run.config["steps"]:,}',
    'seed': run.config['seed'],
    'headline network': f'{result["network"]} (chosen by {result["network_rule"]})',
    'its mIoU in %': f'{100 * result["miou"]:.2f} at {describe_moment(run)}',
  }
  others = [
    f'{name} {100 * network["miou"]:.2f}'
    for name, network in result['networks'].items()
    if name != result['network']
  ]
  if others:
    facts['mIoU in % of other networks'] = ', '.join(others)
  if place['best_step'] not in (None, result['step']):
    facts['its best mIoU in %'] = f'{100 * place["best_miou"]:.2f} at step {place["best_step"]:,}'
  facts['devices'] = result['devices']
  versions = run.started['versions']
  if versions:
    facts['versions'] = ', '.join(f'{name} {version}' for name, version in versions.items())
  return facts


def data_name(run: Run) -> str:
  """Returns the name of the directory of a run's images, or of its data set if it has none."""
  return Path(run.config['data']['root']).name or str(run.config['name'])


def describe_moment(run: Run) -> str:
  """Returns the step whose numbers a page shows, and whether it is the last or the best."""
  step = run.result['step']
  return f'step {step:,}, {name_step({"step": step, **run.place})}'


def describe_moments(runs: Sequence[Run], *, headline: bool = False) -> str:
  """Returns a sentence on the step of each run, and with `headline` on its network."""

  def describe(run: Run) -> str:
    moment = describe_moment(run)
    return f'the {run.result["network"]} at {moment}' if headline else f'at {moment}'

  if len(runs) == 1:
    sentence = describe(runs[0])
    return f'{sentence[0].upper()}{sentence[1:]}.'
  return '; '.join(f'{run.name}: {describe(run)}' for run in runs) + '.'


def describe_command(run: Run) -> str:
  """Returns the command that started a run, without the directories of its paths.

  It is '' if the run was not started from the command line.
  """
  arguments = run.started['arguments']
  if not any(argument.startswith('--config') for argument in arguments):
    return ''
  return f'python launch/main.py {hide_directories(shlex.join(arguments))}'


def hide_directories(text: str) -> str:
  """Shortens absolute paths in a text to their last parts: a page may leave the machine.

  Example:
    >>> hide_directories('--config=/home/me/configs/own.py:labeled=1/8')
    '--config=…/own.py:labeled=1/8'
  """
  return DIRECTORIES.sub('…/', text)


def display_setting(value: Any) -> Any:
  """Returns a setting as the page shows it; a dash if it is not set."""
  if value is MISSING:
    return 'no such setting'
  if value is None or value in ('', [], ()):
    return DASH
  return hide_directories(value) if isinstance(value, str) else value
