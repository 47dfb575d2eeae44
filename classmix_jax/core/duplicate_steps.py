"""Several optimizer steps with one gradient: how the original moves its backbone.

It collects the parameters that learn at the backbone's rate by walking nested modules, and meets
each one once per enclosing module. Its optimizer then steps each as often as it is listed:

    stem                    1    conv1
    convolution of a block  3    layer3 > layer3.0 > layer3.0.conv2
    shortcut of a block     4    layer3 > layer3.0 > layer3.0.downsample > layer3.0.downsample.0

Synopsis:

    tx = repeated(optax.sgd(0.1, momentum=0.9), times=listings_of(['layer3_0', 'conv2', 'kernel']))
"""

from collections.abc import Sequence
import re

import jax
import jax.numpy as jnp
import optax

from classmix_jax.types import PyTree

LISTINGS = (1, 3, 4)


def listings_of(names: Sequence[str]) -> int:
  """How often the original lists a parameter of the backbone: one of `LISTINGS`.

  Args:
    names: of the modules around the parameter. Only the blocks of ResNets,
      `layer<i>_<j>`, are nested; whatever else there is counts once.

  Example:
    >>> [listings_of(name.split('/')) for name in (
    ...     'conv1/kernel', 'layer3_0/conv2/kernel', 'layer3_0/conv_shortcut/kernel')]
    [1, 3, 4]
  """
  if not any(re.fullmatch(r'layer\d+_\d+', name) for name in names):
    return 1
  return 4 if any(name.endswith('_shortcut') for name in names) else 3


def repeated(tx: optax.GradientTransformation, times: int) -> optax.GradientTransformation:
  """Applies `tx` `times` times in a row with the same gradient, as one transformation.

  Each step sees the parameters that the one before has left, so weight decay is
  taken afresh. For SGD with momentum m and no decay that is, in closed form and
  with s_j = 1 + m + ... + m^(j-1):

      velocity' = m^k velocity + s_k gradient
      update = -rate (sum_j m^j velocity + sum_j s_j gradient),  j = 1 ... k

  and for a gradient that stays the same, k times the rate.

  Args:
    tx: the transformation of one step; a schedule in it counts every step.
    times: k.
  """

  def update(gradients: PyTree, state: PyTree, params: PyTree) -> tuple[PyTree, PyTree]:
    total = jax.tree.map(jnp.zeros_like, params)
    for _ in range(times):
      updates, state = tx.update(gradients, state, params)
      params = optax.apply_updates(params, updates)
      total = optax.apply_updates(total, updates)
    return total, state

  return optax.GradientTransformation(tx.init, update) if times > 1 else tx
