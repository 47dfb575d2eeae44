"""Writes StableHLO, which JAX calls on any platform without this package."""

from pathlib import Path

import jax
from jax import export as jax_export
import jax.numpy as jnp

from classmix_jax.core.plain import plain_operations
from classmix_jax.inference.export.network import Network
from classmix_jax.utils.atomic_write import replacing

PLATFORMS = ('cpu', 'cuda', 'rocm', 'tpu')


def write_stablehlo(network: Network, path: Path) -> None:
  """Writes a function of images `[b, h, w, 3]` of any number and size, for all platforms."""
  images = jax.ShapeDtypeStruct((*jax_export.symbolic_shape('b, h, w'), 3), jnp.uint8)
  with plain_operations(by_platform=True):
    program = jax_export.export(jax.jit(network), platforms=PLATFORMS)(images)
  with replacing(path) as temporary:
    temporary.write_bytes(program.serialize())
