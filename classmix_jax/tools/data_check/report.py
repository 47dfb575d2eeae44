"""Puts a survey into words: tables for people, and every finding with its file.

Synopsis:

    print(report(dataset, parts))
    print(told(findings))
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from classmix_jax.data.files.colors import hex_color
from classmix_jax.data.files.decoding import Raw
from classmix_jax.data.files.findings import Finding
from classmix_jax.data.label_statistics import class_counts, label_warnings
from classmix_jax.data.source import Dataset
from classmix_jax.tools.data_check.survey import Part, Value
from classmix_jax.types import VOID

MOST_SIZES = 8  # and kinds of files
MOST_STRANGE = 20  # values without a meaning, in the table


def report(dataset: Dataset, parts: Sequence[Part]) -> str:
  """Returns the tables: parts, files, values of the masks, classes."""
  names = ', '.join(f'{label} {name}' for label, name in enumerate(dataset.class_names))
  head = f"data set '{dataset.name}', {len(dataset.class_names)} classes: {names}"
  return '\n\n'.join(
    filter(
      None,
      [
        head,
        _parts(parts),
        _files(parts),
        *(_values(part, dataset) for part in parts),
        _classes(dataset, [part for part in parts if part.has_masks]),
      ],
    )
  )


def aligned(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> str:
  """Lays rows of cells out in columns; those in `right` are aligned to the right.

  Example:
    >>> aligned([('class', 'share'), ('road', '9 %')], right=[1])
    'class  share\\nroad     9 %'
  """
  widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
  lines = []
  for row in rows:
    cells = [
      cell.rjust(width) if index in right else cell.ljust(width)
      for index, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    lines.append('  '.join(cells).rstrip())
  return '\n'.join(lines)


# ------------------------------------------------------------------------ tables


def _parts(parts: Sequence[Part]) -> str:
  rows = [('part', 'images', 'masks read')]
  for part in parts:
    masks = f'{len(part.counts):,}' if part.has_masks else 'none opened'
    rows.append((part.title, f'{len(part.source):,}', masks))
  return aligned(rows, right=[1, 2])


def _files(parts: Sequence[Part]) -> str:
  rows = [('files', 'format and pixels', 'width x height')]
  for part in parts:
    sizes = Counter({f'{width}x{height}': n for (height, width), n in part.sizes.items()})
    rows.append((f'{part.title} images', _counted(part.images), _counted(sizes)))
    if part.masks:
      rows.append((f'{part.title} masks', _counted(part.masks), ''))
  return aligned(rows)


def _counted(counter: Counter[str]) -> str:
  """Returns '12 PNG RGB, 1 JPEG L'; of many kinds the most frequent."""
  shown = ', '.join(f'{count:,} {kind}' for kind, count in counter.most_common(MOST_SIZES))
  more = len(counter) - MOST_SIZES
  return f'{shown} and {more} more' if more > 0 else shown or '-'


def _values(part: Part, dataset: Dataset) -> str:
  """What the masks hold against what becomes of it."""
  if not part.values:
    return ''
  total = sum(value.pixels for value in part.values.values()) + part.strange_pixels
  shown = _shown(part.values)
  rows = [('value', 'becomes', 'pixels', 'share', 'masks')]
  for raw, value in shown:
    rows.append(
      (
        _raw_name(raw),
        _label_name(value.label, dataset),
        f'{value.pixels:,}',
        _percent(value.pixels, total),
        f'{value.images:,}',
      )
    )
  hidden = total - sum(value.pixels for _, value in shown)
  if hidden:
    rows.append(('others', _label_name(None, dataset), f'{hidden:,}', _percent(hidden, total), ''))
  return f'values in the {part.title} masks\n' + aligned(rows, right=[2, 3, 4])


def _shown(values: Mapping[Raw, Value]) -> list[tuple[Raw, Value]]:
  """All values with a meaning, ids first, and the most frequent of those without one."""
  strange = [item for item in values.items() if item[1].label is None]
  strange = sorted(strange, key=lambda item: -item[1].pixels)[:MOST_STRANGE]
  known = [item for item in values.items() if item[1].label is not None]
  return sorted(known + strange, key=lambda item: (isinstance(item[0], tuple), item[0]))


def _classes(dataset: Dataset, parts: Sequence[Part]) -> str:
  """Share of the pixels and number of images of each class and of void."""
  rows = [('class', *(cell for part in parts for cell in (part.title, 'images')))]
  labels = [*range(len(dataset.class_names)), VOID]
  for label in labels:
    row = [_label_name(label, dataset)]
    for part in parts:
      pixels = part.counts[:, label]
      row += [_percent(pixels.sum(), part.counts.sum()), f'{np.count_nonzero(pixels):,}']
    rows.append(tuple(row))
  return aligned(rows, right=range(1, 2 * len(parts) + 1))


def _raw_name(raw: Raw) -> str:
  return hex_color(raw) if isinstance(raw, tuple) else str(raw)


def _label_name(label: int | None, dataset: Dataset) -> str:
  if label is None:
    return 'nothing: see the findings'
  return 'void' if label == VOID else f'{label} {dataset.class_names[label]}'


def _percent(part: int, whole: int) -> str:
  return f'{100 * part / whole:.2f} %' if part else '-'  # 0.00 % is little, but some


# ---------------------------------------------------------------- findings, warnings


def warnings(dataset: Dataset, parts: Sequence[Part]) -> list[str]:
  """Returns a sentence per class that no labelled or no validation mask shows.

  A training starts in spite of these.
  """
  sentences = []
  for part in parts:
    if not len(part.counts):
      continue
    _, images = class_counts(part.counts, len(dataset.class_names))
    if part.title == 'labelled':
      sentences += label_warnings(images, len(part.counts), dataset.class_names)
    else:
      sentences += [
        f"class {label} '{dataset.class_names[label]}' occurs in 0 of {len(part.counts)} "
        f'{part.title} images: its IoU cannot be measured.'
        for label in np.flatnonzero(images == 0)
      ]
  return sentences


def told(findings: Sequence[Finding], most: int | None = None) -> str:
  """Returns all findings, numbered; a sentence that fits several files is told once.

  Args:
    findings: with their files.
    most: of the further files of a sentence so many are named, None for all.

  Example:
    >>> print(told([Finding('a.png', 'a.png is empty.'), Finding('b.png', 'b.png is empty.')]))
    1. a.png is empty.
       likewise b.png
    >>> print(told([Finding(file, f'{file} is empty.') for file in ('a', 'b', 'c')], most=1))
    1. a is empty.
       likewise b
       and 1 more, named in report.txt
  """
  groups: dict[str, list[Finding]] = {}
  for finding in findings:
    groups.setdefault(finding.sentence.replace(finding.file, ''), []).append(finding)
  lines = []
  for number, group in enumerate(groups.values(), start=1):
    lines.append(f'{number}. {group[0].sentence}')
    named = group[1:] if most is None else group[1 : most + 1]
    lines += [f'   likewise {finding.file}' for finding in named]
    hidden = len(group) - 1 - len(named)
    lines += [f'   and {hidden} more, named in report.txt'] if hidden else []
  return '\n'.join(lines)
