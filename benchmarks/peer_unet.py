"""Trains a U-Net of segmentation-models-pytorch on the labelled images of a config.

    pip install segmentation-models-pytorch
    python benchmarks/peer_unet.py --config=configs/folder.py --root=DIR --labeled=24 \
        [--encoder=timm-tf_efficientnet_lite0 --weights=FILE.pth] [--minutes=6]

The peer of our networks with people's own images: labels alone, AdamW, batches of 8. It receives
the batches of the project's own pipeline, so the labelled images, the crops and the random scaling
are the same, and it is scored on the whole validation set by the same counts. `--minutes` is
processor time of the training on one core, so that other jobs on the machine do not matter; run
it on one core (`taskset -c 0`). The learning rate falls by a cosine over this time. Needs torch and
segmentation-models-pytorch, which this project does not install.
"""

import argparse
import ast
import importlib.util
import time

import json_file
import numpy as np
from provenance import provenance
import segmentation_models_pytorch as smp
from smp_tensorflow import imitate_tensorflow
import torch
from torch.nn import functional

from classmix_jax.config.check import check_config
from classmix_jax.config.complete import complete
from classmix_jax.config.setup import make_setup
from classmix_jax.core.metrics import confusion_matrix, iou
from classmix_jax.data.thread_pipeline import train_batches
from classmix_jax.types import VOID

BATCH = 8
MULTIPLE = 32  # of the sides of images, which the encoders need
# How images are fed to ImageNet weights: of torchvision, and of EfficientNet-Lite.
MEANS = {'resnet18': ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
SYMMETRIC = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def load_setup(arguments):
  """Returns the setup of the config: split, crops and validation images."""
  path, _, text = arguments.config.partition(':')
  spec = importlib.util.spec_from_file_location('config', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config(text or 'method=supervised')
  config.data.root, config.data.classes = arguments.root, arguments.classes
  config.data.labeled, config.seed = arguments.labeled, arguments.seed
  config.batch_size = BATCH
  for entry in arguments.set:
    field, _, value = entry.partition('=')
    config.update_from_flattened_dict({field: ast.literal_eval(value)})
  config, lines = complete(config, None)
  print(*lines, sep='\n')
  check_config(config)
  return make_setup(config)


def to_torch(image, encoder):
  """Normalises `[B, H, W, 3]` uint8 to `[B, 3, H, W]` float32."""
  mean, deviation = (torch.tensor(values) for values in MEANS.get(encoder, SYMMETRIC))
  x = (torch.from_numpy(np.ascontiguousarray(image)).float() / 255 - mean) / deviation
  return x.permute(0, 3, 1, 2).to(memory_format=torch.channels_last)


def load_encoder(encoder, path):
  """Loads the ImageNet weights of EfficientNet-Lite0, whose tensors are in the encoder's order."""
  state = torch.load(path, map_location='cpu', weights_only=True)
  tensors = iter(value for name, value in state.items() if 'num_batches' not in name)
  own = {name: x for name, x in encoder.state_dict().items() if 'num_batches' not in name}
  loaded = {name: next(tensors) for name in own}
  wrong = [name for name, x in own.items() if x.shape != loaded[name].shape]
  if wrong:
    raise SystemExit(f'{path} does not fit the encoder: {wrong[:5]}')
  encoder.load_state_dict(loaded, strict=False)
  imitate_tensorflow(encoder)


def train(model, setup, arguments):
  """Trains until the minutes are over; returns the number of steps."""
  optimizer = torch.optim.AdamW(model.parameters(), arguments.rate, weight_decay=0.01)
  batches = train_batches(
    setup.split.labeled, None, batch_size=BATCH, unlabeled_batch_size=0,
    geometry=setup.batches.geometry, seed=arguments.seed, start_step=0, stop_step=10**6,
    local_devices=1,
  )  # fmt: skip
  start, budget, steps = time.process_time(), 60 * arguments.minutes, 0
  model.train()
  while (spent := time.process_time() - start) < budget:
    for group in optimizer.param_groups:
      group['lr'] = arguments.rate * 0.5 * (1 + np.cos(np.pi * spent / budget))
    example = next(batches).labeled
    label = torch.from_numpy(example.label[0].astype(np.int64))
    logits = model(to_torch(example.image[0], arguments.encoder))
    loss = functional.cross_entropy(logits, label, ignore_index=VOID)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    steps += 1
    if steps % 100 == 0:
      print(f'step {steps}  loss {loss.item():.4f}  {spent / 60:.1f} min', flush=True)
  return steps


@torch.no_grad()
def evaluate(model, setup, encoder):
  """Returns IoU per class over all validation pixels, whole images padded to a multiple of 32.

  Logits are enlarged to the size of the label if images are made smaller.
  """
  val, classes = setup.dataset.val, len(setup.dataset.class_names)
  counts = np.zeros((classes, classes), np.int64)
  model.eval()
  for index in range(len(val)):
    image, label = val.read_image(index), val.read_label(index)
    height, width = image.shape[:2]
    pad = [(0, -side % MULTIPLE) for side in (height, width)]
    padded = np.pad(image, (*pad, (0, 0)))[None]
    logits = model(to_torch(padded, encoder))[:, :, :height, :width]
    logits = functional.interpolate(logits, label.shape, mode='bilinear')
    predicted = logits[0].argmax(0).numpy()
    counts += np.asarray(confusion_matrix(predicted, label, classes))
  return iou(counts)


def main():
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--config', default='configs/folder.py')
  parser.add_argument('--root', required=True)
  parser.add_argument('--labeled', default='')
  parser.add_argument('--classes', default='')
  parser.add_argument('--encoder', default='resnet18')
  parser.add_argument('--weights', default='')
  parser.add_argument('--minutes', type=float, default=6.0)
  parser.add_argument('--rate', type=float, default=1e-3)
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--set', action='append', default=[])
  parser.add_argument('--output', default='')
  arguments = parser.parse_args()
  torch.set_num_threads(1)
  torch.manual_seed(arguments.seed)
  setup = load_setup(arguments)
  model = smp.Unet(
    arguments.encoder, encoder_weights=None, classes=len(setup.dataset.class_names)
  ).to(memory_format=torch.channels_last)
  if arguments.weights:
    load_encoder(model.encoder, arguments.weights)
  steps = train(model, setup, arguments)
  scores = evaluate(model, setup, arguments.encoder)
  record = {
    **vars(arguments), 'steps': steps, 'miou': round(100 * float(np.nanmean(scores)), 2),
    'iou': dict(zip(setup.dataset.class_names, np.round(100 * scores, 2).tolist(), strict=True)),
    'labeled_images': len(setup.split.labeled), 'split': setup.split.labeled_hash,
    **provenance('torch', 'segmentation-models-pytorch'),
  }  # fmt: skip
  print(record, flush=True)
  if arguments.output:
    json_file.write(arguments.output, record)


if __name__ == '__main__':
  main()
