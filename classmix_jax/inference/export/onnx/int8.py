"""Converts a written ONNX model to int8: convolutions and products with weights.

Synopsis:

    write_int8(Path('model.onnx'), Path('model-int8.onnx'), open_calibration(Path('RUN')))

The model has pairs of QuantizeLinear and DequantizeLinear (QDQ), which runtimes fuse with the
operations between them; B. Jacob et al., "Quantization and training of neural networks for
efficient integer-arithmetic-only inference", arXiv:1712.05877. Weights have one scale per output
channel, activations one scale and zero point.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
import tempfile

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from classmix_jax.inference.export.calibration import CalibrationImages
from classmix_jax.utils.atomic_write import replacing
from classmix_jax.utils.progress import track

INPUT = 'images'
PRODUCTS = ('Conv', 'MatMul', 'Gemm')
# Part of the product before them: what they cut off needs no range, which is large in front of a
# ReLU6.
ACTIVATIONS = ('Relu', 'Clip')
# A bias follows the products of vision transformers, and int8 products may return float32.
KEEP_SUMS = {'OpTypesToExcludeOutputQuantization': ['MatMul']}


class ImageReader(CalibrationDataReader):
  """Hands images to onnxruntime's calibration, once."""

  def __init__(self, images: Iterable[np.ndarray]):
    self.images = iter(images)

  def get_next(self) -> dict[str, np.ndarray] | None:
    """Returns the inputs of the model for the next image, None after the last one."""
    image = next(self.images, None)
    return None if image is None else {INPUT: image}


def write_int8(
  source: Path, target: Path, images: CalibrationImages | Sequence[np.ndarray]
) -> None:
  """Writes an ONNX model in int8; inputs and outputs keep their types.

  Args:
    source: the model in float32.
    target: the file.
    images: typical ones, `[1, H, W, 3]` uint8, whose activations give the ranges.
  """
  with tempfile.TemporaryDirectory() as directory:
    prepared = Path(directory, 'prepared.onnx')
    # Constants and BN are folded already, and the shapes that ONNX itself infers suffice.
    quant_pre_process(source, prepared, skip_optimization=True, skip_symbolic_shape=True)
    with replacing(target) as temporary:
      quantize_static(
        prepared,
        temporary,
        ImageReader(track(images, 'measuring ranges of values for int8', len(images))),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=[*PRODUCTS, *ACTIVATIONS],
        nodes_to_quantize=choose_quantized(onnx.load(prepared).graph),
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        extra_options=KEEP_SUMS,
        reduce_range=True,  # 7 bits of weights: x86 without VNNI adds two products in 16 bits
      )


def choose_quantized(graph: onnx.GraphProto) -> list[str]:
  """Returns the names of the products with weights, and of the activations.

  Products of two results, as in attention and in resizing, keep float32.
  """
  activations = [node.name for node in graph.node if node.op_type in ACTIVATIONS]
  return find_weighted(graph) + activations


def find_weighted(graph: onnx.GraphProto) -> list[str]:
  """Returns the names of the convolutions and products whose second factor is a constant."""
  constants = {tensor.name for tensor in graph.initializer}
  return [
    node.name for node in graph.node if node.op_type in PRODUCTS and node.input[1] in constants
  ]
