"""Looks at labels before the first step, because wrong ones train without an error.

Synopsis:

    pixels, images = check_labels(dataset.train, labeled, dataset.class_names)
    for sentence in label_warnings(images, len(labeled), dataset.class_names):
      logging.warning(sentence)
"""

from collections.abc import Sequence

import numpy as np

from classmix_jax.datasets.pairs import raise_findings
from classmix_jax.types import VOID, Source, UserError


def check_labels(
    source: Source, indices: Sequence[int], class_names: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
  """Reads the labels of some examples and counts their classes.

  Args:
    source: examples with labels.
    indices: which examples to read.
    class_names: name of class 0, 1, ...

  Returns:
    `(pixels, images)`, both `[C]` int64: in how many pixels, and in how many of
    these images, each class occurs.

  Raises:
    UserError: masks that do not decode or hold values that are no class; and,
      with two classes, masks of 0 and 255 only, whose object would be ignored.

  Example: `pixels, images = check_labels(dataset.train, range(30), ('road', 'car'))`.
  """
  num_classes = len(class_names)
  counts = np.zeros((len(indices), 256), np.int64)
  findings = []
  for row, index in enumerate(indices):
    try:
      counts[row] = np.bincount(source.read_label(index).ravel(), minlength=256)
      _check_values(source.names[index], counts[row], class_names)
    except UserError as error:
      findings.append((source.names[index], str(error)))
  raise_findings(findings, len(indices), 'masks')
  _check_binary([source.names[index] for index in indices], counts, class_names)
  return counts[:, :num_classes].sum(0), (counts[:, :num_classes] > 0).sum(0)


def _check_values(name: str, counts: np.ndarray, class_names: Sequence[str]) -> None:
  """Raises UserError where a label is neither a class nor void."""
  present = np.flatnonzero(counts)
  strange = present[(present >= len(class_names)) & (present != VOID)].tolist()
  if strange:
    raise UserError(
        f"the mask of '{name}' holds the values {', '.join(map(str, strange))}; expected are "
        f"0 to {len(class_names) - 1} and 255 (void). Set --config.data.label_map="
        f"'{strange[0]}:CLASS' (CLASS is an id or void).")


def _check_binary(names: Sequence[str], counts: np.ndarray, class_names: Sequence[str]) -> None:
  """Raises UserError for two classes whose masks `[N, 256]` hold 0 and 255 but never 1.

  255 is void, so the object would never be trained. That it was meant as class
  1 is likely but not certain: the user decides.
  """
  if len(class_names) != 2 or counts[:, 1].any() or not counts[:, VOID].any():
    return
  first = int(np.argmax(counts[:, VOID] > 0))
  values = ', '.join(map(str, np.flatnonzero(counts[first])))
  raise UserError(
      f"the mask of '{names[first]}' holds the {'values' if ',' in values else 'value'} {values} "
      f'and none of {len(names)} masks holds 1; config has 2 classes (0 {class_names[0]}, '
      f"1 {class_names[1]}). 255 means 'ignore' here. Set --config.data.label_map='255:1' if it "
      f"marks '{class_names[1]}'; if it does mean ignore, add labelled images with "
      f"'{class_names[1]}'.")


def label_warnings(
    images: Sequence[int], num_images: int, class_names: Sequence[str]) -> list[str]:
  """Returns a sentence for every class that occurs in none of the labelled images.

  Args:
    images: `[C]` number of images that hold each class, from `check_labels`.
    num_images: number of images that were read.
    class_names: name of class 0, 1, ...

  Example: `label_warnings([30, 0], 30, ('road', 'train'))` is
    `["class 1 'train' occurs in 0 of 30 labelled images: its IoU cannot rise above 0."]`.
  """
  return [
      f"class {label} '{name}' occurs in 0 of {num_images} labelled images: "
      'its IoU cannot rise above 0.'
      for label, (name, count) in enumerate(zip(class_names, images, strict=True)) if count == 0
  ]
