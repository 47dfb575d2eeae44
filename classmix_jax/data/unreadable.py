"""Skips unreadable training examples: which ones, and why.

By default a training run ends with an error at the first unreadable example. With
`config.data.on_error='skip'` it reads all training images and the masks of labelled examples once,
before the first step, and trains on the others. An example is skipped if

- its image or mask is missing, damaged or not an image (`files/image_io.py`);
- its mask has another size than its image, or is a JPEG (`files/checks.py`);
- its mask has values or colours that are not classes (`files/mask_io.py`, `label_statistics.py`).

RUN/left_out.json has the name of every skipped example with the reason, one sentence. A resumed run
skips the same examples. Validation examples are never skipped, and neither are problems with whole
directories, such as images without a mask.

Synopsis:

    unreadable = find_unreadable_examples(dataset, labeled=[3, 7])
    train = drop_examples(dataset.train, unreadable.train)
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from classmix_jax.data.files.checks import check_fit
from classmix_jax.data.files.findings import Finding, count_kinds, group_findings
from classmix_jax.data.files.image_io import read_header
from classmix_jax.data.label_statistics import count_values
from classmix_jax.data.source import Dataset, Source, subset
from classmix_jax.errors import UserError
from classmix_jax.utils.threads import in_parallel


class UnreadableExamples(NamedTuple):
  """Unreadable examples.

  Attributes:
    train: name -> reason, of the source `train`.
    unlabeled: name -> reason, of the source `unlabeled`.
    summary: number of examples of each kind of reason, and one sentence for each kind; '' if the
      examples were read from left_out.json.
  """

  train: Mapping[str, str]
  unlabeled: Mapping[str, str]
  summary: str = ''

  def __bool__(self) -> bool:
    return bool(self.train or self.unlabeled)

  def __str__(self) -> str:
    return f'{len(self.train)} of train, {len(self.unlabeled)} of unlabeled'


NONE_UNREADABLE = UnreadableExamples({}, {})


def find_unreadable_examples(
  dataset: Dataset, labeled: Collection[int], report: Callable[[int], None] | None = None
) -> UnreadableExamples:
  """Reads all training images, and the masks of labelled examples only.

  Args:
    dataset: the data set, reading from its files and not from copies.
    labeled: indices of the examples of `train` whose masks may be opened.
    report: called with the number of examples that have been read, see `utils.progress`.

  Example: `find_unreadable_examples(dataset, labeled=range(30)).train` may be
    `{'a': 'images/a.png does not decode (...)'}`.
  """
  labeled = frozenset(map(int, labeled))
  num_read = 0
  findings: list[Finding] = []

  def scan(source: Source, has_label: Callable[[int], bool]) -> dict[str, str]:
    nonlocal num_read
    reasons: dict[str, str] = {}
    errors = in_parallel(
      lambda index: find_flaw(source, index, dataset.class_names, has_label(index)),
      range(len(source)),
    )
    for name, error in zip(source.names, errors, strict=True):
      if error is not None:
        reasons[name] = str(error)
        findings.append(Finding.of(name, error))
      num_read += 1
      if report is not None:
        report(num_read)
    return reasons

  train = scan(dataset.train, labeled.__contains__)
  unlabeled = scan(dataset.unlabeled, lambda index: False) if dataset.unlabeled else {}
  return UnreadableExamples(train, unlabeled, summarize(findings))


def summarize(findings: Sequence[Finding]) -> str:
  """Returns the number of findings of each kind, and a sentence for each."""
  groups = group_findings(findings)
  counts = f'{count_kinds(groups)}. ' if len(findings) > 1 else ''
  return counts + ' '.join(group.sentence for group in groups)


def find_flaw(
  source: Source, index: int, class_names: Sequence[str], has_label: bool
) -> UserError | None:
  """Returns the error that makes an example unreadable, None if there is none.

  Args:
    source: source of the example.
    index: its index.
    class_names: name of class 0, 1, ...
    has_label: whether its mask may be opened.
  """
  try:
    source.read_image(index)
    if not has_label:
      return None
    count_values(source, index, class_names)
    if source.files is None or source.files.mask is None:
      return None
    # By the headers: at a working resolution, image and mask have been resized to the same size.
    image, mask = source.files.image(index), source.files.mask(index)
    check_fit(image, read_header(image), mask, read_header(mask), source.files.decoding)
  except UserError as error:
    return error
  return None


def drop_examples(source: Source, names: Collection[str]) -> Source:
  """Returns the source without the examples of these names."""
  if not names:
    return source
  return subset(source, np.flatnonzero([name not in names for name in source.names]))
