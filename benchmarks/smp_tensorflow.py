"""Makes encoders of segmentation-models-pytorch compute as TensorFlow does.

    model = smp.Unet('timm-tf_efficientnet_lite0', encoder_weights=None)
    imitate_tensorflow(model.encoder)

The weights of EfficientNet-Lite were trained with TensorFlow's padding SAME and an epsilon of
1e-3 in BN; segmentation-models-pytorch 0.6 has torch's of both.
"""

import torch
from torch.nn import functional


def pad_as_same(module, inputs):
  """Pads the input of a strided convolution; if the padding is odd, the end has one more."""
  sides = [
    max((-(-side // 2) - 1) * 2 + size - side, 0)
    for side, size in zip(inputs[0].shape[2:], module.kernel_size, strict=True)
  ]
  top, left = (side // 2 for side in sides)
  bottom, right = (side - side // 2 for side in sides)
  return (functional.pad(inputs[0], (left, right, top, bottom)),)


def imitate_tensorflow(encoder):
  """Sets BN's epsilon and the padding of convolutions of stride 2."""
  for module in encoder.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
      module.eps = 1e-3
    if isinstance(module, torch.nn.Conv2d) and module.stride == (2, 2):
      module.padding = (0, 0)
      module.register_forward_pre_hook(pad_as_same)
