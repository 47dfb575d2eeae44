"""SGD or Adam with the poly schedule and one learning rate per group of parameters.

Synopsis:

    tx = poly_optimizer(learning_rate=2.5e-4, head_multiplier=10.0, steps=40_000)
    opt_state = tx.init(params)
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
import optax

from classmix_jax.core.duplicate_steps import LISTINGS, listings_of, repeated
from classmix_jax.types import Array, PyTree


def poly_schedule(
  learning_rate: float, steps: int, power: float = 0.9, lag: int = 0
) -> optax.Schedule:
  """Returns lr_t = lr_0 (1 - s / steps)^power for t = 0, 1, ... (arXiv 1606.00915, section 3).

  s is t - `lag`, but at least 0. Code that sets the learning rate after a step has a lag of 1.

  Example:
    >>> [round(float(poly_schedule(1.0, 10)(t)), 4) for t in (0, 5, 10)]
    [1.0, 0.5359, 0.0]
  """

  def schedule(step: ArrayLike) -> Array:
    step = jnp.maximum(step - lag, 0)
    # Compiled, 1 - steps / steps may round to less than 0, whose power is NaN.
    return learning_rate * jnp.maximum(1.0 - step / steps, 0.0) ** power

  return schedule


def sgd(rate: optax.Schedule, momentum: float, weight_decay: float) -> optax.GradientTransformation:
  """Returns SGD as in torch: weight decay is added to the gradient, no Nesterov momentum."""
  return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(rate, momentum))


def adam(
  rate: optax.Schedule, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
  """Returns Adam with the default betas; weight decay is added to the gradient."""
  del momentum
  return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(rate))


def adamw(
  rate: optax.Schedule, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
  """Returns Adam with decoupled weight decay (arXiv 1711.05101)."""
  del momentum
  return optax.adamw(rate, weight_decay=weight_decay)


# Rules of segmentation networks, called with (schedule, momentum, weight_decay).
RULES: Mapping[str, Callable[..., optax.GradientTransformation]] = {
  'sgd': sgd,
  'adam': adam,
  'adamw': adamw,
}


def names_of(path: tuple) -> list[str]:
  return [str(getattr(entry, 'key', entry)) for entry in path]


def group_of(path: tuple, freeze_bn_affine: bool) -> str:
  """Returns the group of a segmentation network's parameter: 'head', 'backbone' or 'frozen'.

  Modules whose name starts with 'unused' take no part in the forward pass: their gradient is 0,
  and weight decay must not change them either.

  Args:
    path: key path of the leaf, e.g. `segmenter / backbone / bn1 / scale`.
    freeze_bn_affine: whether BN scales and shifts are frozen.
  """
  names = names_of(path)
  if any(name.startswith('unused') for name in names):
    return 'frozen'
  if freeze_bn_affine and any(name.startswith('bn') for name in names):
    return 'frozen'
  return 'head' if 'head' in names else 'backbone'


def poly_optimizer(
  learning_rate: float,
  steps: int,
  *,
  rule: str = 'sgd',
  head_multiplier: float = 1.0,
  momentum: float = 0.9,
  weight_decay: float = 5e-4,
  power: float = 0.9,
  lag: int = 0,
  freeze_bn_affine: bool = False,
  duplicate_steps: bool = False,
  others: Mapping[str, optax.GradientTransformation] = MappingProxyType({}),
) -> optax.GradientTransformation:
  """Returns one optimizer for all networks of a method, by the names of its parameters.

  Args:
    learning_rate: initial rate of the backbone.
    steps: length of the poly schedule.
    rule: a name of `RULES`.
    head_multiplier: learning rate of the head, in units of the backbone's (10 in the paper).
    momentum: of `sgd`, 0.9 in the paper.
    weight_decay: for all trainable tensors of segmentation networks, biases included.
    power: exponent of the poly schedule; 0 for a constant rate.
    lag: steps by which the schedule of segmentation networks is late, see `poly_schedule`.
    freeze_bn_affine: whether BN scales and shifts keep their initial values.
    duplicate_steps: whether to step the blocks of a ResNet three or four times with each gradient,
      as the original does; see `duplicate_steps.py`.
    others: optimizers of networks that are no segmentation networks, by their key in `params`.
  """

  def segmenter(rate: float, times: int = 1) -> optax.GradientTransformation:
    # The inner count advances `times` times per step.
    schedule = poly_schedule(rate, steps, power, lag)
    return repeated(
      RULES[rule](lambda count: schedule(count // times), momentum, weight_decay), times
    )

  def group(path: tuple) -> str:
    names = names_of(path)
    if names[0] in others:
      return names[0]
    name = group_of(path, freeze_bn_affine)
    times = listings_of(names)
    return f'backbone_{times}' if duplicate_steps and name == 'backbone' else name

  def groups(params: PyTree) -> PyTree:
    return jax.tree.map_with_path(lambda path, _: group(path), params)

  backbone = {'backbone': segmenter(learning_rate)}
  if duplicate_steps:
    backbone = {f'backbone_{times}': segmenter(learning_rate, times) for times in LISTINGS}
  return optax.partition(
    {
      **backbone,
      'head': segmenter(learning_rate * head_multiplier),
      'frozen': optax.set_to_zero(),
      **others,
    },
    groups,
  )
