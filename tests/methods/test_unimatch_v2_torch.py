"""Five steps of UniMatch V2 on a vision transformer, against a restatement in torch.

The restatement follows the published code: a teacher labels the weak images once, boxes come from
the reversed batch, one dropout mask for all levels, separate passes for labelled images and strong
views, AdamW on everything that has a gradient, the rate set after the step, then the average. Only
the random draws are those of the method.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from classmix_jax.core.channel_dropout import channel_mask
from classmix_jax.core.collectives import ONE_DEVICE
from classmix_jax.core.optim import poly_optimizer
from classmix_jax.masks import draw_masks
from classmix_jax.methods import METHODS
from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.heads.dpt import DPT
from classmix_jax.models.segmenter import Segmenter
from classmix_jax.training.step import accumulate_gradients, apply_gradients
from classmix_jax.types import AXIS, VOID, Batch, Example, TrainState

torch = pytest.importorskip('torch')

import dinov2_torch  # noqa: E402 - needs torch
from published_names import published  # noqa: E402

TAPS, WIDTH, CLASSES, SIDE = (0, 1, 2, 3), 64, 4, 42
LABELED, UNLABELED = 2, 5  # floor(5 / 2) images are not perturbed
STEPS, LENGTH = 5, 10  # of the test, and of the schedule
RATE, HEAD_MULTIPLIER, DECAY, THRESHOLD, MAX_DECAY = 5e-6, 40.0, 0.01, 0.6, 0.996
UNUSED = ('mask_token', 'head.scratch.refinenet4.resConfUnit1')
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def make_batch():
  """Two labelled images, one with void, and five unlabelled ones, one with padding."""
  rng = np.random.default_rng(0)

  def image(count):
    coarse = rng.integers(0, 256, (count, SIDE // 7, SIDE // 7, 3))
    return np.kron(coarse, np.ones((1, 7, 7, 1), int)).astype(np.uint8)

  label = rng.integers(0, CLASSES, (LABELED, SIDE, SIDE)).astype(np.uint8)
  label[1, :20] = VOID
  valid = np.ones((UNLABELED, SIDE, SIDE), bool)
  valid[1, 30:] = False
  weak = image(UNLABELED) * valid[..., None]
  void = np.full(valid.shape, VOID, np.uint8)
  return Batch(
    Example(image(LABELED), label, np.ones(label.shape, bool)), Example(weak, void, valid)
  )


@jax.jit
def draw_arrays(step):
  """The random draws of a step: both boxes `[N, H, W]`, kept channels `[N, D]`, unchanged `[N]`."""
  key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), step), 0)
  view_key, feature_key = jax.random.split(key)
  size = jnp.zeros((UNLABELED, SIDE, SIDE), int)
  boxes = [
    draw_masks('small_box', jax.random.split(key)[0], size, CLASSES, ONE_DEVICE)
    for key in jax.random.split(view_key, 2)
  ]
  channels = channel_mask(ONE_DEVICE.keys(feature_key, UNLABELED), WIDTH, 0.5)[:, 0, 0]
  unchanged = ONE_DEVICE.random_half(jax.random.fold_in(key, 2), UNLABELED)
  return boxes, channels, unchanged


class Restatement:
  """The published loop in float64."""

  def __init__(self, tensors):
    double = {name: torch.tensor(x, dtype=torch.float64) for name, x in tensors.items()}
    self.teacher = {name: x.clone() for name, x in double.items()}
    self.student = {name: x.requires_grad_() for name, x in double.items()}
    groups = ([], [])
    for name, x in self.student.items():
      groups[name.startswith('head.')].append(x)
    self.optimizer = torch.optim.AdamW(
      [
        {'params': groups[0], 'lr': RATE},
        {'params': groups[1], 'lr': RATE * HEAD_MULTIPLIER},
      ],
      betas=(0.9, 0.999),
      weight_decay=DECAY,
    )

  def predict(self, tensors, image, mask=None):
    """Logits `[B, H, W, C]` of images in 0..1; the mask `[B, D]` multiplies every level."""
    normal = (image - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    levels = dinov2_torch.levels(tensors, normal.permute(0, 3, 1, 2), TAPS)
    if mask is not None:
      levels = [level * mask[:, None, None] for level in levels]
    return dinov2_torch.upsample(dinov2_torch.dpt(tensors, levels), (SIDE, SIDE))

  def step(self, batch, index):
    boxes, channels, unchanged = jax.device_get(draw_arrays(index))
    image = torch.tensor(batch.unlabeled.image / 255.0)
    valid = torch.tensor(batch.unlabeled.valid)
    with torch.no_grad():
      confidence, label = self.predict(self.teacher, image).softmax(-1).max(-1)

    first = torch.tensor(channels, dtype=torch.float64)
    first[torch.tensor(unchanged)] = 1.0
    views = []
    for box in boxes:
      keep = torch.tensor(box)

      def paste(x, keep=keep):
        return torch.where(keep.reshape(keep.shape + (1,) * (x.ndim - 3)), x, x.flip(0))

      views.append([paste(x) for x in (image, label, confidence, valid)])
    strong = self.predict(
      self.student, torch.cat([view[0] for view in views]), torch.cat([first, 2.0 - first])
    )
    losses = []
    for logits, (_, label, confidence, valid) in zip(strong.chunk(2), views, strict=True):
      error = torch.nn.functional.cross_entropy(logits.permute(0, 3, 1, 2), label, reduction='none')
      counts = (confidence >= THRESHOLD) & valid
      losses.append((error * counts).sum() / valid.sum())
    labeled = self.predict(self.student, torch.tensor(batch.labeled.image / 255.0))
    loss_x = torch.nn.functional.cross_entropy(
      labeled.permute(0, 3, 1, 2), torch.tensor(batch.labeled.label).long(), ignore_index=VOID
    )
    loss = (loss_x + (losses[0] + losses[1]) / 2) / 2

    self.optimizer.zero_grad()
    loss.backward()
    self.optimizer.step()
    rate = RATE * (1 - index / LENGTH) ** 0.9
    for group, factor in zip(self.optimizer.param_groups, (1.0, HEAD_MULTIPLIER), strict=True):
      group['lr'] = rate * factor
    decay = min(1 - 1 / (index + 1), MAX_DECAY)
    with torch.no_grad():
      for name, x in self.student.items():
        self.teacher[name] = decay * self.teacher[name] + (1 - decay) * x
    return loss_x.item(), sum(losses).item() / 2


def make_method():
  model = Segmenter(
    backbone=DinoV2(width=WIDTH, depth=len(TAPS), taps=TAPS),
    head=DPT(CLASSES, width=16, projections=(8, 12, 16, 24)),
  )
  options = dict(threshold=THRESHOLD, max_decay=MAX_DECAY, strength=0.0, grey=0.0, blur=False)
  return METHODS['unimatch_v2'](model, CLASSES, **options)


def draw_parameters(shapes):
  """Random parameters for which features and confidences differ from pixel to pixel."""
  rng = np.random.default_rng(1)

  def draw(path, x):
    names = [entry.key for entry in path]
    scale = {'output2': 0.3}.get(names[-2], 1.0)
    if x.ndim > 1 and names[-1] == 'kernel':
      return scale * rng.normal(size=x.shape) * np.sqrt(2 / np.prod(x.shape[:-1]))
    center = 1.0 if names[-1] in ('scale', 'gamma') else 0.0
    return center + 0.1 * rng.normal(size=x.shape)

  return jax.tree.map_with_path(lambda path, x: jnp.asarray(draw(path, x), jnp.float32), shapes)


def relative(result, expected):
  return np.linalg.norm(result - expected) / max(np.linalg.norm(expected), 1e-12)


@pytest.mark.slow  # compiles for 15 seconds
def test_five_steps():
  method, devices = make_method(), jax.devices()[:1]
  tx = poly_optimizer(
    RATE, LENGTH, rule='adamw', head_multiplier=HEAD_MULTIPLIER, weight_decay=DECAY, lag=1
  )
  image = jax.ShapeDtypeStruct((1, SIDE, SIDE, 3), jnp.float32)
  shapes, model_state, _ = jax.eval_shape(lambda key: method.init(key, image), jax.random.key(0))
  start = draw_parameters(shapes['segmenter'])
  params = {'segmenter': jax.tree.map(jnp.copy, start)}
  teacher = {'teacher': jax.tree.map(jnp.copy, start)}
  state = TrainState(jnp.zeros((), jnp.int32), params, model_state, tx.init(params), teacher)

  def step(state, batch):
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(0), state.step), 0)
    gradients, model_state, metrics = accumulate_gradients(method, state, batch, key)
    return apply_gradients(method, tx, state, gradients, model_state), gradients, metrics

  step = jax.pmap(step, AXIS, in_axes=(None, 0), out_axes=None, devices=devices)
  batch, other = make_batch(), Restatement(published(start))
  placed = jax.tree.map(lambda x: x[None, None], batch)
  for index in range(STEPS):
    state, gradients, metrics = step(state, placed)
    loss_x, loss_u = other.step(batch, index)
    np.testing.assert_allclose(metrics['loss/sup'], loss_x, rtol=1e-5)
    np.testing.assert_allclose(metrics['loss/unsup'], loss_u, rtol=1e-5)
    assert 0.2 < metrics['confident_share'] < 0.8
    for name, gradient in published(gradients['segmenter']).items():
      if name.startswith(UNUSED):
        assert other.student[name].grad is None and not gradient.any()
      else:
        assert relative(gradient, other.student[name].grad.numpy()) < 1e-4, (index, name)

  begin, teacher = published(start), published(state.method_state['teacher'])
  for name, after in published(state.params['segmenter']).items():
    if name.startswith(UNUSED):
      np.testing.assert_array_equal(after, begin[name])
      continue
    # The bias of the keys (the second third) has the gradient 0: only rounding moves it.
    part = np.delete(np.arange(3 * WIDTH), np.s_[WIDTH : 2 * WIDTH]) if 'qkv.bias' in name else ...
    change = (other.student[name].detach().numpy() - begin[name])[part]
    assert np.abs(change).max() > 0
    # The sum of five rates: without the lag it would be 8 % less.
    assert relative((after - begin[name])[part], change) < 0.03, name
    average = (other.teacher[name].numpy() - begin[name])[part]
    assert relative((teacher[name] - begin[name])[part], average) < 0.03, name
