"""Several optimizer steps with one gradient, as in the original code for the backbone.

The original collects the backbone's parameters by walking nested modules, so it lists each one once
per enclosing module. Its optimizer steps each parameter as often as it is listed:

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
  """Returns how often the original lists a parameter of the backbone: one of `LISTINGS`.

  Args:
    names: names of the modules around the parameter. Only blocks of ResNets, `layer<i>_<j>`, are
      nested; other parameters are listed once.

  Example:
    >>> [listings_of(name.split('/')) for name in (
    ...     'conv1/kernel', 'layer3_0/conv2/kernel', 'layer3_0/conv_shortcut/kernel')]
    [1, 3, 4]
  """
  if not any(re.fullmatch(r'layer\d+_\d+', name) for name in names):
    return 1
  return 4 if any(name.endswith('_shortcut') for name in names) else 3


def repeated(tx: optax.GradientTransformation, times: int) -> optax.GradientTransformation:
  """Returns a transformation that applies `tx` `times` times with the same gradient.

  Each application starts from the parameters of the previous one, which matters for weight decay.
  For SGD with momentum m and no decay, the closed form with s_j = 1 + m + ... + m^(j-1) is:

      velocity' = m^k velocity + s_k gradient
      update = -rate (sum_j m^j velocity + sum_j s_j gradient),  j = 1 ... k

  With a constant gradient this is k times the learning rate.

  Args:
    tx: transformation of one step; its schedule counts every application.
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
