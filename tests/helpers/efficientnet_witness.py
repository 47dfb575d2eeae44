"""Weights and images made by rule, and what EfficientNet-Lite0 in torch makes of them.

    pip install torch==2.13.0 efficientnet-lite-pytorch==0.1.0
    python tests/helpers/efficientnet_witness.py     # writes tests/witness/efficientnet_lite0.npz

The rule is that of tests/witness/README.md; the network is the package's own.
"""

from pathlib import Path

import numpy as np
from witness_rule import torch_array

FILE = Path(__file__).parents[1] / 'witness' / 'efficientnet_lite0.npz'
# All strides meet an even size; odd ones on the way.
CASES = (('eval', 64, 96), ('eval', 75, 101), ('train', 75, 101))


def rule_array(name, shape):
  """The float32 tensor that the rule gives a torch name."""
  return torch_array(name, shape).astype(np.float32)


def rule_image(size):
  """Two images `[2, H, W, 3]`, as they enter the first convolution."""
  return np.random.RandomState(sum(size)).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


def summary(x):
  """Mean, standard deviation and eight values of an array, wherever they stand."""
  x = np.asarray(x, np.float64)
  picked = x.ravel()[np.linspace(0, x.size - 1, 8).astype(int)]
  return np.array([x.mean(), x.std(), *picked])


def reference(image_size=None):
  """The package's network without drop-connect and dropout; padding follows each image."""
  from efficientnet_lite_pytorch import EfficientNet

  return EfficientNet.from_name(
    'efficientnet-lite0', image_size=image_size, drop_connect_rate=0.0, dropout_rate=0.0
  )


def nhwc(x):
  return np.moveaxis(x.detach().numpy(), 1, -1)


def run(model, image):
  """Returns the logits and the results of the blocks, `[B, h, w, C]`, for NHWC images."""
  import torch

  results = []
  hooks = [
    block.register_forward_hook(lambda module, inputs, out: results.append(nhwc(out)))
    for block in model._blocks
  ]
  with torch.no_grad():
    logits = model(torch.from_numpy(np.moveaxis(image, -1, 1).copy())).numpy()
  for hook in hooks:
    hook.remove()
  return logits, results


def main():
  import torch

  model = reference()
  names = {name: x for name, x in model.state_dict().items() if not name.endswith('tracked')}
  rule = {name: torch.from_numpy(rule_array(name, tuple(x.shape))) for name, x in names.items()}
  model.load_state_dict(rule, strict=False)
  result = {'names': np.array([f'{name} {tuple(x.shape)}' for name, x in names.items()])}
  for mode, height, width in CASES:
    model.train(mode == 'train')
    logits, blocks = run(model, rule_image((height, width)))
    key = f'{mode}_{height}x{width}'
    result[f'{key}_logits'] = logits[:, ::10]
    result[f'{key}_blocks'] = np.stack([summary(x) for x in blocks])
  # One training pass has moved them.
  result['means'] = np.stack([summary(block._bn2.running_mean) for block in model._blocks])
  np.savez_compressed(FILE, **result)
  print(FILE, FILE.stat().st_size, 'bytes')


if __name__ == '__main__':
  main()
