"""Numbers that the original ClassMix implementation printed; see tests/witness/README.md."""

import ast
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from witness_rule import torch_array

from classmix_jax import masks
from classmix_jax.core.collectives import ALL_DEVICES, ONE_DEVICE
from classmix_jax.core.ema import ema_decay
from classmix_jax.core.losses import cross_entropy, masked_mean, squared_error
from classmix_jax.core.mixing import mix
from classmix_jax.core.optim import poly_optimizer, poly_schedule
from classmix_jax.core.pixel_weights import sigmoid_ramp
from classmix_jax.core.resize import resize_bilinear
from classmix_jax.methods.mean_teacher import MeanTeacher
from classmix_jax.models import segmenter
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.preprocessing import Preprocessing
from classmix_jax.models.backbones.resnet import Bottleneck, ResNet
from classmix_jax.models.heads import HEADS
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.types import AXIS, VOID, Batch, Example

AS_IT_IS = Preprocessing('rgb', (0.0,) * 3, (1.0,) * 3, 1.0)  # the witness has no 0..255 pixels
WITNESS = Path(__file__).parents[1] / 'witness'


def nhwc(x):
  return jnp.asarray(np.moveaxis(x, 1, -1))


@pytest.fixture(scope='module')
def mixing():
  return np.load(WITNESS / 'mixing.npz')


class _FixedChoice:
  """Lets `class_mask` draw the classes that the original drew."""

  def __init__(self, monkeypatch, chosen, num_classes):
    score = np.ones(num_classes, np.float32)
    score[list(chosen)] = 0.0
    monkeypatch.setattr(jax.random, 'uniform', lambda key, shape: jnp.asarray(score))


def test_class_mask(mixing, monkeypatch):
  for label, chosen, expected in zip(
    mixing['label'], mixing['chosen'], mixing['mask'], strict=True
  ):
    with monkeypatch.context() as patch:
      _FixedChoice(patch, ast.literal_eval(str(chosen)), 7)
      mask = masks.class_mask(jax.random.key(0), jnp.asarray(label), 7)
    np.testing.assert_array_equal(mask, expected.astype(bool))


def test_mixed_images_and_probabilities(mixing):
  mask = jnp.asarray(mixing['mask'].astype(bool))
  for before, after in (('image_nchw', 'mixed_image_nchw'), ('prob_nchw', 'mixed_prob_nchw')):
    np.testing.assert_allclose(mix(mask, nhwc(mixing[before])), nhwc(mixing[after]), rtol=1e-6)


def test_consistency_losses(mixing):
  logits, prob = nhwc(mixing['logits_nchw']), nhwc(mixing['mixed_prob_nchw'])
  weight = jnp.asarray(mixing['pixel_weight'])
  weighted = jnp.mean(weight * cross_entropy(logits, jnp.argmax(prob, axis=-1)))
  np.testing.assert_allclose(weighted, mixing['weighted_ce'], rtol=1e-5)
  np.testing.assert_allclose(jnp.mean(squared_error(logits, prob)), mixing['mse'], rtol=1e-5)


def test_schedules(mixing):
  np.testing.assert_allclose(ema_decay(jnp.arange(120)), mixing['ema_decay'], rtol=1e-6)
  schedule = poly_schedule(2.5e-4, 40_000)
  np.testing.assert_allclose(  # 1 - 39999/40000 has three digits left in float32
    [schedule(t) for t in (0, 1, 1000, 20000, 39999)], mixing['poly_lr'], rtol=1e-5, atol=1e-10
  )
  np.testing.assert_allclose(
    [sigmoid_ramp(jnp.array(t / 10_000)) for t in (0, 1, 2500, 5000, 9999, 10000)],
    mixing['sigmoid_ramp'],
    rtol=1e-5,
  )


def torch_name(path):
  """The original's name of a parameter, from its path in the flax tree."""
  names = [entry.key for entry in path]
  if names[0] == 'head':
    branch = ('dilation6', 'dilation12', 'unused18', 'unused24').index(names[1])
    return f'layer5.conv2d_list.{branch}.{"weight" if names[2] == "kernel" else "bias"}'
  leaf = {
    'kernel': 'weight',
    'scale': 'weight',
    'bias': 'bias',
    'mean': 'running_mean',
    'var': 'running_var',
  }[names[-1]]
  modules = [name.replace('_shortcut', '') for name in names[1:-1]]
  if names[-2].endswith('_shortcut'):
    modules[-1] = 'downsample.0' if names[-2].startswith('conv') else 'downsample.1'
  if modules[0].startswith('layer'):
    modules[0] = modules[0].replace('_', '.')
  return '.'.join([*modules, leaf])


def witness_leaf(path, leaf):
  if leaf.ndim == 4:
    height, width, inputs, outputs = leaf.shape
    oihw = torch_array(torch_name(path), (outputs, inputs, height, width))
    return jnp.asarray(oihw.transpose(2, 3, 1, 0), jnp.float32)
  return jnp.asarray(torch_array(torch_name(path), leaf.shape), jnp.float32)


MASK_MEANS = []  # of every mask that was made


