"""Reads every image of a part of a data set, and the masks where it has labels; counts both.

Synopsis:

    part = survey('labelled', split.labeled, dataset.class_names, with_masks=True)
    part.sizes, part.values       # Counter of (height, width), raw value -> Value
    part.findings                 # what is wrong, one sentence per file

Nothing ends the reading: files that do not decode are found, the others are counted.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.data.files.checks import describe_misfit
from classmix_jax.data.files.decoding import Decoding, Raw
from classmix_jax.data.files.findings import Finding
from classmix_jax.data.files.image_io import Header, read_header
from classmix_jax.data.files.mask_io import count_raw_values
from classmix_jax.data.label_statistics import binary_finding, count_values, void_finding
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import Size
from classmix_jax.utils.progress import progress
from classmix_jax.utils.threads import in_parallel

MOST_STRANGE = 1000  # values without a meaning that are counted apart; smoothed edges have many


class Value(NamedTuple):
  """A value of the masks: what it becomes (None: nothing), how often, and in how many masks."""

  label: int | None
  pixels: int
  images: int


class Look(NamedTuple):
  """What one example holds; None where it could not be read or was not to be opened.

  Attributes:
    image: of the image's file.
    size: (height, width) of the image.
    mask: of the mask's file.
    values: raw value of the mask -> pixels.
    counts: `[256]` label -> pixels.
    findings: what is wrong.
  """

  image: Header | None
  size: Size | None
  mask: Header | None
  values: Mapping[Raw, int]
  counts: np.ndarray | None
  findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class Part:
  """What the labelled, the unlabelled or the validation examples hold.

  Attributes:
    title: 'labelled', 'unlabelled' or 'val'.
    source: the examples.
    has_masks: whether masks were read; otherwise none was opened.
    images: how many images are of which kind, as 'PNG RGB'.
    sizes: how many images have which (height, width).
    masks: how many masks are of which kind.
    values: raw value of the masks -> what becomes of it; {} where there are no files.
    strange_pixels: pixels of values without a meaning that `values` has no room for.
    counts: `[N, 256]` int64, label -> pixels, for the masks that decode.
    sound: the examples without a finding.
    findings: what is wrong.
  """

  title: str
  source: Source
  has_masks: bool
  images: Counter[str]
  sizes: Counter[Size]
  masks: Counter[str]
  values: Mapping[Raw, Value]
  strange_pixels: int
  counts: np.ndarray
  sound: tuple[int, ...]
  findings: tuple[Finding, ...]


def survey(title: str, source: Source, class_names: Sequence[str], *, with_masks: bool) -> Part:
  """Reads all examples of a source and counts what they hold.

  Args:
    title: of the part.
    source: examples at the resolution of their files.
    class_names: name of class 0, 1, ...
    with_masks: whether masks are read; otherwise none is opened.

  Example: `survey('val', dataset.val, dataset.class_names, with_masks=True).findings`.
  """
  say = progress(f'reading the {title} images{" and masks" * with_masks}', len(source))
  looks: list[Look] = []
  values: dict[Raw, Value] = {}
  strange_pixels = 0
  for one in in_parallel(
    lambda index: look(source, index, class_names, with_masks), range(len(source))
  ):
    # At once: together the colours of all smoothed masks would not fit into memory.
    strange_pixels += _add(one.values, values, source)
    looks.append(one._replace(values={}))
    say(len(looks))
  read = [index for index, one in enumerate(looks) if one.counts is not None]
  counts = np.array([looks[index].counts for index in read], np.int64).reshape(-1, 256)
  findings = [finding for one in looks for finding in one.findings]
  names = [source.names[index] for index in read]
  sentence = binary_finding(names, counts, class_names) or void_finding(names, counts, class_names)
  if sentence:
    findings.append(Finding(title, sentence))
  return Part(
    title=title,
    source=source,
    has_masks=with_masks,
    images=_kinds(one.image for one in looks),
    sizes=Counter(one.size for one in looks if one.size),
    masks=_kinds(one.mask for one in looks),
    values=values,
    strange_pixels=strange_pixels,
    counts=counts,
    sound=tuple(i for i, one in enumerate(looks) if not one.findings),
    findings=tuple(findings),
  )


def look(source: Source, index: int, class_names: Sequence[str], with_mask: bool) -> Look:
  """Reads one example, as far as that can be done."""
  findings: list[Finding] = []

  def attempt(file: object, read: Callable, *arguments: object) -> Any:
    try:
      return read(*arguments)
    except UserError as error:
      findings.append(Finding(str(file), str(error)))
      return None

  files, name = source.files, source.names[index]
  # Prepared records are read to have their files, which may fail as well.
  image_file = attempt(name, files.image, index) if files else None
  image = image_file and attempt(image_file, read_header, image_file)
  pixels = attempt(image_file or name, source.read_image, index)
  size = image.size if image else None if pixels is None else pixels.shape[:2]
  mask, values, counts = None, {}, None
  if with_mask and files and files.mask:
    mask_file = attempt(name, files.mask, index)
    mask = mask_file and attempt(mask_file, read_header, mask_file)
    if image and mask:
      sentence = describe_misfit(image_file, image, mask_file, mask)
      findings += [Finding(str(mask_file), sentence)] if sentence else []
    values = mask and attempt(mask_file, count_raw_values, mask_file, files.decoding) or {}
    # Read as the training reads it: for the sentence on values that mean nothing.
    attempt(mask_file or name, count_values, source, index, class_names)
    counts = _labels(values, files.decoding) if values else None
  elif with_mask:
    counts = attempt(name, count_values, source, index, class_names)
  return Look(image, size, mask, values, counts, tuple(dict.fromkeys(findings)))


def _labels(values: Mapping[Raw, int], decoding: Decoding) -> np.ndarray:
  """Returns label -> pixels, `[256]`; values without a meaning count nowhere."""
  counts = np.zeros(256, np.int64)
  for raw, pixels in values.items():
    label = decoding.label_of(raw)
    if label is not None:
      counts[label] += pixels
  return counts


def _kinds(headers) -> Counter[str]:
  return Counter(f'{header.format} {header.mode}' for header in headers if header)


def _add(values: Mapping[Raw, int], table: dict[Raw, Value], source: Source) -> int:
  """Adds the values of one mask to the table; returns the pixels that found no room there."""
  room = MOST_STRANGE - sum(value.label is None for value in table.values())
  left_out = 0
  for raw, pixels in values.items():
    label = source.files.decoding.label_of(raw)
    if label is None and raw not in table:
      if room == 0:
        left_out += pixels
        continue
      room -= 1
    before = table.get(raw, Value(label, 0, 0))
    table[raw] = Value(label, before.pixels + pixels, before.images + 1)
  return left_out
