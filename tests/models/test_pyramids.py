"""Backbones with a level at every stride, and the heads that join them; nothing is compiled."""

import functools

import jax
from jax.interpreters import partial_eval
import jax.numpy as jnp
import pytest
import small

from classmix_jax.errors import UserError
from classmix_jax.methods import METHODS
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.heads import HEADS
from classmix_jax.models.heads.fpn import FPN
from classmix_jax.models.heads.unet import UNet
from classmix_jax.models.layers.enlarge import enlarge_to
from classmix_jax.models.projector import PixelProjector
from classmix_jax.models.pyramid import build_backbone
from classmix_jax.models.segmenter import build_segmenter, forward, initialize
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.types import Features

CLASSES = small.CLASSES
ODD = (37, 53)
NETWORKS = {
  **{name: BACKBONES[name] for name in ('tiny', 'resnet18', 'resnet18_tv', 'efficientnet_lite0')},
  'resnet50_deep': BACKBONES['resnet50_deep'],
  'vit': functools.partial(DinoV2, width=64, depth=4, taps=(0, 1, 2, 3)),
}
STEMS = {'tiny': (1, 2), 'resnet18': (1, 2), 'resnet18_tv': (1, 2), 'efficientnet_lite0': (1,)}


def image_of(size):
  return jax.ShapeDtypeStruct((2, *size, 3), jnp.float32)


def build(name, head, stem=False, bn='', **options):
  return build_segmenter(
    build_backbone(NETWORKS[name], HEADS[head], **options), HEADS[head], CLASSES, stem=stem, bn=bn
  )


def features_of(backbone, size):
  def run(image):
    return backbone.init_with_output(jax.random.key(0), image, False)[0]

  return jax.eval_shape(run, image_of(size))


def shapes_of(model):
  return jax.eval_shape(lambda key: initialize(model, key, image_of(ODD)), jax.random.key(0))


def trace(model):
  """Size of the logits before they are upsampled, and names of parameters that do not act."""
  shapes = shapes_of(model)
  variables, tree = jax.tree.flatten(shapes)

  def run(*leaves):
    params, batch_stats = jax.tree.unflatten(tree, leaves[:-1])
    return forward(model, params, batch_stats, leaves[-1], train=False, upsample=False)[0]

  program = jax.make_jaxpr(run)(*variables, image_of(ODD))
  _, used = partial_eval.dce_jaxpr(program.jaxpr, [True])
  names = [jax.tree_util.keystr(path) for path, _ in jax.tree.leaves_with_path(shapes)]
  dead = [name for name, one in zip(names, used[:-1], strict=True) if not one]
  # Weights of others may have this one; it acts in their training only.
  return program.out_avals[0].shape[1:3], [name for name in dead if 'unused' not in name]


