"""SGD or Adam with the poly schedule and one learning rate per group of parameters.

Synopsis:

    tx = poly_optimizer(learning_rate=2.5e-4, head_multiplier=10.0, steps=40_000)
    opt_state = tx.init(params)
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from classmix_jax.core.duplicate_steps import LISTINGS, listings_of, repeated
from classmix_jax.types import Array, PyTree


def poly_schedule(learning_rate: float, steps: int, power: float = 0.9) -> optax.Schedule:
  """lr_t = lr_0 (1 - t / steps)^power for the 0-based step t (arXiv 1606.00915, section 3).

  Example:
    >>> [round(float(poly_schedule(1.0, 10)(t)), 4) for t in (0, 5, 10)]
    [1.0, 0.5359, 0.0]
  """

  def schedule(step: Array) -> Array:
    # Compiled, 1 - steps / steps may fall below 0, and a power of that is NaN.
    return learning_rate * jnp.maximum(1.0 - step / steps, 0.0) ** power

  return schedule


def sgd(rate: optax.Schedule, momentum: float, weight_decay: float) -> optax.GradientTransformation:
  """SGD as in torch: weight decay is added to the gradient, no Nesterov."""
  return optax.chain(optax.add_decayed_weights(weight_decay), optax.sgd(rate, momentum))


def adam(
  rate: optax.Schedule, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
  """Adam with the default betas; weight decay is added to the gradient."""
  del momentum
  return optax.chain(optax.add_decayed_weights(weight_decay), optax.adam(rate))


def adamw(
  rate: optax.Schedule, momentum: float, weight_decay: float
) -> optax.GradientTransformation:
  """Adam with weight decay beside the gradient (arXiv 1711.05101)."""
  del momentum
  return optax.adamw(rate, weight_decay=weight_decay)


# Of the segmentation networks: a rule is made of (schedule, momentum, weight_decay).
RULES: Mapping[str, Callable[..., optax.GradientTransformation]] = {
  'sgd': sgd,
  'adam': adam,
  'adamw': adamw,
}
CLASSIFIER_WEIGHT_DECAY = 1e-5
CLASSIFIER_LAST_RATE = 1 / 300  # of the first one
DISCRIMINATOR_BETAS = (0.9, 0.99)  # of Hung et al. and s4GAN


def classifier_sgd(rate: float, steps: int) -> optax.GradientTransformation:
  """What the classifiers of s4GAN's second branch learn by."""
  schedule = optax.cosine_decay_schedule(rate, steps, alpha=CLASSIFIER_LAST_RATE)
  return optax.chain(
    optax.add_decayed_weights(CLASSIFIER_WEIGHT_DECAY),
    optax.sgd(schedule, momentum=0.9, nesterov=True),
  )


def names_of(path: tuple) -> list[str]:
  return [str(getattr(entry, 'key', entry)) for entry in path]


def group_of(path: tuple, freeze_bn_affine: bool) -> str:
  """Names the group: 'head', 'backbone', 'discriminator', 'classifier' or 'frozen'.

  Modules whose name starts with 'unused' take no part in the forward pass: their
  gradient is 0, and weight decay must not move them either.

  Args:
    path: key path of the leaf, e.g. `segmenter / backbone / bn1 / scale`. What lies below
      `classifier` belongs to a classifier of whole images.
    freeze_bn_affine: whether BN scales and shifts stay as they are.
  """
  names = names_of(path)
  if 'discriminator' in names:
    return 'discriminator'
  if names[0] == 'classifier':
    return 'classifier'
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
  freeze_bn_affine: bool = False,
  duplicate_steps: bool = False,
  discriminator_learning_rate: float = 1e-4,
  classifier_learning_rate: float = 0.03,
) -> optax.GradientTransformation:
  """One optimizer for every network of a method, by the names of its parameters.

  Args:
    learning_rate: initial rate of the backbone.
    steps: length of the poly schedule.
    rule: a name of `RULES`.
    head_multiplier: the head learns this many times faster (10 in the paper).
    momentum: of `sgd`, 0.9 in the paper.
    weight_decay: for all trainable tensors of segmentation networks, biases included.
    power: exponent of the poly schedule; 0 keeps the rate.
    freeze_bn_affine: keep BN scales and shifts at their initial values.
    duplicate_steps: step the blocks of a ResNet three or four times with each
      gradient, as the original does; see `duplicate_steps.py`.
    discriminator_learning_rate: initial rate of discriminators, which always learn by Adam
      without weight decay (arXiv 1802.07934).
    classifier_learning_rate: initial rate of classifiers of whole images, which learn by SGD
      with Nesterov's momentum and a cosine schedule (arXiv 1908.05724).
  """

  def segmenter(rate: float, times: int = 1) -> optax.GradientTransformation:
    # Repeated `times` times, the inner count runs that much faster than the steps.
    schedule = poly_schedule(rate, steps, power)
    return repeated(
      RULES[rule](lambda count: schedule(count // times), momentum, weight_decay), times
    )

  def group(path: tuple) -> str:
    name = group_of(path, freeze_bn_affine)
    times = listings_of(names_of(path))
    return f'backbone_{times}' if duplicate_steps and name == 'backbone' else name

  def groups(params: PyTree) -> PyTree:
    return jax.tree.map_with_path(lambda path, _: group(path), params)

  backbone = {'backbone': segmenter(learning_rate)}
  if duplicate_steps:
    backbone = {f'backbone_{times}': segmenter(learning_rate, times) for times in LISTINGS}
  b1, b2 = DISCRIMINATOR_BETAS
  return optax.partition(
    {
      **backbone,
      'head': segmenter(learning_rate * head_multiplier),
      'discriminator': optax.adam(
        poly_schedule(discriminator_learning_rate, steps, power), b1=b1, b2=b2
      ),
      'classifier': classifier_sgd(classifier_learning_rate, steps),
      'frozen': optax.set_to_zero(),
    },
    groups,
  )
