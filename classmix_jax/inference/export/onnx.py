"""Writes ONNX files; imported when used, because jax2onnx and onnxruntime are optional."""

from collections.abc import Callable
from pathlib import Path

import jax
from jax2onnx import to_onnx
import numpy as np
import onnxruntime

from classmix_jax.models.layers.depthwise import as_one_convolution

NAMES = ['label', 'logits']  # JAX sorts the keys of a dict


def write_onnx(network: Callable, size: tuple[int, int], path: Path) -> Callable:
  """Writes a network from `[B, H, W, 3]` uint8 to named arrays; returns the file, loaded."""
  # jax2onnx adds one-dimensional biases, which JAX_NUMPY_RANK_PROMOTION=raise would forbid.
  with as_one_convolution(), jax.numpy_rank_promotion('allow'):
    to_onnx(
      network,
      inputs=[jax.ShapeDtypeStruct(('B', *size, 3), np.uint8)],
      model_name='classmix_jax',
      input_names=['images'],
      output_names=NAMES,
      return_mode='file',
      output_path=str(path),
    )
  session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
  return lambda images: dict(
    zip(NAMES, session.run(NAMES, {'images': np.asarray(images)}), strict=True)
  )
