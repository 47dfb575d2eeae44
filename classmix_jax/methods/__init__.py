"""Methods: what is learned from the labelled and the unlabelled batch.

`METHODS` maps a name to a factory `(model, num_classes, **hyper_parameters)`
of the protocol `types.Method`. Variants are data: CutMix is the mean teacher
with another mask. To add one: a file here and a line in `METHODS`.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

from classmix_jax.methods.adversarial import Adversarial
from classmix_jax.methods.cross_pseudo import CrossPseudo
from classmix_jax.methods.dst_cbc import DstCbc
from classmix_jax.methods.mean_teacher import MeanTeacher
from classmix_jax.methods.s4gan import S4GAN
from classmix_jax.methods.s4gan_mlmt import S4GANMLMT
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.unimatch import UniMatch
from classmix_jax.methods.unimatch_v2 import UniMatchV2
from classmix_jax.types import Method

# The mean teacher of French et al. (arXiv 1906.01916).
_FRENCH = dict(consistency='mse_sum', threshold=0.97, warm_up=False, jitter=0.0, blur=False)

METHODS: Mapping[str, Callable[..., Method]] = {
  'supervised': Supervised,
  'classmix': functools.partial(MeanTeacher, mask='class'),
  'cutmix': functools.partial(MeanTeacher, mask='cut'),
  'cowmix': functools.partial(MeanTeacher, mask='cow'),
  'mean_teacher': functools.partial(MeanTeacher, mask='none'),
  'cutmix_french': functools.partial(MeanTeacher, mask='half_box', **_FRENCH),
  'cutout_french': functools.partial(MeanTeacher, mask='any_box', paste=False, **_FRENCH),
  'adversarial': Adversarial,
  's4gan': S4GAN,
  's4gan_mlmt': S4GANMLMT,
  'dst_cbc': DstCbc,
  'cps': CrossPseudo,
  'fixmatch': functools.partial(UniMatch, num_views=1, lambda_fp=0.0),
  'unimatch': UniMatch,
  'unimatch_v2': UniMatchV2,
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
    for field in fields
    if field.name not in ('model', 'num_classes', 'labeled_loss')
  }
