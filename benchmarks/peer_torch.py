"""Times the same training step in torch, written as fast as torch allows.

    python benchmarks/peer_torch.py --method=classmix --backbone=resnet50 --size=321,321 \
        [--batch=2] [--classes=19] [--steps=10] [--dtype=float32] \
        [--variants=eager,parts,whole,graphs] [--output=FILE.json]

benchmarks/compare.py compares with it. Runs the variants in order; `ms` is that of the fastest:

    eager     no compiler
    parts     student and teacher through torch.compile
    whole     the whole loss, teacher and mixing included, as one graph
    graphs    the same, replayed by CUDA graphs; only on a GPU

By default all of them on a GPU, eager and whole on a CPU. One that fails is recorded with its
error. All have channels_last, a fused optimizer, an EMA in one call, and no
synchronization with the host within a step; bfloat16 is autocast. float32 products on a GPU are
TF32, as in JAX by default. Mixed images are neither jittered nor blurred. Needs torch 2.11 or
newer, which this project does not install.
"""

import argparse
import copy
import gc
import math
import os
import platform
import time

import json_file
from provenance import provenance
import torch
from torch import nn
from torch.nn import functional

WARM_UP = 6  # steps: CUDA graphs are recorded in the first ones
VARIANTS = ('eager', 'parts', 'whole', 'graphs')
ON_CPU = ('eager', 'whole')
PLANS = {'resnet50': (3, 4, 6, 3), 'resnet101': (3, 4, 23, 3)}
THRESHOLD, DECAY = 0.968, 0.99


class Bottleneck(nn.Module):
  """Bottleneck of 1x1, 3x3 and 1x1 with the stride on the first, as in DeepLab-v2's code."""

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
        nn.Conv2d(inside, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
      )

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    y = functional.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    return functional.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class DeepLabV2(nn.Module):
  """A ResNet of stride 8 with the two active branches of the head."""

  def __init__(self, blocks, classes: int):
    super().__init__()
    self.stem = nn.Sequential(
      nn.Conv2d(3, 64, 7, 2, 3, bias=False),
      nn.BatchNorm2d(64),
      nn.ReLU(),
      nn.MaxPool2d(3, 2, 1, ceil_mode=True),
    )
    layers, inside = [], 64
    for count, width, stride, dilation in zip(
      blocks, (64, 128, 256, 512), (1, 2, 1, 1), (1, 1, 2, 4), strict=True
    ):
      for index in range(count):
        layers.append(Bottleneck(inside, width, stride if index == 0 else 1, dilation))
        inside = 4 * width
    self.layers = nn.Sequential(*layers)
    self.head = nn.ModuleList(
      nn.Conv2d(inside, classes, 3, padding=dilation, dilation=dilation) for dilation in (6, 12)
    )

  def forward(self, image):
    x = self.layers(self.stem(image))
    logits = sum(branch(x) for branch in self.head)
    return functional.interpolate(
      logits.float(), image.shape[2:], mode='bilinear', align_corners=True
    )


def tiny_layer(inside, outside, size=3, stride=1):
  return nn.Sequential(
    nn.Conv2d(inside, outside, size, stride, size // 2, bias=False), nn.BatchNorm2d(outside)
  )


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
      tiny_layer(3, 16, stride=2), relu, tiny_layer(16, 24, stride=2), relu, Residual(24)
    )
    self.middle = nn.Sequential(tiny_layer(24, 48, stride=2), relu, Residual(48), Residual(48))
    self.coarse = nn.Sequential(
      tiny_layer(48, 96, stride=2), relu, Residual(96), Residual(96), tiny_layer(96, 32, 1)
    )
    self.lateral_middle, self.lateral_fine = tiny_layer(48, 32, 1), tiny_layer(24, 32, 1)
    self.merge = nn.Sequential(tiny_layer(32, 32), relu)
    self.head = nn.Conv2d(32, classes, 3, padding=1)

  def forward(self, image):
    def enlarge(x, size):
      return functional.interpolate(x, size, mode='bilinear', align_corners=True)

    fine = self.fine(image)
    middle = self.middle(fine)
    x = self.coarse(middle)
    x = functional.relu(self.lateral_middle(middle) + enlarge(x, middle.shape[2:]))
    x = functional.relu(self.lateral_fine(fine) + enlarge(x, fine.shape[2:]))
    return enlarge(self.head(self.merge(x)).float(), image.shape[2:])


