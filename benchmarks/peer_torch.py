"""The same training step, written plainly in torch: what benchmarks/compare.py compares with.

    python benchmarks/peer_torch.py --method=classmix --backbone=resnet50 --size=321,321 \
        [--batch=2] [--classes=19] [--steps=10] [--tuned] [--output=FILE.json]

--tuned adds what torch offers: channels_last, torch.compile, and on a GPU bfloat16 autocast,
cudnn.benchmark and a fused optimizer. Needs torch, which this project does not install.
"""

import argparse
import copy
import json
import os
from pathlib import Path
import platform
import statistics
import time

from provenance import provenance
import torch
from torch import nn
from torch.nn import functional

WARM_UP = 2
PLANS = {'resnet50': (3, 4, 6, 3), 'resnet101': (3, 4, 23, 3)}
THRESHOLD, DECAY, JITTER = 0.968, 0.99, 0.25


class Bottleneck(nn.Module):
  """1x1, 3x3, 1x1 with the stride on the first, as in DeepLab-v2's code."""

  def __init__(self, inside: int, width: int, stride: int, dilation: int):
    super().__init__()
    self.conv1 = nn.Conv2d(inside, width, 1, stride, bias=False)
    self.conv2 = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
    self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
    self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
    self.bn3 = nn.BatchNorm2d(4 * width)
    self.shortcut = None
    if inside != 4 * width or stride > 1:
      self.shortcut = nn.Sequential(
          nn.Conv2d(inside, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    y = functional.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class DeepLabV2(nn.Module):
  """A ResNet of stride 8 and the two branches of the head that act."""

  def __init__(self, blocks, classes: int):
    super().__init__()
    self.stem = nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, 2, 1, ceil_mode=True))
    layers, inside = [], 64
    for count, width, stride, dilation in zip(
        blocks, (64, 128, 256, 512), (1, 2, 1, 1), (1, 1, 2, 4), strict=True):
      for index in range(count):
        layers.append(Bottleneck(inside, width, stride if index == 0 else 1, dilation))
        inside = 4 * width
    self.layers = nn.Sequential(*layers)
    self.head = nn.ModuleList(
        nn.Conv2d(inside, classes, 3, padding=dilation, dilation=dilation)
        for dilation in (6, 12))

  def forward(self, image):
    x = self.layers(self.stem(image))
    logits = sum(branch(x) for branch in self.head)
    return functional.interpolate(
        logits.float(), image.shape[2:], mode='bilinear', align_corners=True)


