"""Gives the head of a run to a network with other classes, matched by their names.

    before  ground  box  ball          the last axis of the head's kernels and biases
    now     ground  cat  box           ground and box are copied, cat is initialized from scratch

Synopsis:

    weights, line = match_head(tree, open_weights(Path('RUN')), model, ('ground', 'cat', 'box'))
    line      # 'head: 2 of 3 classes from RUN, step 400; new: cat; left out: ball'
"""

from collections.abc import Sequence
import dataclasses

import jax
import numpy as np

from classmix_jax.models.segmenter import IMAGE_SHAPE, Segmenter, initialize
from classmix_jax.pretrained.load import Weights
from classmix_jax.types import PyTree
from classmix_jax.utils.text import listed
from classmix_jax.workdir.array_shapes import list_shapes

NAMES_SHOWN = 12


def find_class_arrays(model: Segmenter) -> list[str]:
  """Returns the arrays whose last axis is the class: it is longer with one class more.

  Example: of the head `linear`, `['head/classifier/bias', 'head/classifier/kernel']`.
  """
  shapes = []
  for more in (0, 1):
    head = model.head.clone(num_classes=model.head.num_classes + more)
    larger = model.clone(head=head)
    params, _ = jax.eval_shape(
      lambda key, m=larger: initialize(m, key, IMAGE_SHAPE), jax.random.key(0)
    )
    shapes.append(list_shapes(params))
  return [name for name, shape in shapes[0].items() if shape != shapes[1][name]]


def select_classes(
  initial: np.ndarray, saved: np.ndarray, names: Sequence[str], saved_names: Sequence[str]
) -> np.ndarray:
  """Returns an array with the columns of saved classes, and initial ones of new classes.

  Args:
    initial: `[..., C]`.
    saved: `[..., D]`, of the same shape before the last axis.
    names: of the C classes.
    saved_names: of the D classes.

  Example:
    >>> select_classes(np.zeros(3), np.array([1.0, 2.0]), ('a', 'b', 'c'), ('c', 'a')).tolist()
    [2.0, 0.0, 1.0]
  """
  result = np.array(initial)
  for index, name in enumerate(names):
    if name in saved_names:
      result[..., index] = saved[..., saved_names.index(name)]
  return result


def match_head(
  tree: PyTree, weights: Weights, model: Segmenter, class_names: Sequence[str]
) -> tuple[Weights, str]:
  """Returns weights whose head is for these classes, and a line about it.

  Args:
    tree: `{'params': ..., 'batch_stats': ...}` of the network, with its initial weights.
    weights: unchanged, with the line '', if they have no class names or the same ones.
    model: the network.
    class_names: name of class 0, 1, ...
  """
  saved_names = list(weights.class_names)
  if not saved_names or saved_names == list(class_names):
    return weights, ''
  arrays = {name: find_array(tree['params'], name) for name in find_class_arrays(model)}
  others = {name: x for name, x in weights.tensors.items() if name not in arrays}
  if any(
    name not in weights.tensors
    or weights.tensors[name].shape != (*initial.shape[:-1], len(saved_names))
    for name, initial in arrays.items()
  ):  # the head is another one, of which nothing is kept
    return dataclasses.replace(weights, tensors=others), ''
  matched = {
    name: select_classes(initial, weights.tensors[name], class_names, saved_names)
    for name, initial in arrays.items()
  }
  line = describe_head(weights.name, class_names, saved_names)
  return dataclasses.replace(weights, tensors={**others, **matched}), line


def find_array(params: PyTree, name: str) -> np.ndarray:
  """Returns the array of a name such as 'head/classifier/bias'."""
  for key in name.split('/'):
    params = params[key]
  return params


def describe_head(origin: str, names: Sequence[str], saved_names: Sequence[str]) -> str:
  """Returns how many classes a head has from other weights, which are new and which are gone.

  Example:
    >>> describe_head('RUN, step 4', ('a', 'b', 'cat'), ('b', 'a'))
    'head: 2 of 3 classes from RUN, step 4; new: cat'
  """
  parts = [
    f'head: {sum(name in saved_names for name in names)} of {len(names)} classes from {origin}'
  ]
  for title, some, others in (('new', names, saved_names), ('left out', saved_names, names)):
    if missing := [name for name in some if name not in others]:
      parts.append(f'{title}: {listed(missing, NAMES_SHOWN)}')
  return '; '.join(parts)