def divide(size, stride):
  return tuple(-(-side // stride) for side in size)


DEEP = [
  pytest.param(name, marks=pytest.mark.slow) for name in ('efficientnet_lite0', 'resnet50_deep')
]


@pytest.mark.parametrize('name', ['tiny', 'resnet18_tv', *DEEP])
def test_levels_halve_the_image(name):
  """Sizes are those of the image divided by the strides, rounded up; the last is the coarsest."""
  features = features_of(NETWORKS[name](pyramid=True), ODD)
  coarsest = 16 if name == 'tiny' else 32
  assert features.strides == tuple(2**i for i in range(1, coarsest.bit_length()))
  for level, stride in zip(features.levels, features.strides, strict=True):
    assert level.shape[1:3] == divide(ODD, stride)


@pytest.mark.parametrize('name, stem', [(name, one) for name in STEMS for one in STEMS[name]])
def test_a_finer_stem_makes_all_strides_finer(name, stem):
  own, finer = NETWORKS[name](pyramid=True), NETWORKS[name](pyramid=True, stem_stride=stem)
  features = features_of(finer, ODD)
  factor = own.stem_stride // stem
  assert finer.output_stride == own.output_stride // factor == features.strides[-1]
  assert features.strides == tuple(stem * 2**i for i in range(len(features.strides)))
  for level, stride in zip(features.levels, features.strides, strict=True):
    assert level.shape[1:3] == divide(ODD, stride)


# Tracing a deep backbone takes seconds.
CASES = [
  *(('tiny', head, 0) for head in ('unet', 'unet_small', 'fpn')),
  ('tiny', 'unet', 1),
  *(
    pytest.param(*case, marks=pytest.mark.slow)
    for case in (
      *(('tiny', head, stem) for head, stem in (('unet', 2), ('fpn', 1), ('fpn', 2))),
      *(('vit', head, 0) for head in ('unet', 'unet_small', 'fpn')),
      ('resnet18_tv', 'unet', 0),
      *(('resnet18', head, stem) for head in ('unet', 'fpn') for stem in (0, 1, 2)),
      *(('efficientnet_lite0', head, stem) for head in ('unet', 'fpn') for stem in (0, 1)),
      *(('resnet50_deep', head, 0) for head in ('unet', 'fpn')),
    )
  ),
]


@pytest.mark.parametrize('name, head, stem', CASES)
def test_logits_and_weights_that_act(name, head, stem):
  model = build(name, head, bn='running', **({'stem_stride': stem} if stem else {}))
  size, dead = trace(model)
  assert dead == []
  strides = features_of(model.backbone, ODD).strides
  finest = {'unet': 1, 'unet_small': 2, 'fpn': strides[-4:][0]}[head]
  if name == 'vit':
    assert size == ((24, 32) if head.startswith('unet') else (3, 4))
  elif name == 'resnet18' and (head, stem) == ('fpn', 0):
    assert size == (10, 14)  # torch's ceil mode
  else:
    assert size == divide(ODD, finest)


@pytest.mark.slow
def test_a_stem_adds_skips_to_a_vision_transformer():
  assert trace(build('vit', 'unet', stem=True)) == (ODD, [])
  with pytest.raises(UserError, match='fpn takes the 4 coarsest levels, without those of a stem'):
    shapes_of(build('vit', 'fpn', stem=True))
  with pytest.raises(UserError, match='ResNet has a level at every stride; set config.model.stem='):
    build('resnet18', 'unet', stem=True)


@pytest.mark.slow
def test_a_dilated_pyramid_has_skips_of_equal_size():
  model, other = (build('resnet18_tv', 'fpn', output_stride=stride) for stride in (16, 32))
  assert features_of(model.backbone, ODD).strides == (2, 4, 8, 16, 16)
  assert trace(model) == (divide(ODD, 4), [])
  # Weights do not depend on the output stride.
  assert jax.tree.map(jnp.shape, shapes_of(model)) == jax.tree.map(jnp.shape, shapes_of(other))


def test_skips_are_joined_from_the_coarsest_to_the_finest():
  """Channels before a block: those from below, then those of the level of its size."""
  sizes = ((32, 48, 5), (16, 24, 6), (8, 12, 7), (4, 6, 8))
  levels = tuple(jnp.zeros((1, *size)) for size in sizes)
  head = UNet(CLASSES, widths=(40, 30, 20, 10))
  variables = jax.eval_shape(
    lambda: head.init(jax.random.key(0), Features(levels, (2, 4, 8, 16)), False)
  )
  kernels = {
    name: tree['kernel'].shape[2:] for name, tree in variables['params'].items() if 'kernel' in tree
  }
  assert kernels == {
    'conv1_1': (8 + 7, 30),
    'conv1_2': (30, 30),
    'conv2_1': (30 + 6, 20),
    'conv2_2': (20, 20),
    'conv3_1': (20 + 5, 10),
    'conv3_2': (10, 10),
    'classifier': (10, CLASSES),
  }


def test_enlarging_by_hand():
  x = jnp.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
  assert enlarge_to(x, (3, 2 * 2), 2)[0, ..., 0].tolist() == [
    [1, 1, 2, 2],
    [1, 1, 2, 2],
    [3, 3, 4, 4],
  ]
  assert enlarge_to(x, (2, 2), 2) is x
  # To more than twice the size, bilinearly.
  assert enlarge_to(x, (8, 8), 4)[0, 0, :, 0].tolist() == [1, 1, 1.125, 1.375, 1.625, 1.875, 2, 2]


def test_the_projector_leaves_out_fine_levels():
  shapes = (32, 48, 5), (16, 24, 6), (8, 12, 7)
  levels = tuple(jnp.zeros((1, *shape)) for shape in shapes)

  def project(strides):
    return jax.eval_shape(
      lambda: PixelProjector(8).init_with_output(jax.random.key(0), Features(levels, strides))
    )

  vectors, variables = project((2, 4, 8))
  assert vectors.shape == (1, 16, 24, 8)
  assert variables['params']['level0']['kernel'].shape == (6, 8)
  assert project((1, 2, 2))[0].shape == (1, 16, 24, 8)  # there is no level of stride 4


@pytest.mark.parametrize('widths', [(), (64, 32, 16, 8, 4, 2)])
def test_widths_of_a_unet(widths):
  with pytest.raises(UserError, match='of a unet they are one to five numbers'):
    UNet(CLASSES, widths=widths)


@pytest.mark.parametrize('widths', [(64,), (64, 48)])
def test_widths_of_an_fpn(widths):
  with pytest.raises(UserError, match='of an fpn they are two numbers.* a multiple of 32'):
    FPN(CLASSES, widths=widths)


def test_a_head_needs_a_pyramid():
  with pytest.raises(ValueError, match=r'Tiny\(pyramid=True\)'):
    build_segmenter(BACKBONES['tiny'](), HEADS['unet'], CLASSES)


def test_strides_are_refused():
  with pytest.raises(UserError, match='stem_stride is 3, but a ResNet can have 1 or 2 or 4; 0 is'):
    BACKBONES['resnet18'](stem_stride=3)
  with pytest.raises(UserError, match='output_stride is 32, but a ResNet can have 2 or 4 or 8'):
    BACKBONES['resnet18'](stem_stride=1, output_stride=32)


def test_bfloat16_stays_and_odd_sizes_lose_the_rounding():
  model = build('tiny', 'unet', dtype=jnp.bfloat16)
  features = features_of(model.backbone, ODD)
  assert {level.dtype for level in features.levels} == {jnp.dtype('bfloat16')}
  head = jax.eval_shape(
    lambda: model.head.init_with_output(
      jax.random.key(0), jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), features), False
    )
  )[0]
  assert head.shape == (2, 38, 54, CLASSES) and head.dtype == jnp.bfloat16
  size, _ = trace(model)
  assert size == ODD


@pytest.mark.slow
@pytest.mark.parametrize('name', ['classmix', 'unimatch', 'corrmatch', 'pixcon', 's4gan_mlmt'])
def test_methods_train_networks_with_skips(name):
  """Also those that change features, compare pixels or classify images."""
  method = METHODS[name](build('tiny', 'unet'), small.CLASSES)
  tx, devices = small.optimizer(method), jax.devices()[:1]
  image = jax.ShapeDtypeStruct((1, *small.SIZE, 3), jnp.float32)
  state = jax.eval_shape(
    lambda key: create_state(method, tx, key, image, devices), jax.random.key(0)
  )
  step = make_train_step(method, tx, 0, devices)
  after, metrics = jax.eval_shape(step, state, small.shard(small.batch(), 1))
  assert jax.tree.map(jnp.shape, after) == jax.tree.map(jnp.shape, state)
  assert 'loss/sup' in metrics
