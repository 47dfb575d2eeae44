"""Methods: what is learned from the labelled and the unlabelled batch.

`METHODS` maps a name to a factory `(model, num_classes, **hyper_parameters)`
of the protocol `types.Method`. Variants are data: CutMix is the mean teacher
with another mask. To add one: a file here and a line in `METHODS`.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

from classmix_jax.methods.mean_teacher import MeanTeacher
from classmix_jax.methods.supervised import Supervised
from classmix_jax.types import Method

METHODS: Mapping[str, Callable[..., Method]] = {
    'supervised': Supervised,
    'classmix': functools.partial(MeanTeacher, mask='class'),
    'cutmix': functools.partial(MeanTeacher, mask='cut'),
    'cowmix': functools.partial(MeanTeacher, mask='cow'),
    'mean_teacher': functools.partial(MeanTeacher, mask='none'),
}


def hyper_parameters(name: str) -> dict[str, Any]:
  """Returns the hyper-parameters of a method with their defaults.

  Example:
    >>> hyper_parameters('cutmix')['mask']
    'cut'
  """
  factory = METHODS[name]
  overrides = getattr(factory, 'keywords', {})
  fields = dataclasses.fields(getattr(factory, 'func', factory))
  return {
      field.name: overrides.get(field.name, field.default)
      for field in fields if field.name not in ('model', 'num_classes')
  }
