"""Methods: how a network learns from the labelled and the unlabelled batch.

`METHODS` maps a name to a factory `(model, num_classes, **hyper_parameters)` of the protocol
`types.Method`. Variants are data: CutMix is the mean teacher with another mask. To add a method:
a file here and a line in `METHODS`.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

from classmix_jax.methods.adversarial import Adversarial
from classmix_jax.methods.corrmatch import CorrMatch
from classmix_jax.methods.cross_pseudo import CrossPseudo
from classmix_jax.methods.dst_cbc import DstCbc
from classmix_jax.methods.french import FrenchCutMix, FrenchCutOut
from classmix_jax.methods.mean_teacher import MeanTeacher
from classmix_jax.methods.pixcon import PixCon
from classmix_jax.methods.prevmatch import PrevMatch
from classmix_jax.methods.s4gan import S4GAN
from classmix_jax.methods.s4gan_mlmt import S4GANMLMT
from classmix_jax.methods.s4mc import S4MC
from classmix_jax.methods.supervised import Supervised
from classmix_jax.methods.supervised_ema import SupervisedEMA
from classmix_jax.methods.unimatch import UniMatch
from classmix_jax.methods.unimatch_v2 import UniMatchV2
from classmix_jax.types import Method
from classmix_jax.utils.ranges import Range

METHODS: Mapping[str, Callable[..., Method]] = {
  'supervised': Supervised,
  'supervised_ema': SupervisedEMA,
  'classmix': functools.partial(MeanTeacher, mask='class'),
  'cutmix': functools.partial(MeanTeacher, mask='cut'),
  'cowmix': functools.partial(MeanTeacher, mask='cow'),
  'mean_teacher': functools.partial(MeanTeacher, mask='none'),
  'cutmix_french': FrenchCutMix,
  'cutout_french': FrenchCutOut,
  'adversarial': Adversarial,
  's4gan': S4GAN,
  's4gan_mlmt': S4GANMLMT,
  'dst_cbc': DstCbc,
  'cps': CrossPseudo,
  'fixmatch': functools.partial(UniMatch, num_views=1, lambda_fp=0.0),
  'unimatch': UniMatch,
  'unimatch_v2': UniMatchV2,
  's4mc': S4MC,
  'prevmatch': PrevMatch,
  'pixcon': PixCon,
  'corrmatch': CorrMatch,
}


DEFAULT, BASELINE = 'classmix', 'supervised'  # of the command line


def method_class(name: str) -> Any:
  """Returns the class behind an entry of `METHODS`; it declares what other modules read."""
  factory = METHODS[name]
  return getattr(factory, 'func', factory)


def _hyper_parameter_fields(name: str) -> list[dataclasses.Field]:
  base = {field.name for field in dataclasses.fields(Supervised)}
  return [field for field in dataclasses.fields(method_class(name)) if field.name not in base]


def hyper_parameters(name: str) -> dict[str, Any]:
  """Returns the hyper-parameters of a method with their defaults.

  Example:
    >>> hyper_parameters('cutmix')['mask']
    'cut'
  """
  overrides = getattr(METHODS[name], 'keywords', {})
  fields = _hyper_parameter_fields(name)
  return {field.name: overrides.get(field.name, field.default) for field in fields}


def bounds(name: str) -> dict[str, Range]:
  """Returns the ranges of the hyper-parameters of a method that have one."""
  ranges = {x.name: x.metadata.get('bounds') for x in _hyper_parameter_fields(name)}
  return {key: value for key, value in ranges.items() if value is not None}


def small_values(name: str) -> dict[str, Any]:
  """Returns the hyper-parameters that differ for small networks trained from scratch.

  Example:
    >>> small_values('classmix')
    {'threshold': 0.9, 'ramp_steps': 750}
  """
  values = {x.name: x.metadata.get('small') for x in _hyper_parameter_fields(name)}
  return {key: value for key, value in values.items() if value is not None}


def network_names() -> list[str]:
  """Returns the names of all networks that predict, of any method."""
  return list(dict.fromkeys(key for name in METHODS for key in method_class(name).network_names))