def build(backbone: str, classes: int) -> nn.Module:
  return Tiny(classes) if backbone == 'tiny' else DeepLabV2(PLANS[backbone], classes)


def class_mask(label, classes: int):
  """Returns `[B, H, W]` bool: floor(n / 2) of the n classes of each `[B, H, W]` of ids.

  Like masks/class_mask.py: no shape depends on values.
  """
  pixels = label.flatten(1)
  known = torch.arange(classes, device=label.device)
  present = (pixels[:, None] == known[None, :, None]).any(-1)
  score = torch.where(present, torch.rand(present.shape, device=label.device), torch.inf)
  rank = score.argsort(1).argsort(1)
  chosen = rank < present.sum(1, keepdim=True) // 2
  return torch.gather(chosen, 1, pixels).view_as(label)


def choose_kernels() -> None:
  """Turns on cuDNN's autotuning, and TF32 for float32 products, as in JAX on a GPU."""
  torch.backends.cudnn.benchmark = True
  torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True


class Step:
  """One training step in one of `VARIANTS`."""

  def __init__(self, options, variant: str, device):
    if variant == 'graphs' and device.type != 'cuda':
      raise ValueError('CUDA graphs need a GPU')
    self.classes, self.device, self.variant = options.classes, device, variant
    self.classmix, self.half = options.method == 'classmix', options.dtype == 'bfloat16'
    self.student = build(options.backbone, options.classes).to(
      device, memory_format=torch.channels_last
    )
    self.teacher = copy.deepcopy(self.student).requires_grad_(False)
    self.optimizer = torch.optim.SGD(
      self.student.parameters(), 2.5e-4, 0.9, weight_decay=5e-4, fused=True
    )
    self.run_student, self.run_teacher, self.run_loss = self.student, self.teacher, self.loss
    if variant == 'parts':
      self.run_student, self.run_teacher = map(torch.compile, (self.student, self.teacher))
    elif variant != 'eager':
      mode = 'reduce-overhead' if variant == 'graphs' else 'default'
      self.run_loss = torch.compile(self.loss, fullgraph=True, mode=mode)

  def batch(self, images: int, size):
    """Returns noise `[B, 3, H, W]` and labels `[B, H, W]`."""
    image = torch.rand(images, 3, *size, device=self.device)
    label = torch.randint(self.classes, (images, *size), device=self.device)
    return image.to(memory_format=torch.channels_last), label

  def unsupervised(self, image):
    with torch.no_grad():
      confidence, label = self.run_teacher(image).softmax(1).max(1)
      mask = class_mask(label, self.classes)

      def mix(x):
        return torch.where(mask if x.dim() == 3 else mask[:, None], x, torch.roll(x, -1, 0))

      mixed, label = mix(image), mix(label)
      weight = (mix(confidence) >= THRESHOLD).float().mean()
    return weight * functional.cross_entropy(self.run_student(mixed), label)

  def loss(self, image, label, unlabeled):
    with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
      loss = functional.cross_entropy(self.run_student(image), label)
      return loss + self.unsupervised(unlabeled) if self.classmix else loss

  def __call__(self, labeled, unlabeled):
    if self.variant == 'graphs':
      torch.compiler.cudagraph_mark_step_begin()
    self.optimizer.zero_grad(set_to_none=True)
    loss = self.run_loss(*labeled, unlabeled[0])
    loss.backward()
    self.optimizer.step()
    if self.classmix:
      with torch.no_grad():
        torch._foreach_lerp_(
          list(self.teacher.parameters()), list(self.student.parameters()), 1 - DECAY
        )
    return loss


def wait(device) -> None:
  if device.type == 'cuda':
    torch.cuda.synchronize()


def run(step: Step, batches, steps: int) -> tuple[float, float]:
  """Returns the ms of each of `steps` steps with one wait at the end, and the last loss."""
  begin = time.perf_counter()
  for _ in range(steps):
    loss = step(*batches)
  wait(step.device)
  return 1000 * (time.perf_counter() - begin) / steps, loss.item()


