"""Reads all images and masks of a data set part; counts sizes, formats and classes.

Synopsis:

    part = survey('labelled', split.labeled, dataset.class_names, with_masks=True)
    part.sizes, part.values       # Counter of (height, width), raw value -> Value
    part.findings                 # problems, one sentence per file

Unreadable files do not stop the survey: each becomes a finding.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.data.duplicates import Content, hash_pixels
from classmix_jax.data.files.checks import check_fit
from classmix_jax.data.files.decoding import Decoding, Raw
from classmix_jax.data.files.findings import Finding
from classmix_jax.data.files.image_io import Header, read_header
from classmix_jax.data.files.mask_io import count_raw_values
from classmix_jax.data.files.turning import fits_either_way
from classmix_jax.data.label_statistics import (
  add_present,
  count_label,
  part_findings,
  select_ids,
)
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import Size
from classmix_jax.utils.progress import progress
from classmix_jax.utils.threads import in_parallel

MAX_UNKNOWN_VALUES = 1000  # counted separately; masks with smoothed edges have many more


class Value(NamedTuple):
  """Counts of a raw value in the masks.

  Attributes:
    label: its class id or void; None if it has none.
    pixels: number of pixels.
    images: number of masks that contain it.
  """

  label: int | None
  pixels: int
  images: int


class Inspection(NamedTuple):
  """The content of one example; fields are None if they are unreadable or not requested.

  Attributes:
    image: header of the image's file.
    size: (height, width) of the image.
    mask: header of the mask's file.
    values: raw value of the mask -> pixels.
    counts: `[256]` int64, label -> pixels.
    decoded: whether every pixel of the mask is a class or void; True if it was not requested.
    content: for the comparison with other examples.
    findings: problems of the example.
  """

  image: Header | None
  size: Size | None
  mask: Header | None
  values: Mapping[Raw, int]
  counts: np.ndarray | None
  decoded: bool
  content: Content
  findings: tuple[Finding, ...]


@dataclasses.dataclass(frozen=True)
class Part:
  """The survey of the labelled, the unlabelled or the validation examples.

  Attributes:
    title: 'labelled', 'unlabelled' or 'val'.
    source: the examples.
    has_masks: whether masks were read; otherwise none was opened.
    images: kind of file, such as 'PNG RGB' -> number of images.
    sizes: (height, width) -> number of images.
    masks: kind of file -> number of masks.
    values: raw value of the masks -> its counts; {} if the source has no mask files.
    uncounted_pixels: pixels of values without a class beyond `MAX_UNKNOWN_VALUES`.
    counts: `[N, 256]` int64, label -> pixels, of the readable masks.
    valid: indices of the examples without a finding.
    decoded: whether all masks decode and have meant values, so that absent classes are absent.
    contents: for the comparison with other parts.
    turned: number of images that EXIF turns and whose masks fit either way.
    findings: problems of the examples.
  """

  title: str
  source: Source
  has_masks: bool
  images: Counter[str]
  sizes: Counter[Size]
  masks: Counter[str]
  values: Mapping[Raw, Value]
  uncounted_pixels: int
  counts: np.ndarray
  valid: tuple[int, ...]
  decoded: bool
  contents: tuple[Content, ...]
  turned: int
  findings: tuple[Finding, ...]


def survey(title: str, source: Source, class_names: Sequence[str], *, with_masks: bool) -> Part:
  """Reads all examples of a source and counts their sizes, formats and classes.

  Args:
    title: 'labelled', 'unlabelled' or 'val'.
    source: examples at the resolution of their files.
    class_names: name of class 0, 1, ...
    with_masks: whether masks are read; otherwise none is opened.

  Example: `survey('val', dataset.val, dataset.class_names, with_masks=True).findings`.
  """
  log_progress = progress(f'reading the {title} images{" and masks" * with_masks}', len(source))
  inspections: list[Inspection] = []
  values: dict[Raw, Value] = {}
  uncounted_pixels = 0
  for inspection in in_parallel(
    lambda index: inspect_example(title, source, index, class_names, with_masks),
    range(len(source)),
  ):
    # Values are added one by one, since those of all smoothed masks would not fit into memory.
    uncounted_pixels += _add_values(inspection.values, values, source)
    inspections.append(inspection._replace(values={}))
    log_progress(len(inspections))
  readable = [index for index, one in enumerate(inspections) if one.counts is not None]
  counts = np.array([inspections[index].counts for index in readable], np.int64).reshape(-1, 256)
  findings = [finding for one in inspections for finding in one.findings]
  add_present(findings, select_ids(values))
  # What whole masks hold is judged by those that decode, as their options are not the reason.
  sound = [position for position, index in enumerate(readable) if not inspections[index].findings]
  names = [source.names[readable[position]] for position in sound]
  whole = part_findings(title, names, counts[sound], class_names)
  return Part(
    title=title,
    source=source,
    has_masks=with_masks,
    images=_count_kinds(one.image for one in inspections),
    sizes=Counter(one.size for one in inspections if one.size),
    masks=_count_kinds(one.mask for one in inspections),
    values=values,
    uncounted_pixels=uncounted_pixels,
    counts=counts,
    decoded=not whole and all(one.decoded for one in inspections),
    contents=tuple(one.content for one in inspections),
    valid=tuple(index for index, one in enumerate(inspections) if not one.findings),
    turned=sum(fits_either_way(one.image, one.mask) for one in inspections),
    findings=(*findings, *whole),
  )


def inspect_example(
  title: str, source: Source, index: int, class_names: Sequence[str], with_mask: bool
) -> Inspection:
  """Reads the readable parts of one example, and collects the errors as findings."""
  findings: list[Finding] = []

  def attempt(file: object, read: Callable, *arguments: object) -> Any:
    try:
      return read(*arguments)
    except UserError as error:
      findings.append(Finding.of(file, error))
      return None

  def read_label() -> tuple[bytes | None, np.ndarray]:
    label = source.load_label(index)
    return hash_pixels(label), count_label(label, name, class_names)

  files, name = source.files, source.names[index]
  # `files.image` reads a record if the data set is prepared, which can fail, too.
  image_file = attempt(name, files.image, index) if files else None
  image = image_file and attempt(image_file, read_header, image_file)
  pixels = attempt(image_file or name, source.read_image, index)
  size = image.size if image else None if pixels is None else pixels.shape[:2]
  mask, mask_digest, counts = None, None, None
  values: Mapping[Raw, int] = {}
  if with_mask and files and files.mask:
    mask_file = attempt(name, files.mask, index)
    mask = mask_file and attempt(mask_file, read_header, mask_file)
    if image_file and image and mask:
      attempt(mask_file, check_fit, image_file, image, mask_file, mask, files.decoding)
    values = mask and attempt(mask_file, count_raw_values, mask_file, files.decoding) or {}
    # Read again as in a training, for its sentence on values without a class.
    mask_digest, counts = attempt(mask_file or name, read_label) or (None, None)
    if counts is None and values:
      counts = _count_labels(values, files.decoding)
  elif with_mask:
    mask_digest, counts = attempt(name, read_label) or (None, None)
  image_digest = None if pixels is None else hash_pixels(pixels)
  distinct = {(finding.file, finding.sentence): finding for finding in findings}
  return Inspection(
    image,
    size,
    mask,
    values,
    counts,
    decoded=not with_mask or mask_digest is not None,
    content=Content(title, str(image_file or name), image_digest, mask_digest),
    findings=tuple(distinct.values()),
  )


def _count_labels(values: Mapping[Raw, int], decoding: Decoding) -> np.ndarray:
  """Returns label -> pixels, `[256]`, without values that have no class."""
  counts = np.zeros(256, np.int64)
  for raw, pixels in values.items():
    label = decoding.label_of(raw)
    if label is not None:
      counts[label] += pixels
  return counts


def _count_kinds(headers: Iterable[Header | None]) -> Counter[str]:
  return Counter(f'{header.format} {header.mode}' for header in headers if header)


def _add_values(values: Mapping[Raw, int], table: dict[Raw, Value], source: Source) -> int:
  """Adds the values of one mask to the table; returns the pixels beyond its limit."""
  room = MAX_UNKNOWN_VALUES - sum(value.label is None for value in table.values())
  uncounted = 0
  for raw, pixels in values.items():
    assert source.files is not None
    label = source.files.decoding.label_of(raw)
    if label is None and raw not in table:
      if room == 0:
        uncounted += pixels
        continue
      room -= 1
    total = table.get(raw, Value(label, 0, 0))
    table[raw] = Value(label, total.pixels + pixels, total.images + 1)
  return uncounted
