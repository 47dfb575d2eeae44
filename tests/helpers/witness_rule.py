"""The weights of the witness networks: made by rule, not stored; needs NumPy only.

Synopsis:

    weight = torch_array('layer1.0.conv1.weight', (64, 64, 1, 1))
"""

import zlib

import numpy as np


def torch_array(name, shape):
  """The weight that the rule of the witness README gives a torch name."""
  z = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).randn(*shape)
  if name.startswith('layer5'):
    return 0.01 * z
  if len(shape) == 4:
    return z * np.sqrt(2 / (shape[1] * shape[2] * shape[3]))
  if name.endswith('running_var'):
    return 1 + 0.1 * np.abs(z)
  if name.endswith(('running_mean', 'bias')):
    return 0.1 * z
  return 1 + 0.1 * z