def first_half_mask(key, label, num_classes):
  """Like `class_mask`, but the *first* floor(n / 2) present classes."""
  del key
  present = jnp.any(label.reshape(1, -1) == jnp.arange(num_classes)[:, None], axis=1)
  chosen = present & (jnp.cumsum(present) <= jnp.sum(present) // 2)
  mask = chosen[label]
  jax.debug.callback(MASK_MEANS.append, jnp.mean(mask))
  return mask


def witness_batches():
  rs = np.random.RandomState(2)
  for _ in range(6):
    xl = (50 * rs.randn(2, 3, 49, 49)).astype(np.float32)
    yl = np.kron(rs.randint(0, 5, (2, 7, 7)), np.ones((7, 7))).astype(np.uint8)
    yl[:, :3] = 255
    xu = (50 * rs.randn(2, 3, 49, 49)).astype(np.float32)
    valid = np.ones((2, 49, 49), bool)
    yield Batch(
      Example(np.moveaxis(xl, 1, -1), yl, valid),
      Example(np.moveaxis(xu, 1, -1), np.full_like(yl, VOID), valid),
    )


@pytest.fixture
def witness_method(monkeypatch):
  """ClassMix on a ResNet of one block per layer that sees mean-subtracted pixels."""
  monkeypatch.setitem(masks.MASKS, 'first_half', first_half_mask)
  for module in ('supervised', 'mean_teacher', 'pseudo_label'):  # its pixels are not 0..255
    monkeypatch.setattr(f'classmix_jax.methods.{module}.to_unit_range', lambda image: image)
  backbone = ResNet(blocks=(1, 1, 1, 1), block=Bottleneck, preprocessing=AS_IT_IS)
  model = segmenter.Segmenter(backbone=backbone, head=HEADS['deeplab_v2'](num_classes=5))
  return MeanTeacher(model, 5, mask='first_half', threshold=0.4, jitter=0.0, blur=False)


def buffers_of_their_own(**options):
  """The optimizer of the witness `dup`, which ran with torch 2.13.

  There each listing of a parameter makes a velocity of its own in the very first step, which is
  a step without momentum; from then on they share the last one. In torch 1.5, which the original
  names and this project follows, they share it from the start.
  """
  first, later = (poly_optimizer(1e-4, 10, momentum=momentum, **options) for momentum in (0.0, 0.9))

  def update(gradients, state, params):
    count, inner = state
    results = (tx.update(gradients, inner, params) for tx in (first, later))
    updates, inner = jax.tree.map(lambda x, y: jnp.where(count == 0, x, y), *results)
    return updates, (count + 1, inner)

  return optax.GradientTransformation(
    lambda params: (jnp.zeros((), jnp.int32), later.init(params)), update
  )


@pytest.mark.parametrize(
  'variant, devices',
  [
    ('once', 1),
    pytest.param('once', 2, marks=pytest.mark.slow),
    pytest.param('dup', 1, marks=pytest.mark.slow),
  ],
)
def test_six_training_steps(witness_method, variant, devices):
  """Losses and weight norms of six ClassMix steps, on one and on two devices."""
  witness = np.load(WITNESS / 'six_steps.npz')
  expected = {name: witness[variant][:, i] for i, name in enumerate(witness['columns'])}
  options = dict(head_multiplier=10.0, weight_decay=5e-4, freeze_bn_affine=True)
  tx = {
    'once': lambda: poly_optimizer(1e-4, 10, **options),
    'dup': lambda: buffers_of_their_own(duplicate_steps=True, **options),
  }[variant]()
  local = jax.devices()[:devices]
  image = jax.ShapeDtypeStruct((2, 49, 49, 3), jnp.float32)
  state = create_state(witness_method, tx, jax.random.key(0), image, local)

  def replace(tree):
    return jax.tree.map_with_path(witness_leaf, tree)

  state = state.replace(
    params={'segmenter': replace(state.params['segmenter'])},
    method_state={'teacher': replace(state.method_state['teacher'])},
    model_state={name: replace(tree) for name, tree in state.model_state.items()},
  )
  step = make_train_step(witness_method, tx, 0, local)
  for index, batch in enumerate(witness_batches()):

    def shard(x):
      return x.reshape((devices, 1, 2 // devices) + x.shape[1:])

    state, metrics = step(state, jax.tree.map(shard, batch))
    student, teacher = state.params['segmenter'], state.method_state['teacher']
    norm = jnp.linalg.norm
    jax.effects_barrier()
    result = {
      'mask_mean': np.mean(MASK_MEANS[-2:]),
      'loss_sup': metrics['loss/sup'],
      'loss_unsup': metrics['loss/unsup'],
      'confident_share': metrics['confident_share'],
      'student_conv1_norm': norm(student['backbone']['conv1']['kernel'].ravel()),
      'student_layer3_0_conv2_norm': norm(
        student['backbone']['layer3_0']['conv2']['kernel'].ravel()
      ),
      'student_head0_norm': norm(student['head']['dilation6']['kernel'].ravel()),
      'teacher_head0_norm': norm(teacher['head']['dilation6']['kernel'].ravel()),
      'student_bn1_running_mean_norm': norm(
        state.model_state['segmenter']['backbone']['bn1']['mean']
      ),
      'teacher_bn1_running_mean_norm': norm(
        state.model_state['teacher']['backbone']['bn1']['mean']
      ),
    }
    for name, value in result.items():
      np.testing.assert_allclose(value, expected[name][index], rtol=1e-4, err_msg=name)
  assert result.keys() == expected.keys()


def relative_to_range(result, expected):
  return np.abs(np.asarray(result) - expected).max() / np.ptp(expected)


def shape_in_torch(leaf):
  order = (3, 2, 0, 1) if leaf.ndim == 4 else range(leaf.ndim)
  return str([leaf.shape[axis] for axis in order])


def resnet101(witness, dtype):
  """Eval logits, train logits, loss, gradients and new statistics of the witness's network."""
  model = segmenter.Segmenter(
    backbone=BACKBONES['resnet101'](preprocessing=AS_IT_IS, dtype=dtype),
    head=HEADS['deeplab_v2'](num_classes=5, dtype=dtype),
  )
  image, label = nhwc(witness['image_nchw']).astype(dtype), jnp.asarray(witness['label'])
  shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, False))
  variables = jax.tree.map_with_path(
    lambda path, leaf: witness_leaf(path[1:], leaf).astype(dtype), shapes
  )
  names = {
    torch_name(path[1:]): shape_in_torch(leaf) for path, leaf in jax.tree.leaves_with_path(shapes)
  }
  assert names == dict(zip(witness['param_names'], witness['param_shapes'], strict=True))

  def small_logits(variables, train):
    def forward(module):
      return module.head(module.backbone(image, train), train)

    return model.apply(variables, method=forward, mutable=['batch_stats'])

  def loss(params):
    logits, updated = small_logits({**variables, 'params': params}, True)
    error = cross_entropy(resize_bilinear(logits, image.shape[1:3]), label)
    return masked_mean(error, label != VOID, ALL_DEVICES), (logits, updated['batch_stats'])

  def run(params):
    (value, (logits, statistics)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
    eval_logits = small_logits({**variables, 'params': params}, False)[0]
    return eval_logits, logits, value, gradients, statistics

  with_device = jax.tree.map(lambda x: x[None], variables['params'])
  run = jax.pmap(run, AXIS, devices=jax.devices()[:1])
  return jax.tree.map(lambda x: np.asarray(x[0]), run(with_device))


def compare_resnet101(result, witness, *, logits, loss, gradients):
  """The arguments are tolerances: relative to the logits' range, the loss, each norm."""
  eval_logits, train_logits, value, gradient, statistics = result
  assert relative_to_range(eval_logits, nhwc(witness['logits_eval_nchw'])) < 1e-5
  assert relative_to_range(train_logits, nhwc(witness['logits_train_nchw'])) < logits
  np.testing.assert_allclose(value, witness['loss'], rtol=loss)
  norms = {
    torch_name(path): np.linalg.norm(leaf.ravel())
    for path, leaf in jax.tree.leaves_with_path(gradient)
  }
  assert len(witness['grad_names']) == 108
  for name, norm in zip(witness['grad_names'], witness['grad_norms'], strict=True):
    np.testing.assert_allclose(norms[name], norm, rtol=gradients, err_msg=name)
  for branch in (2, 3):
    assert norms[f'layer5.conv2d_list.{branch}.weight'] == 0.0
  statistics = statistics['backbone']
  last = statistics['layer4_2']['bn3']['mean'][: len(witness['last_bn_mean'])]
  assert relative_to_range(statistics['bn1']['mean'], witness['bn1_mean']) < 1e-5
  assert relative_to_range(statistics['bn1']['var'], witness['bn1_var']) < 1e-5
  assert relative_to_range(last, witness['last_bn_mean']) < 1e-5


@pytest.mark.slow
def test_resnet101_is_exact():
  """In float64, where rounding plays no part; see the README of the witness directory.

  In training 104 normalisations by small maps amplify rounding: the original's float32 numbers
  are 1.4e-4 (logits) and 3.4e-3 (the stem's gradient) away from its own in float64.
  """
  witness = dict(np.load(WITNESS / 'deeplab_v2_resnet101.npz'))
  with jax.enable_x64(True):
    result = resnet101(witness, jnp.float64)
  compare_resnet101(result, witness, logits=2e-4, loss=1e-5, gradients=5e-3)
  exact = np.load(WITNESS / 'deeplab_v2_resnet101_float64.npz')
  compare_resnet101(result, {**witness, **exact}, logits=1e-6, loss=1e-6, gradients=1e-5)


@pytest.mark.slow
def test_resnet101_in_float32():
  witness = np.load(WITNESS / 'deeplab_v2_resnet101.npz')
  result = resnet101(witness, jnp.float32)
  compare_resnet101(result, witness, logits=2e-4, loss=1e-5, gradients=5e-3)


def test_next_image_is_cyclic():
  x = jnp.arange(3)
  assert ONE_DEVICE.next_image(x).tolist() == [1, 2, 0]
