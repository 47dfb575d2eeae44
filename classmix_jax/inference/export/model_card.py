"""MODEL_CARD.md: what a network was trained on, how good it is, and how its files are used."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from classmix_jax.config.load import read_config
from classmix_jax.data.splits import split_hash
from classmix_jax.datasets.terms import describe_terms
from classmix_jax.inference.export.formats import FORMATS
from classmix_jax.inference.export.network import Trained
from classmix_jax.inference.export.self_test import Check
from classmix_jax.inference.frame import MULTIPLE, Frame
from classmix_jax.types import Size
from classmix_jax.workdir import layout, run_files


class Written(NamedTuple):
  """A file that was written and tested.

  Attributes:
    kind: a key of FORMATS.
    path: of the file.
    precision: of the computation.
    sizes: (H, W) of the images, empty if they may have any.
    check: of the test after writing.
    miou: of the file on the validation images, 0..1, or None if it was not measured.
  """

  kind: str
  path: Path
  precision: str
  sizes: Sequence[Size]
  check: Check
  miou: float | None = None


def model_card(
  run: Path, trained: Trained, outputs: Sequence[str], files: Sequence[Written]
) -> str:
  """Returns the model card in Markdown."""
  config = read_config(run)
  labeled, unlabeled = (run_files.read_split(run, part) for part in ('labeled', 'unlabeled'))
  path = layout.evaluation_path(run, trained.step)
  result = run_files.read_json(path) if path.exists() else {}
  names = trained.class_names
  return f"""# {config['method']['name']} on {config['name']}

- network: {config['model']['backbone']} + {config['model']['head']}, the {trained.name} at step {trained.step}
- data: {len(labeled)} labelled and {len(unlabeled)} unlabelled images of {config['name']}
- split: {split_hash(labeled)}
- mIoU: {describe_score(result, trained.name)}
- licence of the weights: {describe_licence(run_files.read_pretrained(run))}
- terms of the data: {describe_terms(config['data']['name'])}
- input: images [B, H, W, 3], uint8, RGB, of any number and size, if the table does not name sizes
- within the model: {describe_frame(trained.frame)}, and normalised
- not within the model: {', '.join(trained.left_out) or 'nothing'} of the evaluation
- image files: {describe_reading(config)}
- output: {', '.join(describe_output(name, len(names)) for name in outputs)}
- classes: {', '.join(f'{index} {name}' for index, name in enumerate(names))}

{format_files(files)}

Differences are those from the network in JAX, after writing, on three images of two sizes.

{format_usage(files)}

{format_iou(result['networks'][trained.name]['iou'] if result else {})}
"""  # noqa: E501


def describe_score(result: Mapping[str, Any], network: str) -> str:
  """Returns the mIoU of a network with its protocol, for the model card."""
  if not result:
    return 'not evaluated at this step'
  miou = 100 * result['networks'][network]['miou']
  return f'{miou:.2f} % on {result["images"]} validation images, protocol {result["protocol"]}'


def describe_licence(origin: Mapping[str, Any]) -> str:
  """Returns whose licence applies to the weights, for the model card."""
  if not origin:
    return 'trained from scratch: only the terms of the data apply'
  return (
    f'started from {origin["name"]} (trained on {origin["trained_on"] or "unknown data"}, SHA-256 '
    f'{origin["sha256"]}), whose licence applies, too'
  )


def describe_frame(frame: Frame) -> str:
  """Returns how images are fitted to the network.

  Example:
    >>> describe_frame(Frame(size=(180, 240)))
    'images are resized to 180x240, logits back to the size of the image'
  """
  if frame.size is not None:
    to = 'x'.join(map(str, frame.size))
  elif frame.multiple is not None:
    to = f'multiples of {frame.multiple} pixels'
  else:
    least = f'{frame.pad[0]}x{frame.pad[1]}, larger ones to ' if frame.pad else ''
    return f'images are padded with black to {least}multiples of {MULTIPLE} pixels'
  return f'images are resized to {to}, logits back to the size of the image'


def describe_reading(config: Mapping[str, Any]) -> str:
  """Returns how the run makes RGB bytes of its image files, which a user of the model repeats."""
  data = config['data']
  bands, value_range = data.get('bands', ''), data.get('value_range', '')
  parts = [f'bands {bands} (from 1)'] if bands else []
  parts += [f'values {value_range} become 0 to 255, others are clipped'] if value_range else []
  return '; '.join(parts) or 'RGB or grey, the whole range of their type becomes 0 to 255'


def describe_output(name: str, num_classes: int) -> str:
  """Returns an output with its shape, dtype and meaning."""
  return {
    'label': 'label [B, H, W], uint8 class ids',
    'logits': f'logits [B, H, W, {num_classes}], float32',
    'confidence': 'confidence [B, H, W], float32, the probability of the label',
  }[name]


def format_files(files: Sequence[Written]) -> str:
  """Returns a Markdown table of the files."""
  rows = ['| file | precision | sizes | logits | other class | mIoU | ms per image | run by |']
  rows.append('|---|---|---|---|---|---|---|---|')
  for file in files:
    sizes = ', '.join(f'{height}x{width}' for height, width in file.sizes) or 'any'
    cells = (
      file.path.name, file.precision, sizes, format_difference(file.check.difference),
      format_share(file.check.pixels), '-' if file.miou is None else f'{100 * file.miou:.2f}',
      f'{file.check.milliseconds:.0f}', file.check.library,
    )  # fmt: skip
    rows.append(f'| {" | ".join(cells)} |')
  return '\n'.join(rows)


def format_difference(value: float | None) -> str:
  """Returns a relative difference, '-' if there is none."""
  return '-' if value is None else f'{value:.1e}'


def format_share(value: float | None) -> str:
  """Returns a fraction in percent, '-' if there is none."""
  return '-' if value is None else f'{100 * value:.3f} %'


def format_usage(files: Sequence[Written]) -> str:
  """Returns how each file is run, in Markdown."""
  parts = ['## Use', '', '`images` is an array [B, H, W, 3] of uint8.']
  for file in files:
    entry = FORMATS[file.kind]
    height, width = next(iter(file.sizes), (0, 0))
    usage = entry.usage.format(path=file.path.name, height=height, width=width)
    parts += ['', f'{file.path.name}, after `{entry.install}`:', '', f'```python\n{usage}\n```']
  return '\n'.join(parts)


def format_iou(iou: Mapping[str, float | None]) -> str:
  """Returns a Markdown table of the IoU of each class, '-' for classes without pixels."""
  rows = (
    f'| {name} | {"-" if value is None else f"{100 * value:.2f}"} |' for name, value in iou.items()
  )
  return '\n'.join(('| class | IoU in % |', '|---|---|', *rows))
