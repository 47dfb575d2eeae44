"""Tensors of a DINOv2 segmenter with the DPT head by their names in UniMatch V2's checkpoints."""

import re

from flax.traverse_util import flatten_dict
import numpy as np

RENAMES = (
  (r'^backbone\.', ''),
  (r'^unused_mask_token', 'mask_token'),
  (r'^block(\d+)', r'blocks.\1'),
  (r'^patch_embed', 'patch_embed.proj'),
  (r'^head\.project(\d)', r'head.projects.\1'),
  (r'^head\.resize(\d)', r'head.resize_layers.\1'),
  (r'^head\.level(\d)', r'head.scratch.layer\1_rn'),
  (r'^head\.fusion(\d)', r'head.scratch.refinenet\1'),
  (r'\.(unused_)?unit(\d)', r'.resConfUnit\2'),
  (r'^head\.output1', 'head.scratch.output_conv.0'),
  (r'^head\.output2', 'head.scratch.output_conv.2'),
  (r'(kernel|scale)$', 'weight'),
)


def published(params):
  """Returns arrays by name, with the axes of torch."""
  tensors = {}
  for path, array in flatten_dict(params).items():
    name, array = '.'.join(path), np.asarray(array)
    for pattern, replacement in RENAMES:
      name = re.sub(pattern, replacement, name)
    if path[-1] == 'kernel':
      array = array.transpose({4: (3, 2, 0, 1), 2: (1, 0)}[array.ndim])
    tensors[name] = array
  return tensors