def tiny_layer(inside, outside, size=3, stride=1):
  return nn.Sequential(
      nn.Conv2d(inside, outside, size, stride, size // 2, bias=False), nn.BatchNorm2d(outside))


class Residual(nn.Module):
  def __init__(self, features: int):
    super().__init__()
    self.first, self.second = tiny_layer(features, features), tiny_layer(features, features)

  def forward(self, x):
    return functional.relu(x + self.second(functional.relu(self.first(x))))


class Tiny(nn.Module):
  """The backbone `tiny` of this project with a 3x3 convolution as its head."""

  def __init__(self, classes: int):
    super().__init__()
    relu = nn.ReLU()
    self.fine = nn.Sequential(
        tiny_layer(3, 16, stride=2), relu, tiny_layer(16, 24, stride=2), relu, Residual(24))
    self.middle = nn.Sequential(tiny_layer(24, 48, stride=2), relu, Residual(48), Residual(48))
    self.coarse = nn.Sequential(
        tiny_layer(48, 96, stride=2), relu, Residual(96), Residual(96), tiny_layer(96, 32, 1))
    self.lateral_middle, self.lateral_fine = tiny_layer(48, 32, 1), tiny_layer(24, 32, 1)
    self.merge = nn.Sequential(tiny_layer(32, 32), relu)
    self.head = nn.Conv2d(32, classes, 3, padding=1)

  def forward(self, image):
    enlarged = lambda x, size: functional.interpolate(
        x, size, mode='bilinear', align_corners=True)
    fine = self.fine(image)
    middle = self.middle(fine)
    x = self.coarse(middle)
    x = functional.relu(self.lateral_middle(middle) + enlarged(x, middle.shape[2:]))
    x = functional.relu(self.lateral_fine(fine) + enlarged(x, fine.shape[2:]))
    return enlarged(self.head(self.merge(x)).float(), image.shape[2:])


def build(backbone: str, classes: int) -> nn.Module:
  return Tiny(classes) if backbone == 'tiny' else DeepLabV2(PLANS[backbone], classes)


def turned_hue(image, turn):
  """Turns the hue of `[B, 3, H, W]`; saturation and value stay."""
  value, index = image.max(1, keepdim=True)
  chroma = value - image.min(1, keepdim=True)[0]
  red, green, blue = image.split(1, 1)
  safe = chroma.clamp(min=1e-6)
  sextant = torch.where(
      index == 0, (green - blue) / safe,
      torch.where(index == 1, 2 + (blue - red) / safe, 4 + (red - green) / safe))
  phase = torch.tensor([5.0, 3.0, 1.0], device=image.device)[None, :, None, None]
  k = torch.remainder(phase + sextant + 6 * turn, 6)
  return value - chroma * torch.minimum(k, 4 - k).clamp(0, 1)


def augmented(image):
  """Jitter and blur of the mixed images, always on: the dear case."""
  draw = JITTER * (2 * torch.rand(4, len(image), 1, 1, 1, device=image.device) - 1)
  image = (image + draw[0]).clamp(0, 1)
  image = (image * (1 + draw[1])).clamp(0, 1)
  value = image.max(1, keepdim=True)[0]
  image = (value - (value - image) * (1 + draw[2])).clamp(0, 1)
  image = turned_hue(image, draw[3])
  offset = torch.arange(-6, 7, device=image.device)
  tap = torch.exp(-0.5 * (offset / 0.65) ** 2)
  tap = (tap / tap.sum())[None, None, :].repeat(3, 1, 1)
  for padding, kernel in (((6, 6, 0, 0), tap[:, :, None]), ((0, 0, 6, 6), tap[:, :, :, None])):
    image = functional.conv2d(functional.pad(image, padding, 'reflect'), kernel, groups=3)
  return image


def class_mask(label):
  """Half of the classes of each `[B, H, W]`."""
  masks = []
  for image in label:
    found = torch.unique(image)
    chosen = found[torch.randperm(len(found), device=label.device)[:(len(found) + 1) // 2]]
    masks.append(torch.isin(image, chosen))
  return torch.stack(masks)


class Step:
  """One training step; `tuned` as the module says."""

  def __init__(self, options, device):
    self.classes, self.classmix = options.classes, options.method == 'classmix'
    self.student = build(options.backbone, options.classes).to(device)
    self.teacher = copy.deepcopy(self.student).requires_grad_(False)
    self.device, self.autocast = device, options.tuned and device.type == 'cuda'
    self.format = torch.channels_last if options.tuned else torch.contiguous_format
    self.optimizer = torch.optim.SGD(
        self.student.parameters(), 2.5e-4, 0.9, weight_decay=5e-4,
        fused=self.autocast or None)
    self.run_student, self.run_teacher = self.student, self.teacher
    if options.tuned:
      torch.backends.cudnn.benchmark = True
      self.student.to(memory_format=self.format)
      self.teacher.to(memory_format=self.format)
      self.run_student, self.run_teacher = map(torch.compile, (self.student, self.teacher))

  def batch(self, images: int, size):
    image = torch.rand(images, 3, *size, device=self.device).to(memory_format=self.format)
    return image, torch.randint(self.classes, (images, *size), device=self.device)

  def unsupervised(self, image):
    with torch.no_grad():
      prob = self.run_teacher(image).softmax(1)
      confidence, label = prob.max(1)
      mask = class_mask(label)
      mix = lambda x: torch.where(
          mask if x.dim() == 3 else mask[:, None], x, torch.roll(x, -1, 0))
      mixed, label = augmented(mix(image)), mix(label)
      weight = (mix(confidence) >= THRESHOLD).float().mean()
    return weight * functional.cross_entropy(self.run_student(mixed), label)

  def __call__(self, labeled, unlabeled):
    self.optimizer.zero_grad(set_to_none=True)
    with torch.autocast('cuda', torch.bfloat16, enabled=self.autocast):
      loss = functional.cross_entropy(self.run_student(labeled[0]), labeled[1])
      if self.classmix:
        loss = loss + self.unsupervised(unlabeled[0])
    loss.backward()
    self.optimizer.step()
    if self.classmix:
      with torch.no_grad():
        torch._foreach_lerp_(
            list(self.teacher.parameters()), list(self.student.parameters()), 1 - DECAY)
    return loss


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--method', choices=('supervised', 'classmix'), default='classmix')
  parser.add_argument('--backbone', choices=('tiny', *PLANS), default='resnet50')
  parser.add_argument('--size', default='321,321')
  parser.add_argument('--batch', type=int, default=2)
  parser.add_argument('--classes', type=int, default=19)
  parser.add_argument('--steps', type=int, default=10)
  parser.add_argument('--tuned', action='store_true')
  parser.add_argument('--output', default='')
  options = parser.parse_args()
  device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
  step = Step(options, device)
  size = tuple(map(int, options.size.split(',')))
  labeled, unlabeled = step.batch(options.batch, size), step.batch(options.batch, size)
  times = []
  for _ in range(WARM_UP + options.steps):
    begin = time.perf_counter()
    step(labeled, unlabeled)
    if device.type == 'cuda':
      torch.cuda.synchronize()
    times.append(1000 * (time.perf_counter() - begin))
  times = sorted(times[WARM_UP:])
  name = torch.cuda.get_device_name() if device.type == 'cuda' else platform.machine()
  told = {key: value for key, value in vars(options).items() if key != 'output'}
  found = {
      'device': f'1 x {name} ({len(os.sched_getaffinity(0))} cores)', **provenance('torch'), **told,
      'ms': {'median': statistics.median(times), 'least': times[0], 'most': times[-1]},
      'peak_bytes': torch.cuda.max_memory_allocated() if device.type == 'cuda' else None}
  print(f'torch {torch.__version__}{" tuned" if options.tuned else ""}, {options.method}, '
        f'{options.backbone}, {name}: {found["ms"]["median"]:.0f} ms a step '
        f'({times[0]:.0f} to {times[-1]:.0f})')
  if options.output:
    Path(options.output).write_text(json.dumps(found, indent=1) + '\n')


if __name__ == '__main__':
  main()
