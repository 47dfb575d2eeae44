"""Shapes and dtypes in annotations are checked under pytest, and only there."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import jaxtyping
import pytest

from classmix_jax.core.losses import cross_entropy
from classmix_jax.core.mixing import mix
from classmix_jax.masks import MASKS

CALL = """
import jax.numpy as jnp
from classmix_jax.core.losses import binary_cross_entropy
print(binary_cross_entropy(jnp.zeros((2,), bool), real=True).shape)
"""


def test_a_wrong_dtype_is_refused():
  with pytest.raises(jaxtyping.TypeCheckError, match='label'):
    cross_entropy(jnp.zeros((1, 4)), jnp.zeros(1, jnp.float32))


def test_a_wrong_rank_is_refused():
  with pytest.raises(jaxtyping.TypeCheckError, match='mask'):
    mix(jnp.zeros((2, 3), bool), jnp.zeros((2, 3)))


def test_axes_of_one_name_have_one_size():
  with pytest.raises(jaxtyping.TypeCheckError):
    mix(jnp.zeros((2, 3, 4), bool), jnp.zeros((3, 3, 4)))


@pytest.mark.parametrize('name', sorted(MASKS))
def test_masks_take_one_label(name):
  with pytest.raises(jaxtyping.TypeCheckError, match='label'):
    MASKS[name](jax.random.key(0), jnp.zeros((2, 3, 4), int), 5)


def test_without_pytest_nothing_is_checked():
  done = subprocess.run(
    [sys.executable, '-c', CALL], env=dict(os.environ), capture_output=True, text=True, check=True
  )
  assert done.stdout.strip() == '(2,)'
