"""Writes deeplab_v2_resnet101_float64.npz: the witness's network in float64, in plain torch.

    python tests/witness/make_float64.py

The same program in float32 gives every number of deeplab_v2_resnet101.npz to the last bit, which is
checked first, with torch 2.13 on the CPU.
"""

from pathlib import Path
import sys

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F  # noqa: N812

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'helpers'))
from witness_rule import torch_array  # noqa: E402

HERE = Path(__file__).parent


class Block(nn.Module):
  def __init__(self, inputs, width, stride, dilation, project):
    super().__init__()
    self.conv1 = nn.Conv2d(inputs, width, 1, stride, bias=False)
    self.bn1 = nn.BatchNorm2d(width)
    self.conv2 = nn.Conv2d(width, width, 3, 1, dilation, dilation, bias=False)
    self.bn2 = nn.BatchNorm2d(width)
    self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
    self.bn3 = nn.BatchNorm2d(4 * width)
    self.downsample = (
      nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
      if project
      else nn.Identity()
    )

  def forward(self, x):
    y = F.relu(self.bn1(self.conv1(x)))
    y = F.relu(self.bn2(self.conv2(y)))
    return F.relu(self.bn3(self.conv3(y)) + self.downsample(x))


class Network(nn.Module):
  def __init__(self, classes):
    super().__init__()
    self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    self.bn1 = nn.BatchNorm2d(64)
    inputs = 64
    layers = zip((3, 4, 23, 3), (64, 128, 256, 512), (1, 2, 1, 1), (1, 1, 2, 4), strict=True)
    for layer, (count, width, stride, dilation) in enumerate(layers, start=1):
      blocks = []
      for index in range(count):
        blocks.append(Block(inputs, width, stride if index == 0 else 1, dilation, index == 0))
        inputs = 4 * width
      self.add_module(f'layer{layer}', nn.Sequential(*blocks))
    self.layer5 = nn.Module()
    self.layer5.conv2d_list = nn.ModuleList(
      nn.Conv2d(2048, classes, 3, 1, dilation, dilation) for dilation in (6, 12, 18, 24)
    )

  def forward(self, x):
    x = F.relu(self.bn1(self.conv1(x)))
    x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
    x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
    return self.layer5.conv2d_list[0](x) + self.layer5.conv2d_list[1](x)


def numbers(witness, dtype):
  """What the witness holds, computed in `dtype`."""
  network = Network(classes=5)
  weights = {
    name: torch.tensor(torch_array(name, value.shape).astype(np.float32)) if value.ndim else value
    for name, value in network.state_dict().items()
  }
  network.load_state_dict(weights)
  network = network.to(dtype)
  image = torch.tensor(witness['image_nchw']).to(dtype)
  label = torch.tensor(witness['label']).long()
  with torch.no_grad():
    eval_logits = network.eval()(image)
  logits = network.train()(image)
  upsampled = F.interpolate(logits, label.shape[1:], mode='bilinear', align_corners=True)
  loss = F.cross_entropy(upsampled, label, ignore_index=255)
  loss.backward()
  parameters = dict(network.named_parameters())
  return {
    'logits_eval_nchw': eval_logits.numpy(),
    'logits_train_nchw': logits.detach().numpy(),
    'loss': np.float64(loss.item()),
    'grad_norms': np.array([parameters[name].grad.norm().item() for name in witness['grad_names']]),
    'bn1_mean': network.bn1.running_mean.numpy(),
    'bn1_var': network.bn1.running_var.numpy(),
    'last_bn_mean': network.layer4[2].bn3.running_mean.numpy()[: len(witness['last_bn_mean'])],
  }


def main():
  witness = np.load(HERE / 'deeplab_v2_resnet101.npz')
  for name, value in numbers(witness, torch.float32).items():
    np.testing.assert_array_equal(value, witness[name], err_msg=name)
  np.savez(HERE / 'deeplab_v2_resnet101_float64.npz', **numbers(witness, torch.float64))


if __name__ == '__main__':
  main()
