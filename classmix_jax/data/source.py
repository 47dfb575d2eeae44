"""Random access to examples: `Source`, `Dataset`, and derived sources; NumPy only.

Synopsis:

    train = cached(dataset.train, cache_gb=4.)     # one cache for both parts
    labeled = subset(train, choose_labeled(train.names, 46, seed=0))
    unlabeled = concat(train, dataset.unlabeled) if dataset.unlabeled else train
"""

from collections.abc import Callable, Sequence
import dataclasses
import threading
from typing import Any, NamedTuple

import numpy as np

from classmix_jax.utils.threads import in_parallel


class Files(NamedTuple):
  """The files behind a source, for code that reads files instead of pixels.

  Attributes:
    image: index -> `image_io.File` of the image.
    mask: index -> `image_io.File` of the mask, or None if there are no masks. Never called for
      unlabelled examples.
    decoding: how masks are decoded, a `data.files.decoding.Decoding`, or None.
    reading: how images are read, a `data.files.reading.Reading`, or None.
  """

  image: Callable[[int], Any]
  mask: Callable[[int], Any] | None = None
  decoding: Any = None
  reading: Any = None


@dataclasses.dataclass(frozen=True)
class Source:
  """Random access to images, and to labels if there are any.

  Attributes:
    names: one unique name per example, in sorted order. Splits are lists of these names.
    read_image: index -> `[H, W, 3]` uint8 RGB.
    read_label: index -> `[H, W]` uint8 class ids and 255, of the image's size (the protocol `full`
      keeps the size of the label's file); None if there are no labels. Never called for
      unlabelled examples.
    version: returns a text that changes whenever a pixel may have changed (files, their times and
      sizes, resolution, class table); None if that is not known, and then the source is not
      copied to the disk.
    files: the image and mask files, None if the examples have none.

  Both readers raise `UserError` if the file is missing, damaged or inconsistent.
  """

  names: tuple[str, ...]
  read_image: Callable[[int], np.ndarray]
  read_label: Callable[[int], np.ndarray] | None = None
  version: Callable[[], str] | None = None
  files: Files | None = None

  def __len__(self) -> int:
    return len(self.names)

  def load_label(self, index: int) -> np.ndarray:
    """Returns `read_label(index)`; raises ValueError if the source has no labels."""
    if self.read_label is None:
      raise ValueError('the source has no labels')
    return self.read_label(index)


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set: its classes and its examples.

  Attributes:
    name: e.g. 'camvid'.
    class_names: name of class 0, 1, ...
    palette: one RGB triple (0..255) per class, for figures.
    train: examples with labels; a split chooses which labels are used.
    val: examples with labels for evaluation.
    unlabeled: further images without labels, or None.
    test: examples with labels that neither train nor validate, or None.
    raw_ids: value of class 0, 1, ... in predictions for the official tools of the data set
      (Cityscapes: 7, 8, 11, ...), or None if these expect class ids.
    notes: sentences about how the data set was read, such as its layout or files that are not
      used; printed by the check of the data and at the start of a training run.
  """

  name: str
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  train: Source
  val: Source
  unlabeled: Source | None = None
  test: Source | None = None
  raw_ids: tuple[int, ...] | None = None
  notes: tuple[str, ...] = ()


def subset(source: Source, indices: Sequence[int] | np.ndarray) -> Source:
  """Returns the examples `indices` of a source, in that order.

  Raises IndexError if an index is out of range.

  Example: `subset(source, [3, 1]).names == (source.names[3], source.names[1])`.
  """
  chosen = [int(i) for i in indices]

  def pick(read: Callable[[int], Any]) -> Callable[[int], Any]:
    return lambda i: read(chosen[i])

  files = source.files
  return Source(
    tuple(source.names[i] for i in chosen),
    pick(source.read_image),
    source.read_label and pick(source.read_label),
    source.version,
    files and files._replace(image=pick(files.image), mask=files.mask and pick(files.mask)),
  )


def concat(a: Source, b: Source) -> Source:
  """Returns the examples of `a`, then those of `b`; with labels only if both have them.

  The files of the masks are dropped, as the two may have different decodings. A name of `b` that
  `a` has as well gets the suffix '#2', because names are unique.

  Example: `len(concat(a, b)) == len(a) + len(b)`.
  """
  taken = set(a.names)
  names = a.names + tuple(f'{name}#2' if name in taken else name for name in b.names)

  def chain(first: Callable, second: Callable) -> Callable:
    return lambda i: first(i) if i < len(a) else second(i - len(a))

  labels = a.read_label and b.read_label and chain(a.read_label, b.read_label)
  files = (
    a.files and b.files and Files(chain(a.files.image, b.files.image), reading=a.files.reading)
  )
  return Source(names, chain(a.read_image, b.read_image), labels, _versions(a, b), files)


def _versions(a: Source, b: Source) -> Callable[[], str] | None:
  """Returns the version of both sources together, None if one has none."""
  first, second = a.version, b.version
  if first is None or second is None:
    return None
  return lambda: f'{first()}\n{second()}'


def with_labels_of(source: Source, other: Source) -> Source:
  """Returns the images of `source` with the labels of `other`, equal examples of another size.

  Raises ValueError if the names differ.
  """
  if source.names != other.names:
    raise ValueError('the two sources are not the same examples')
  return dataclasses.replace(source, read_label=other.read_label, version=_versions(source, other))


def label_sizes(source: Source) -> list[tuple[int, int]]:
  """Reads all labels and returns the size (H, W) of each."""

  def read_size(index: int) -> tuple[int, int]:
    height, width = source.load_label(index).shape
    return height, width

  return list(in_parallel(read_size, range(len(source))))


def cached(source: Source, cache_gb: float) -> Source:
  """Returns a source that keeps decoded arrays in memory, so that small data sets decode once.

  The first `cache_gb` * 10^9 bytes (images and labels together) are kept; later arrays are read
  every time. Thread-safe; the arrays are read-only. Subsets of the result share its cache. Errors
  of the readers are raised again at every call.

  Example: `cached(dataset.val, 4.)`; 0 returns the source itself.
  """
  if cache_gb <= 0:
    return source
  arrays: dict[tuple[str, int], np.ndarray] = {}
  lock = threading.Lock()
  free_bytes = int(cache_gb * 1e9)

  def remember(kind: str, read: Callable) -> Callable:
    def lookup(i: int) -> np.ndarray:
      nonlocal free_bytes
      key = (kind, int(i))
      if key in arrays:
        return arrays[key]
      array = read(i).view()  # outside the lock: decoding runs in parallel
      array.flags.writeable = False
      with lock:
        if key not in arrays and array.nbytes <= free_bytes:
          arrays[key] = array
          free_bytes -= array.nbytes
      return array

    return lookup

  return Source(
    source.names,
    remember('image', source.read_image),
    source.read_label and remember('label', source.read_label),
    source.version,
    source.files,
  )
