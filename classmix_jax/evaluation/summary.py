"""Prints the table and draws the predictions of an evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.evaluation.headline import describe_headline
from classmix_jax.types import PyTree
from classmix_jax.utils.atomic_write import write_png
from classmix_jax.utils.text import display_width, pad, plural
from classmix_jax.workdir import layout


def result_table(result: Mapping[str, Any]) -> str:
  """Returns the final table: IoU in percent, one line per class, one column per network.

  The mean over all classes, with 0 for absent ones, has a line if it differs. The last lines are
  the headline score and the reliability of its network.
  """
  networks = result['networks']
  names = list(result['iou'])
  all_classes = f'mIoU of {len(names)}'
  width = max(map(display_width, ['IoU in %', all_classes, *names]))

  def line(name: str, values: list[float | None]) -> str:
    cells = [f'{"-":>8}' if value is None else f'{100 * value:8.2f}' for value in values]
    return '  '.join([pad(name, width), *cells])

  def mean(name: str, field: str) -> str:
    return line(name, [network[field] for network in networks.values()])

  lines = ['  '.join([pad('IoU in %', width), *(f'{name:>8}' for name in networks)])]
  lines += [line(name, [network['iou'][name] for network in networks.values()]) for name in names]
  lines.append(mean('mIoU', 'miou'))
  if any(network['miou'] != network['miou_all_classes'] for network in networks.values()):
    lines.append(mean(all_classes, 'miou_all_classes'))
  images = range(result['images'])
  lines.append(
    f'{result["pixels"]:,} pixels of {len(images)} {plural("image", images)}, '
    f'{result["classes_present"]} of {len(names)} classes present, {result["protocol"]}, '
    f'{result["labeled"]} labelled images (split {result["split"]}), step {result["step"]}'
  )
  lines.append(describe_headline(result))
  lines.append(reliability_line(result))
  return '\n'.join(lines)


def reliability_line(result: Mapping[str, Any]) -> str:
  """Returns how many confident pixels of the headline network are correct, in words."""
  reliability = result['reliability']
  confident = f'pixels with a confidence of {reliability["threshold"]:g} or more'
  if reliability['precision'] is None:
    return f'{result["network"]}: no {confident}'
  return (
    f'{result["network"]}: {100 * reliability["precision"]:.2f} % of the {confident} are correct, '
    f'{100 * reliability["share"]:.2f} % of all pixels are that confident'
  )


def without_classes(result: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
  """Returns a result without the IoU of classes that the masks do not label.

  Pixels that are predicted as one of these count as mistakes of their true class only.

  Args:
    result: see `Evaluator`.
    names: of the classes.
  """

  def leave_out(summary: Mapping[str, Any]) -> dict[str, Any]:
    iou = {name: None if name in names else value for name, value in summary['iou'].items()}
    values = [value for value in iou.values() if value is not None]
    means = {
      'miou': sum(values) / len(values),
      'miou_all_classes': sum(values) / len(iou),
    }
    return {**summary, 'iou': iou, **means}

  networks = {name: leave_out(summary) for name, summary in result['networks'].items()}
  return {**leave_out(result), 'networks': networks} if names else dict(result)


def conclude(
  run: Path,
  result: Mapping[str, Any],
  evaluator: Evaluator,
  networks: Mapping[str, PyTree],
  protocol: str = '',
) -> None:
  """Prints the final table and draws predictions.

  Args:
    run: directory of the run.
    result: see `Evaluator`.
    evaluator: draws the predictions.
    networks: name -> variables.
    protocol: slug of a protocol other than the run's, whose figure is written to RUN/eval/.
  """
  if jax.process_index() == 0:
    path = layout.evaluation_path(run, result['step'], protocol)
    figure = path.with_suffix('.png') if protocol else run / 'predictions.png'
    print(result_table(result))
    write_png(figure, evaluator.draw_predictions(networks, result['step']))
    print(f'wrote {path} and {figure}', flush=True)
