"""Writes ONNX files; imported on use, because jax2onnx and onnxruntime are optional."""

from collections.abc import Callable
from pathlib import Path

import jax
from jax2onnx import to_onnx
import numpy as np
import onnxruntime

from classmix_jax.models.layers.depthwise import force_grouped_convolution

NAMES = ['label', 'logits']  # as JAX sorts them


def write_onnx(network: Callable, size: tuple[int, int], path: Path) -> Callable:
  """Writes `network`, `[B, H, W, 3]` uint8 to named arrays; returns what was written, loaded."""
  # jax2onnx adds biases of one dimension, which users may have forbidden.
  with force_grouped_convolution(), jax.numpy_rank_promotion('allow'):
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
