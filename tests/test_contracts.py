"""What every entry of the tables promises; a new entry is enrolled by being listed.

Networks and methods are only traced (`jax.eval_shape`), never compiled.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small
import toy
from toy import save

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.encoded import EncodedImage
from classmix_jax.core.metrics import confusion_matrix
from classmix_jax.core.optim import group_of
from classmix_jax.core.pixel_weights import WEIGHTS
from classmix_jax.data.label_statistics import label_counts
from classmix_jax.datasets import DATASETS
from classmix_jax.errors import UserError
from classmix_jax.evaluation.eval_step import predict
from classmix_jax.masks import MASKS
from classmix_jax.methods import METHODS, hyper_parameters, method_class
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.heads import HEADS
from classmix_jax.models.segmenter import Segmenter, build_segmenter, initialize
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.types import AXIS, VOID, Batch, Features


def image_of(height, width, count=2):
  return jax.ShapeDtypeStruct((count, height, width, 3), jnp.float32)


def shapes(tree):
  return jax.tree.map(lambda x: (x.shape, x.dtype), tree)


def count_scalars(tree):
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))


# --------------------------------------------------------------------- backbones


def features_of(backbone, size):
  def run(image):
    return backbone.init_with_output(jax.random.key(0), image, False)[0]

  return jax.eval_shape(run, image_of(*size)).levels[-1].shape


# Convolution halves and rounds up. In the layout of caffe the ceil-mode pool adds one where
# sizes are even, and the first 1x1 convolution of layer2 halves again.
CAFFE_SIZES = {
  (33, 65): (5, 9),
  (64, 96): (9, 13),
  (65, 129): (9, 17),
  (512, 1024): (65, 129),
  (256, 512): (33, 65),
  (321, 321): (41, 41),
  (505, 505): (64, 64),
}
TORCHVISION_SIZES = {(33, 65): (5, 9), (64, 96): (8, 12), (505, 505): (64, 64)}
# TensorFlow's SAME: the size divided by 16, rounded up.
LITE_SIZES = {(33, 65): (3, 5), (64, 96): (4, 6), (65, 129): (5, 9), (180, 240): (12, 15)}
TINY_SIZES = {(33, 65): (9, 17), (64, 96): (16, 24), (65, 129): (17, 33), (180, 240): (45, 60)}
DEEP = (
  *('resnet34', 'resnet34_tv', 'resnet50', 'resnet101', 'resnet101_tv'),
  *('resnet50_deep', 'resnet101_deep'),
)


# The nearest multiples of 14, divided by 14.
DINOV2_SIZES = {(33, 65): (2, 5), (518, 518): (37, 37), (360, 480): (26, 34)}


def documented_sizes(name):
  """Size of an image -> that of the features, for some sizes."""
  if name.startswith('dinov2'):
    return DINOV2_SIZES
  sizes = {'tiny': TINY_SIZES, 'efficientnet_lite0': LITE_SIZES}
  return sizes.get(name, TORCHVISION_SIZES if name.endswith(('_tv', '_deep')) else CAFFE_SIZES)


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_have_the_documented_stride(name):
  sizes = documented_sizes(name)
  # The deep ones repeat the shallow ones' strides: one size is enough for them.
  tested_sizes = dict(list(sizes.items())[:1]) if name in DEEP else sizes
  for size, expected in tested_sizes.items():
    assert features_of(BACKBONES[name](), size)[:3] == (2, *expected), size


@pytest.mark.parametrize('name', BACKBONES)
def test_backbones_have_the_output_stride_they_say(name):
  own = BACKBONES[name]().output_stride
  for stride in {8, 16, own}:
    try:
      backbone = BACKBONES[name](output_stride=stride)
    except UserError as error:
      assert stride != own and f'config.model.output_stride is {stride}' in str(error)
      continue
    if name.startswith('dinov2'):
      continue  # sizes are multiples of 14, see above
    # At sides of 1 and a multiple of 32 nothing is rounded.
    height, width = (side // stride + 1 for side in (32, 96))
    assert features_of(backbone, (33, 97))[1:3] == (height, width)


@pytest.mark.parametrize('name', BACKBONES)
@pytest.mark.parametrize('bn', ['batch', 'running'])
def test_backbones_take_bn_dtype_and_remat(name, bn):
  backbone = BACKBONES[name](bn=bn, dtype=jnp.bfloat16)

  def run(image):
    return backbone.init_with_output(jax.random.key(0), image, False)

  features, variables = jax.eval_shape(run, image_of(33, 65))
  assert features.levels[0].dtype == features.levels[-1].dtype == jnp.bfloat16
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  # Computing blocks again renames nothing.
  backbone = BACKBONES[name](bn=bn, dtype=jnp.bfloat16, remat=True)
  again, same_variables = jax.eval_shape(run, image_of(33, 65))
  assert shapes(again) == shapes(features) and shapes(same_variables) == shapes(variables)
  # Batch normalisation is found by its name, wherever it stands.
  for path, _ in jax.tree.leaves_with_path(variables.get('batch_stats', {})):
    assert path[-2].key.startswith('bn')


def level_sizes(name):
  """Sizes and strides of the levels that a head takes."""
  if name.startswith('dpt'):
    return [(5, 9)] * 4, (14,) * 4
  if name == 'refine':
    return [(20, 36), (10, 18), (3, 5), (3, 5)], (2, 4, 14, 14)
  return [(9, 17), (5, 9)], (4, 8)


@pytest.mark.parametrize('name', HEADS)
@pytest.mark.parametrize('bn', ['batch', 'running'])
def test_heads_keep_the_size_of_features(name, bn):
  """Of the last level or of the first; a DPT head has 8 times the size of its four levels.

  A U-Net goes on to stride 2 or 1.
  """
  head = HEADS[name](num_classes=7, output_stride=8, bn=bn, dtype=jnp.bfloat16)
  sizes, strides = level_sizes(name)

  def run(*levels):
    return head.init_with_output(jax.random.key(0), Features(levels, strides), False)

  levels = (jax.ShapeDtypeStruct((2, *size, 16), jnp.float32) for size in sizes)
  logits, variables = jax.eval_shape(run, *levels)
  # A level of stride 4 is doubled once or twice.
  enlarged = {'dpt': [(40, 72)], 'unet': [(18, 34), (36, 68)]}
  expected = enlarged.get(name.split('_')[0], sizes)
  assert logits.shape[1:3] in expected and logits.shape[0] == 2 and logits.shape[3] == 7
  assert logits.dtype == jnp.bfloat16
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  for path, _ in jax.tree.leaves_with_path(variables.get('batch_stats', {})):
    assert path[-2].key.startswith('bn')


def parameters(backbone, head):
  model = Segmenter(backbone=BACKBONES[backbone](), head=HEADS[head](num_classes=19))
  return jax.eval_shape(lambda key: initialize(model, key, image_of(33, 65)), jax.random.key(0))


@pytest.mark.parametrize('head', ['deeplab_v2', 'deeplab_v2_four_branches'])
def test_parameters_of_resnet101(head):
  """The original has 43,901,068, of which 105,344 are BN scales and shifts.

  A branch of the head is a 3x3 convolution from 2048 features to 19 classes with bias,
  9 * 2048 * 19 + 19 = 350,227. Two of the four never act there: they exist and stay as they are.
  """
  params, batch_stats = parameters('resnet101', head)
  assert count_scalars(params) == 43_901_068
  assert count_scalars(batch_stats) == 105_344
  frozen = [
    leaf
    for path, leaf in jax.tree.leaves_with_path(params)
    if group_of(path, freeze_bn_affine=True) == 'frozen'
  ]
  unused = 2 if head == 'deeplab_v2' else 0
  assert len(frozen) == 208 + 2 * unused
  assert count_scalars(frozen) == 105_344 + 350_227 * unused


def test_logits_have_the_size_of_the_image():
  model = Segmenter(backbone=BACKBONES['tiny'](), head=HEADS['deeplab_v2'](num_classes=5))

  def run(image):
    return model.init_with_output(jax.random.key(0), image, False)[0]

  logits = jax.eval_shape(run, image_of(37, 53))
  assert logits.shape == (2, 37, 53, 5) and logits.dtype == jnp.float32


# ----------------------------------------------------------------------- methods


@pytest.fixture(params=METHODS)
def name(request):
  return request.param


DEVICES = 2


def in_pmap(function, batch, in_axes, *arguments):
  """The shapes that `function` returns on two devices."""
  mapped = jax.pmap(function, AXIS, in_axes=in_axes, out_axes=None, devices=jax.devices()[:DEVICES])
  return jax.eval_shape(mapped, *arguments, batch)


def test_methods_keep_the_shapes_of_their_state(name):
  """One step of the real train step: what comes out can go in again."""
  method = small.method(name)
  tx = small.optimizer(method)
  state = small.start(name)
  step = make_train_step(method, tx, 0, jax.devices()[:DEVICES])
  after, metrics = jax.eval_shape(step, state, small.shard(small.batch(), DEVICES))
  assert shapes(after) == shapes(state)
  assert 'loss/sup' in metrics
  for key, x in metrics.items():
    assert x.shape == ((small.CLASSES,) if key.endswith('_shares') else ())
    assert x.dtype == jnp.float32
  assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {jnp.dtype('float32')}


def test_methods_learn_from_images_with_features(name):
  """Methods that take `EncodedImage`s use the features; the others are refused in the config."""
  if not method_class(name).encoded_images:
    pytest.skip(f'{name} changes the pixels that its network sees')
  taps, grid = 2, (2, 3)
  vit = DinoV2(width=64, depth=taps, taps=tuple(range(taps)))
  model = build_segmenter(vit, HEADS['refine'], small.CLASSES, stem=True, freeze_backbone=True)
  method = METHODS[name](model, small.CLASSES)
  tx = small.optimizer(method)
  state = jax.eval_shape(
    lambda key: create_state(method, tx, key, image_of(*small.SIZE), jax.devices()[:DEVICES]),
    jax.random.key(0),
  )
  assert set(state.params['segmenter']) == {'stem', 'head'}

  def encode(example):
    features = np.zeros((len(example.image), *grid, 64 * taps), np.float16)
    return example._replace(image=EncodedImage(example.image, features))

  labeled, unlabeled = small.batch()
  batch = small.shard(Batch(encode(labeled), encode(unlabeled)), DEVICES)
  step = make_train_step(method, tx, 0, jax.devices()[:DEVICES])
  after, metrics = jax.eval_shape(step, state, batch)
  assert shapes(after) == shapes(state) and 'loss/sup' in metrics


def test_methods_init_and_finish(name):
  method, state = small.method(name), small.start(name)
  params, model_state, method_state = jax.eval_shape(
    lambda key: method.init(key, image_of(*small.SIZE)), jax.random.key(0)
  )
  assert shapes(params) == shapes(state.params)
  assert shapes(model_state) == shapes(state.model_state)
  finished = jax.eval_shape(method.finish, state)
  assert shapes(finished) == shapes(method_state)


def test_methods_name_networks_that_predict(name):
  method, state = small.method(name), small.start(name)
  networks = method.networks(state)
  assert tuple(networks) == method.network_names and 'student' in networks
  for variables in networks.values():

    def run(variables, image):
      return predict(method.model, variables, image)

    prob = jax.eval_shape(run, variables, jnp.zeros((2, 33, 35, 3), jnp.uint8))
    assert prob.shape == (2, 33, 35, small.CLASSES)


def test_methods_show_views(name):
  method, state = small.method(name, jitter=0.25, blur=True), small.start(name)
  batch = small.shard(small.batch(), DEVICES, accumulate=2)

  def run(state, batch):
    return method.views(state, batch, jax.random.key(0))

  mapped = jax.pmap(run, AXIS, in_axes=(None, 0), devices=jax.devices()[:DEVICES])
  views = jax.eval_shape(mapped, state, batch)
  headings = [view.heading for view in views]
  assert headings[:3] == ['labelled image', 'its label', 'its prediction']
  assert len(set(headings)) == len(headings) and not any('_' in heading for heading in headings)
  lead = (DEVICES, small.IMAGES // DEVICES // 2, *small.SIZE)  # the first micro-batch
  for heading, pixels, valid in ((view.heading, view.pixels, view.valid) for view in views):
    assert valid.shape == lead and valid.dtype == bool, heading
    if pixels.ndim == 5:
      assert pixels.shape == (*lead, 3) and pixels.dtype == jnp.float32, heading
    else:
      assert pixels.shape == lead and jnp.issubdtype(pixels.dtype, jnp.integer), heading


def test_methods_list_their_hyper_parameters(name):
  options = hyper_parameters(name)
  method = METHODS[name](small.model(), small.CLASSES, **options)
  assert method == METHODS[name](small.model(), small.CLASSES)
  assert {key: getattr(method, key) for key in options} == options


@pytest.mark.parametrize(
  'field, known',
  [('mask', MASKS), ('pixel_weight', WEIGHTS), ('consistency', ('ce', 'mse', 'mse_sum'))],
)
def test_wrong_choices_are_named(field, known):
  with pytest.raises(UserError, match=f"config.method.{field} is 'clas'; choose one of .*") as info:
    METHODS['cutmix_french'](small.model(), small.CLASSES, **{field: 'clas'})
  assert all(choice in str(info.value) for choice in known)


@pytest.mark.parametrize(
  'field, choice',
  [
    ('consistency', 'mse'),
    ('consistency', 'mse_sum'),
    *(('pixel_weight', weight) for weight in WEIGHTS),
  ],
)
def test_all_losses_have_a_value_and_a_gradient(field, choice):
  """L_u itself, without a network: finite, positive, and steeper where it should be."""
  method = small.method('cutmix_french', **{field: choice})
  logits = jnp.asarray(np.random.default_rng(0).normal(size=(1, 2, 4, 5, small.CLASSES)), 'float32')
  prob = jax.nn.softmax(2 * jnp.flip(logits, axis=2))
  mixed = PseudoLabel(
    jnp.zeros((1, 2, 4, 5, 3)),
    jnp.argmax(prob, -1),
    jnp.max(prob, -1),
    prob,
    jnp.ones((1, 2, 4, 5), bool),
  )

  def loss(x, mixed):
    weight = WEIGHTS[method.pixel_weight](
      mixed.confidence, mixed.valid, 0.9, method.threshold, ALL_DEVICES
    )
    return jnp.mean(weight * method.pixel_loss(x, mixed))

  value, gradient = jax.pmap(jax.value_and_grad(loss), AXIS, devices=jax.devices()[:1])(
    logits, mixed
  )
  assert float(value[0]) > 0
  assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


# ---------------------------------------------------------------------- data sets


def make_scenes(root):
  return DATASETS['scenes'](root=str(root), num_train=2, num_val=1)


def make_camvid(root):
  for split, names in (('train', 'ab'), ('val', 'v')):
    for name in names:
      save(root / split / f'{name}.png', np.zeros((4, 6, 3)))
      save(root / f'{split}annot' / f'{name}.png', np.full((4, 6), 11))
  return DATASETS['camvid'](root=str(root))


def make_folder(root):
  (root / 'classes.txt').write_text('road\ncar\n')
  for part, names in (('labeled', 'ba'), ('val', 'v')):
    for name in names:
      save(root / part / 'images' / f'{name}.png', np.zeros((4, 6, 3)))
      save(root / part / 'masks' / f'{name}.png', np.full((4, 6), 1))
  save(root / 'unlabeled' / 'images' / 'u.png', np.zeros((4, 6)))
  return DATASETS['folder'](root=str(root))


def make_cityscapes(root):
  return DATASETS['cityscapes'](root=str(toy.write_cityscapes(root)))


def make_pascal_voc(root):
  return DATASETS['pascal_voc'](root=str(toy.write_pascal_voc(root)))


def make_ade20k(root):
  return DATASETS['ade20k'](root=str(toy.write_ade20k(root)))


def make_coco(root):
  return DATASETS['coco'](root=str(toy.write_coco(root)), unlabeled2017=True)


def make_tfds(root):
  """A builder whose archives are put there by hand has no checksums."""
  manual = root / 'manual'
  toy.write_cityscapes_archives(manual, toy.write_cityscapes(root / 'folders'))
  return DATASETS['tfds'](
    root=str(root / 'data'), builder='cityscapes/semantic_segmentation', manual_dir=str(manual)
  )


MAKERS = {
  'scenes': make_scenes,
  'camvid': make_camvid,
  'cityscapes': make_cityscapes,
  'pascal_voc': make_pascal_voc,
  'ade20k': make_ade20k,
  'coco': make_coco,
  'tfds': make_tfds,
  'folder': make_folder,
}


@pytest.mark.parametrize('name', DATASETS)
def test_data_sets(name, tmp_path):
  """A new data set needs a maker above: files in its layout, as few as possible."""
  dataset = MAKERS[name](tmp_path)
  assert dataset.name == name
  assert len(dataset.palette) == len(dataset.class_names) == len(set(dataset.class_names))
  assert all(len(color) == 3 and 0 <= min(color) <= max(color) <= 255 for color in dataset.palette)
  sources = dict(train=dataset.train, val=dataset.val)
  if dataset.unlabeled is not None:
    sources['unlabeled'] = dataset.unlabeled
  for source in sources.values():
    assert list(source.names) == sorted(set(source.names)) and len(source) > 0
    for index in range(len(source)):
      image = source.read_image(index)
      assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
      np.testing.assert_array_equal(image, source.read_image(index))
  for source in (dataset.train, dataset.val):
    label = source.read_label(0)
    assert label.dtype == np.uint8 and label.shape == source.read_image(0).shape[:2]
    assert set(np.unique(label)) <= {*range(len(dataset.class_names)), VOID}
    label_counts(source, range(len(source)), dataset.class_names)
  counts = confusion_matrix(jnp.zeros(label.shape, int), jnp.asarray(label), 255)
  assert int(counts.sum()) == (label != VOID).sum()