def measure(options, variant: str, device) -> dict:
  """Builds, warms and times one variant."""
  torch.manual_seed(0)
  size = tuple(map(int, options.size.split(',')))
  begin = time.perf_counter()
  step = Step(options, variant, device)
  batches = [step.batch(options.batch, size) for _ in range(2)]
  run(step, batches, WARM_UP)
  warm_up = time.perf_counter() - begin
  ms, loss = run(step, batches, options.steps)
  return {
    'ms': ms,
    'warm_up_s': warm_up,
    'loss': loss,
    'finite': math.isfinite(loss),
    'peak_bytes': torch.cuda.max_memory_allocated() if device.type == 'cuda' else None,
  }


def guarded(options, variant: str, device) -> dict:
  """Returns the measurement, or the error; then frees the memory of both."""
  try:
    return measure(options, variant, device)
  except Exception as error:  # of any kind: the other variants still count
    return {'error': f'{type(error).__name__}: {error}'[:500]}
  finally:
    torch._dynamo.reset()
    gc.collect()
    if device.type == 'cuda':
      torch.cuda.empty_cache()
      torch.cuda.reset_peak_memory_stats()


def fastest(variants: dict[str, dict]) -> dict:
  """Returns `best`, the name of the fastest variant that ran, and its numbers.

  Example:
    >>> fastest({'eager': {'ms': 2.0}, 'parts': {'ms': 1.0}, 'whole': {'error': 'no compiler'}})
    {'best': 'parts', 'ms': 1.0}
  """
  ran = {name: result for name, result in variants.items() if 'ms' in result}
  best = min(ran, key=lambda name: ran[name]['ms'], default=None)
  return {'best': best, **ran.get(best, {'ms': None})}


def about(options, device) -> dict:
  """Returns the conditions of a result, under the names of benchmarks/step.py."""
  name = torch.cuda.get_device_name() if device.type == 'cuda' else platform.machine()
  return {
    'device': f'1 x {name} ({len(os.sched_getaffinity(0))} cores)',
    **provenance('torch'),
    'method': options.method,
    'backbone': options.backbone,
    'dtype': options.dtype,
    'crop': list(map(int, options.size.split(','))),
    'batch_size': options.batch,
    'classes': options.classes,
    'steps': options.steps,
  }


def parse_options() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--method', choices=('supervised', 'classmix'), default='classmix')
  parser.add_argument('--backbone', choices=('tiny', *PLANS), default='resnet50')
  parser.add_argument('--size', default='321,321')
  parser.add_argument('--batch', type=int, default=2)
  parser.add_argument('--classes', type=int, default=19)
  parser.add_argument('--steps', type=int, default=10)
  parser.add_argument('--dtype', choices=('float32', 'bfloat16'), default='float32')
  parser.add_argument('--variants', default='', help=f'of {",".join(VARIANTS)}')
  parser.add_argument('--output', default='')
  options = parser.parse_args()
  unknown = set(filter(None, options.variants.split(','))) - set(VARIANTS)
  if unknown:
    parser.error(f'no variant {", ".join(sorted(unknown))}; there are {", ".join(VARIANTS)}')
  return options


def main() -> None:
  options = parse_options()
  device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
  choose_kernels()
  by_default = VARIANTS if device.type == 'cuda' else ON_CPU
  variants = {}
  for variant in filter(None, options.variants.split(',')) if options.variants else by_default:
    variants[variant] = guarded(options, variant, device)
    result = {**about(options, device), 'variants': variants, **fastest(variants)}
    json_file.write(options.output, result)
    print(
      f'torch {torch.__version__}, {options.method}, {options.backbone}, {options.dtype}, '
      f'{result["device"]}, {variant}: ' + sentence(variants[variant]),
      flush=True,
    )
  if result['best'] is None:
    raise SystemExit('no variant ran')


def sentence(result: dict) -> str:
  """Returns the printed line of a variant."""
  if 'error' in result:
    return result['error']
  memory = result['peak_bytes']
  return (
    f'{result["ms"]:.1f} ms a step, loss {result["loss"]:.4g}, warm after '
    f'{result["warm_up_s"]:.0f} s' + (f', {memory / 2**30:.2f} GiB' if memory else '')
  )


if __name__ == '__main__':
  main()
