"""Networks with random weights, whose BN is not the identity, for exports."""

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.inference.export.network import Trained
from classmix_jax.inference.frame import Frame
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads import HEADS
from classmix_jax.models.pyramid import build_backbone
from classmix_jax.models.segmenter import IMAGE_SHAPE, build_segmenter, initialize

PADDED = Frame()
# Each backbone with a head, and each head with a backbone. The larger ViTs differ in size only.
NETWORKS = (
  *((name, 'dpt_small') for name in ('dinov2_small', 'dinov2_small_reg4')),
  *((name, 'deeplab_v3plus') for name in BACKBONES if not name.startswith('dinov2_')),
  *(('dinov2_small', name) for name in HEADS if name in ('dpt_base', 'linear', 'refine')),
  *(('resnet18_tv', name) for name in HEADS if not name.startswith('dpt_')),
)
CLASSES = ('sky', 'road', 'car', 'tree', 'person')


def build_trained(
  backbone: str,
  head: str,
  frame: Frame = PADDED,
  *,
  stem: bool = False,
  class_names: tuple[str, ...] = CLASSES,
) -> Trained:
  """Returns a network of `BACKBONES` and `HEADS` as if it were trained."""
  entry = HEADS[head]
  model = build_segmenter(
    build_backbone(BACKBONES[backbone], entry), entry, len(class_names), stem=stem
  )
  spec = jax.eval_shape(lambda key: initialize(model, key, IMAGE_SHAPE), jax.random.key(0))
  params, statistics = jax.tree.map(jnp.asarray, draw(spec))
  network = {'params': params, 'batch_stats': statistics}
  return Trained(model, network, frame, class_names, 0, 'teacher')


def draw(spec):
  """Random arrays in place of their shapes, such that activations neither vanish nor grow."""
  rng = np.random.default_rng(0)

  def draw_one(path, leaf):
    name, shape = path[-1].key, leaf.shape
    if name in ('var', 'scale', 'gamma'):
      return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if name in ('mean', 'bias'):
      return rng.normal(0, 0.1, shape).astype(np.float32)
    inputs = max(1, np.prod(shape[:-1]))
    return rng.normal(0, inputs**-0.5, shape).astype(np.float32)

  return jax.tree_util.tree_map_with_path(draw_one, spec)


def draw_images(*shape: int, seed: int = 0) -> np.ndarray:
  """Blocks of 8x8 pixels of random colours, `[*shape, 3]` uint8."""
  batch, height, width = shape
  rng = np.random.default_rng(seed)
  blocks = rng.integers(0, 256, (batch, -(-height // 8), -(-width // 8), 3), np.uint8)
  return blocks.repeat(8, 1).repeat(8, 2)[:, :height, :width]
