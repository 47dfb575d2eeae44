"""Formats a survey as tables, and findings as a numbered list.

Synopsis:

    print(format_report(dataset, parts))
    print(format_findings(findings))
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from classmix_jax.data.files.colors import hex_color
from classmix_jax.data.files.decoding import Raw
from classmix_jax.data.files.findings import Finding, group_findings
from classmix_jax.data.files.turning import turned_warning
from classmix_jax.data.label_statistics import class_counts, label_warnings, one_class_warning
from classmix_jax.data.source import Dataset
from classmix_jax.tools.data_check.survey import Part, Value
from classmix_jax.types import VOID
from classmix_jax.utils.text import align_columns, plural

MAX_KINDS = 8  # sizes or formats of files in a cell
MAX_UNKNOWN_ROWS = 5  # values without a class in a table
MAX_KNOWN_ROWS = 8  # values of one class in a table


def format_report(dataset: Dataset, parts: Sequence[Part]) -> str:
  """Returns notes, and tables of the parts, their files, the values of masks, and the classes."""
  names = ', '.join(f'{label} {name}' for label, name in enumerate(dataset.class_names))
  head = f"data set '{dataset.name}', {len(dataset.class_names)} classes: {names}"
  return '\n\n'.join(
    filter(
      None,
      [
        head,
        '\n'.join(dataset.notes),
        _format_parts(parts),
        _format_files(parts),
        *(_format_values(part, dataset) for part in parts),
        _format_classes(dataset, [part for part in parts if part.has_masks]),
      ],
    )
  )


# ------------------------------------------------------------------------ tables


def _format_parts(parts: Sequence[Part]) -> str:
  rows = [('part', 'images', 'masks read')]
  for part in parts:
    masks = f'{len(part.counts):,}' if part.has_masks else 'none opened'
    rows.append((part.title, f'{len(part.source):,}', masks))
  return align_columns(rows, right=[1, 2])


def _format_files(parts: Sequence[Part]) -> str:
  rows = [('files', 'format and pixels', 'width x height')]
  for part in parts:
    sizes = Counter({f'{width}x{height}': n for (height, width), n in part.sizes.items()})
    rows.append((f'{part.title} images', _format_counter(part.images), _format_counter(sizes)))
    if part.masks:
      rows.append((f'{part.title} masks', _format_counter(part.masks), ''))
  return align_columns(rows)


def _format_counter(counter: Counter[str]) -> str:
  """Returns for example '12 PNG RGB, 1 JPEG L', with the most frequent kinds only."""
  shown = ', '.join(f'{count:,} {kind}' for kind, count in counter.most_common(MAX_KINDS))
  more = len(counter) - MAX_KINDS
  return f'{shown} and {more} more' if more > 0 else shown or '-'


def _format_values(part: Part, dataset: Dataset) -> str:
  """Returns a table of the raw values in the masks and their classes; '' if there are none."""
  if not part.values:
    return ''
  total = sum(value.pixels for value in part.values.values()) + part.uncounted_pixels
  shown = _select_values(part.values)
  many = {
    label: [raw for raw, value in shown if value.label == label]
    for label in dict.fromkeys(value.label for _, value in shown)
    if label is not None and sum(value.label == label for _, value in shown) > MAX_KNOWN_ROWS
  }
  rows = [('value', 'becomes', 'pixels', 'share', 'masks')]
  for label, raws in many.items():
    pixels = sum(part.values[raw].pixels for raw in raws)
    rows.append(
      (
        f'{len(raws)} values, {_format_raw(raws[0])} to {_format_raw(raws[-1])}',
        _format_label(label, dataset),
        f'{pixels:,}',
        _format_percentage(pixels, total),
        '',
      )
    )
  for raw, value in shown:
    if value.label in many:
      continue
    rows.append(
      (
        _format_raw(raw),
        _format_label(value.label, dataset),
        f'{value.pixels:,}',
        _format_percentage(value.pixels, total),
        f'{value.images:,}',
      )
    )
  hidden = total - sum(value.pixels for _, value in shown)
  if hidden:
    rows.append(
      ('others', _format_label(None, dataset), f'{hidden:,}', _format_percentage(hidden, total), '')
    )
  return f'values in the {part.title} masks\n' + align_columns(rows, right=[2, 3, 4])


def _select_values(values: Mapping[Raw, Value]) -> list[tuple[Raw, Value]]:
  """Returns all values with a class, and the most frequent of the others; ids before colours."""
  unknown = [item for item in values.items() if item[1].label is None]
  unknown = sorted(unknown, key=lambda item: -item[1].pixels)[:MAX_UNKNOWN_ROWS]
  known = [item for item in values.items() if item[1].label is not None]
  # Ids, colours and words do not compare with each other.
  kinds = (int, tuple, str)
  return sorted(known + unknown, key=lambda item: (kinds.index(type(item[0])), item[0]))


def _format_classes(dataset: Dataset, parts: Sequence[Part]) -> str:
  """Returns a table of each class and void: colour, percentage of pixels, number of images."""
  rows = [('class', 'colour', *(cell for part in parts for cell in (part.title, 'images')))]
  labels = [*range(len(dataset.class_names)), VOID]
  for label in labels:
    color = '' if label == VOID else hex_color(dataset.palette[label])
    row = [_format_label(label, dataset), color]
    for part in parts:
      pixels = part.counts[:, label]
      row += [_format_percentage(pixels.sum(), part.counts.sum()), f'{np.count_nonzero(pixels):,}']
    rows.append(tuple(row))
  return align_columns(rows, right=range(2, 2 * len(parts) + 2))


def _format_raw(raw: Raw) -> str:
  return hex_color(raw) if isinstance(raw, tuple) else str(raw)


def _format_label(label: int | None, dataset: Dataset) -> str:
  if label is None:
    return 'nothing: see the findings'
  return 'void' if label == VOID else f'{label} {dataset.class_names[label]}'


def _format_percentage(part: int, whole: int) -> str:
  return f'{100 * part / whole:.2f} %' if part else '-'  # '-' is exactly zero, '0.00 %' is not


# ---------------------------------------------------------------- findings, warnings


def list_warnings(dataset: Dataset, parts: Sequence[Part], counted: Sequence[Part]) -> list[str]:
  """Returns a sentence for each class that is in no labelled or no validation mask.

  Further warnings are on masks of one class only, and on images that are turned by EXIF. Warnings
  do not stop a training.

  Args:
    dataset: has the class names.
    parts: of the data set.
    counted: the parts whose classes can be absent; of these all masks must decode.
  """
  sentences = []
  for part in parts:
    if any(part is one for one in counted) and part.decoded and len(part.counts):
      sentences += _warn_of_classes(dataset, part)
    if part.source.files is not None and part.has_masks:
      decoding = part.source.files.decoding
      sentences += turned_warning(part.turned, len(part.source), part.title, decoding)
  return sentences


def _warn_of_classes(dataset: Dataset, part: Part) -> list[str]:
  names = dataset.class_names
  one_class = one_class_warning(part.counts, names, part.title)
  if one_class:
    return one_class
  _, images = class_counts(part.counts, len(names))
  if part.title == 'labelled':
    return label_warnings(images.tolist(), len(part.counts), names)
  return [
    f"class {label} '{names[label]}' occurs in 0 of {len(part.counts)} "
    f'{part.title} images: its IoU cannot be measured.'
    for label in np.flatnonzero(images == 0)
  ]


def format_findings(findings: Sequence[Finding], most: int | None = None) -> str:
  """Returns a numbered list of findings, with one entry for the same mistake in several files.

  Args:
    findings: with their files.
    most: maximum number of files after the first in an entry; None for all.

  Example:
    >>> findings = [Finding(file, f'{file} is empty.') for file in ('a', 'b', 'c')]
    >>> print(format_findings(findings[:2]))
    1. a is empty.
       in 2 files, likewise b
    >>> print(format_findings(findings, most=1))
    1. a is empty.
       in 3 files, likewise b
       and 1 more, named in report.txt
  """
  lines = []
  for number, group in enumerate(group_findings(findings), start=1):
    lines.append(f'{number}. {group.sentence}')
    named = group.files[1:] if most is None else group.files[1 : most + 1]
    heads = [f'in {len(group.files)} files, ', *[''] * len(named)]
    lines += [f'   {head}likewise {file}' for head, file in zip(heads, named, strict=False)]
    hidden = len(group.files) - 1 - len(named)
    lines += [f'   and {hidden} more, named in report.txt'] if hidden else []
  return '\n'.join(lines)


def count_findings(findings: Sequence[Finding]) -> str:
  """Returns '3 findings', or '3 findings in 30 files' if a finding has several files.

  Example:
    >>> count_findings([Finding('a', 'a is empty.'), Finding('b', 'b is empty.')])
    '1 finding in 2 files'
  """
  groups = group_findings(findings)
  counted = f'{len(groups)} {plural("finding", groups)}'
  files = sum(len(group.files) for group in groups)
  return f'{counted} in {files} files' if files > len(groups) else counted
