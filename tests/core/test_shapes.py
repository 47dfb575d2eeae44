"""Functions that users call: void ids by hand, shapes and dtypes that do not fit, in sentences."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

import classmix_jax as cm
from classmix_jax.core.shapes import class_ids

KEY = jax.random.key(0)
C = 3
LOGITS = np.log(np.array([[2.0, 1.0, 1.0], [1.0, 2.0, 1.0], [1.0, 1.0, 2.0]], np.float32))
VOID_IDS = [-1, -100, 255, C]


@pytest.fixture(autouse=True)
def without_annotations():
  """Users have no checks of annotations."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


def plain(function):
  return function


def vmapped(function):
  """Calls the function on a batch of two equal examples, and returns the second result."""
  return lambda *arrays: jax.vmap(function)(*(jnp.stack([x, x]) for x in arrays))[1]


@pytest.fixture(params=[plain, jax.jit, vmapped])
def transform(request):
  return request.param


# --------------------------------------------------------------------------- void


@pytest.mark.parametrize('void', VOID_IDS)
def test_cross_entropy_of_void_is_zero(transform, void):
  """The softmax of the label is 1/2 for 0 and 1/4 for 1."""
  loss = transform(cm.cross_entropy)(LOGITS, np.array([0, 0, void]))
  np.testing.assert_allclose(loss, [np.log(2), np.log(4), 0], rtol=1e-6)
  gradient = transform(jax.grad(lambda x, label: cm.cross_entropy(x, label).sum()))(
    LOGITS, np.array([0, 0, void])
  )
  expected = [[0.5 - 1, 0.25, 0.25], [0.25 - 1, 0.5, 0.25], [0, 0, 0]]
  np.testing.assert_allclose(gradient, expected, atol=1e-6)


@pytest.mark.parametrize('void', VOID_IDS)
def test_confusion_matrix_leaves_void_out(transform, void):
  def count(prediction, label):
    return cm.confusion_matrix(prediction, label, C)

  counts = transform(count)(np.array([0, 1, 0]), np.array([0, 1, void]))
  assert counts.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
  assert cm.iou(np.asarray(counts))[:2].tolist() == [1, 1]


@pytest.mark.parametrize('outside', VOID_IDS)
def test_a_prediction_that_is_no_class_is_wrong(transform, outside):
  """It counts as class (label + 1) mod C: rows still sum to the pixels of the label."""

  def count(prediction, label):
    return cm.confusion_matrix(prediction, label, C)

  counts = transform(count)(np.array([outside, 1, outside, 2]), np.array([0, 1, 2, 2]))
  assert counts.tolist() == [[0, 1, 0], [0, 1, 0], [1, 0, 1]]
  np.testing.assert_allclose(cm.iou(np.asarray(counts)), [0, 1 / 2, 1 / 2])


@pytest.mark.parametrize('void', VOID_IDS)
def test_class_mask_never_takes_void(transform, void):
  """Of the classes 0 and 2 one is taken; the void pixel is not."""
  label = np.array([[0, 0, 2], [2, 2, void]])

  def draw(key, label):
    return cm.class_mask(key, label, C)

  for seed in range(4):
    mask = transform(draw)(jax.random.key(seed), label)
    assert int(mask.sum()) in (2, 3) and not bool(mask[1, 2])
    assert len(set(label[np.asarray(mask)].tolist())) == 1


@pytest.mark.parametrize('ignore', [0, (0,), [0, 255], np.array([0, -1]), {0}, (0, 2**40)])
def test_ignore_makes_a_class_void(transform, ignore):
  label = np.array([0, 0, 2])
  loss = transform(lambda x, y: cm.cross_entropy(x, y, ignore=ignore))(LOGITS, label)
  np.testing.assert_allclose(loss, [0, 0, np.log(2)], rtol=1e-6)
  counts = transform(lambda x, y: cm.confusion_matrix(x, y, C, ignore=ignore))(label, label)
  assert counts.tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
  label = np.array([[0, 1], [0, 1]])
  mask = transform(lambda key, y: cm.class_mask(key, y, C, ignore=ignore))(KEY, label)
  assert not mask.any()  # one class is left, and half of one is none


def test_ignore_may_be_traced_or_none():
  label = np.array([0, 1, 2])
  loss = jax.jit(lambda void: cm.cross_entropy(LOGITS, label, void))(1)
  np.testing.assert_allclose(loss, np.log(2) * np.array([1, 0, 1]), rtol=1e-6)
  assert cm.cross_entropy(LOGITS, label, ignore=None).all()


def test_masks_of_a_batch_are_drawn_by_vmap():
  label = np.array([[[0, 1], [0, 1]], [[2, 3], [2, 3]]])
  keys = jax.random.split(KEY, 2)
  masks = jax.vmap(cm.class_mask, in_axes=(0, 0, None, None))(keys, label, 4, -1)
  single = [cm.class_mask(key, x, 4, ignore=-1) for key, x in zip(keys, label, strict=True)]
  np.testing.assert_array_equal(masks, single)
  assert masks.sum(axis=(1, 2)).tolist() == [2, 2]


@pytest.mark.parametrize(
  'dtype', [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64]
)
def test_labels_of_any_integer_dtype(dtype):
  label = np.array([0, 100, -1]).astype(dtype)  # -1 of uint8 is 255
  logits = np.zeros((3, 200), np.float32)  # more classes than int8 holds
  expected = np.log(200) * np.array([1, 1, 0])
  np.testing.assert_allclose(cm.cross_entropy(logits, label), expected, rtol=1e-6)
  assert class_ids(label, 200).tolist() == [0, 100, -1]


def test_255_is_a_class_of_300():
  label = jnp.array([255, 299, 300])
  loss = cm.cross_entropy(jnp.zeros((3, 300)), label)
  np.testing.assert_allclose(loss, np.log(300) * np.array([1, 1, 0]), rtol=1e-6)


def test_ids_beyond_32_bits_are_void():
  """In 32 bits 2**32 would be class 0."""
  label = np.array([0, 2**32, 2**32 + 1, -(2**32)])
  assert class_ids(label, C).tolist() == [0, -1, -1, -1]


def test_one_class_and_empty_arrays():
  counts = cm.confusion_matrix(np.array([0, 5]), np.array([0, 0]), 1)
  assert counts.tolist() == [[1]]  # no wrong class exists
  assert not cm.class_mask(KEY, np.zeros((2, 2), int), 1).any()
  assert cm.cross_entropy(np.zeros((0, 3), np.float32), np.zeros(0, int)).shape == (0,)
  assert cm.confusion_matrix(np.zeros(0, int), np.zeros(0, int), 2).tolist() == [[0, 0], [0, 0]]
  assert float(cm.masked_mean(np.zeros(0, np.float32), np.zeros(0, bool))) == 0
  for mask in cm.MASKS.values():
    label = jnp.zeros((0, 4), int)
    assert jax.eval_shape(lambda x, draw=mask: draw(KEY, x, 3, ignore=-1), label).shape == (0, 4)


# ------------------------------------------------------------------------- errors


def zeros(*shape, dtype=np.float32):
  return np.zeros(shape, dtype)


ERRORS = {
  'batch': (
    lambda: cm.class_mask(KEY, zeros(2, 4, 5, dtype=int), 3),
    r'\(2, 4, 5\).*\[H, W\].*jax.vmap',
  ),
  'cut': (
    lambda: cm.cut_mask(KEY, zeros(2, 4, 5, dtype=int), 3),
    r'\(2, 4, 5\).*\[H, W\].*jax.vmap',
  ),
  'cow': (lambda: cm.cow_mask(KEY, zeros(4, dtype=int), 3), r'\(4,\).*\[H, W\].*jax.vmap'),
  'float label': (
    lambda: cm.class_mask(KEY, zeros(4, 5), 3),
    'label has the dtype float32.*astype',
  ),
  'bool label': (lambda: cm.cross_entropy(zeros(4, 3), zeros(4, dtype=bool)), 'dtype bool.*astype'),
  'classes': (lambda: cm.class_mask(KEY, zeros(4, 5, dtype=int), 0), 'num_classes is 0'),
  'traced': (
    lambda: jax.jit(cm.class_mask)(KEY, zeros(4, 5, dtype=int), 3),
    'num_classes is traced.*static_argnames',
  ),
  'ignore': (
    lambda: cm.cross_entropy(zeros(4, 3), zeros(4, dtype=int), 0.5),
    'ignore has the dtype',
  ),
  'nested ignore': (
    lambda: cm.cross_entropy(zeros(4, 3), zeros(4, dtype=int), [[0, 1]]),
    r'ignore has the shape \(2,\)',
  ),
  'decay': (lambda: cm.ema_update({'w': zeros(3)}, {'w': zeros(3)}, 99), 'decay is 99.*0 to 1'),
  'classes second': (
    lambda: cm.cross_entropy(zeros(2, 3, 4, 5), zeros(2, 4, 5, dtype=int)),
    r'\(2, 3, 4, 5\).*\(2, 4, 5\).*classes come last, jnp.moveaxis\(logits, 1, -1\)',
  ),
  'classes first': (
    lambda: cm.cross_entropy(zeros(3, 4, 5), zeros(4, 5, dtype=int)),
    r'classes come last, jnp.moveaxis\(logits, 0, -1\)',
  ),
  'label with an axis': (
    lambda: cm.cross_entropy(zeros(4, 5, 3), zeros(4, 5, 1, dtype=int)),
    r'label\[..., 0\]',
  ),
  'one-hot label': (
    lambda: cm.cross_entropy(zeros(4, 5, 3), zeros(4, 5, 3, dtype=int)),
    r'jnp.argmax\(label, axis=-1\)',
  ),
  'one logit': (
    lambda: cm.cross_entropy(zeros(4, 5, 1), zeros(4, 5, dtype=int)),
    'two classes or more.*jnp.stack',
  ),
  'integer logits': (
    lambda: cm.cross_entropy(zeros(4, 3, dtype=int), zeros(4, dtype=int)),
    'logits has the dtype int64',
  ),
  'prob': (
    lambda: cm.squared_error(zeros(4, 3), zeros(4, dtype=int)),
    r'logits \(4, 3\) and prob \(4,\)',
  ),
  'scores': (
    lambda: cm.confusion_matrix(zeros(4, 3), zeros(4, dtype=int), 3),
    r'prediction \(4, 3\) and label \(4,\).*jnp.argmax',
  ),
  'float prediction': (
    lambda: cm.confusion_matrix(zeros(4), zeros(4, dtype=int), 3),
    'prediction has the dtype float32',
  ),
  'confusions': (lambda: cm.iou(zeros(2, 3, 3, dtype=int)), r'\(2, 3, 3\).*\[C, C\].*sum'),
  'no square': (lambda: cm.mean_iou(zeros(2, 3, dtype=int)), r'\(2, 3\).*\[C, C\]'),
  'fractions': (lambda: cm.iou(zeros(3, 3)), 'confusion has the dtype float32'),
  'values': (
    lambda: cm.masked_mean(zeros(2, 3), zeros(2, dtype=bool)),
    r'value \(2, 3\) and mask \(2,\)',
  ),
  'weights': (lambda: cm.masked_mean(zeros(2), zeros(2)), 'mask has the dtype float32.*bool'),
  'valid': (
    lambda: cm.confident_share(zeros(2, 3), zeros(3, dtype=bool), 0.9),
    r'confidence \(2, 3\) and valid \(3,\)',
  ),
  'one mask': (
    lambda: cm.mix(zeros(4, 5, dtype=bool), zeros(4, 5, 3)),
    r'mask.*\(4, 5\).*\[B, H, W\]',
  ),
  'soft mask': (lambda: cm.mix(zeros(2, 4, 5), zeros(2, 4, 5)), 'mask has the dtype float32.*bool'),
  'flat x': (lambda: cm.mix(zeros(2, 4, 5, dtype=bool), zeros(2, 4)), 'does not cover'),
  'channels second': (
    lambda: cm.mix(zeros(2, 4, 5, dtype=bool), zeros(2, 3, 4, 5)),
    r'channels come last, jnp.moveaxis\(x, 1, -1\)',
  ),
  'bytes': (
    lambda: cm.strong_augment(KEY, zeros(2, 4, 5, 3, dtype=np.uint8), jitter=0.2, blur=True),
    'image has the dtype uint8.*/ 255',
  ),
  'one image': (
    lambda: cm.strong_augment(KEY, zeros(4, 5, 3), jitter=0.2, blur=True),
    r'image has the shape \(4, 5, 3\).*\[B, H, W, 3\].*image\[None\]',
  ),
  'map': (lambda: cm.resize_bilinear(zeros(2, 4, 5), (8, 8)), r'\(2, 4, 5\).*\[B, h, w, C\]'),
  'ids': (
    lambda: cm.resize_bilinear(zeros(2, 4, 5, 1, dtype=int), (8, 8)),
    'x has the dtype int64.*float32',
  ),
  'side': (lambda: cm.resize_bilinear(zeros(2, 4, 5, 1), 8), r'size has the shape \(\).*\[2\]'),
  'real size': (lambda: cm.resize_bilinear(zeros(2, 4, 5, 1), (8.0, 8.0)), 'size has the dtype'),
  'iou in jit': (lambda: jax.jit(cm.iou)(zeros(2, 2, dtype=int)), 'confusion is traced'),
  'trees': (
    lambda: cm.ema_update({'w': zeros(3)}, {'w': zeros(1)}, 0.9),
    r"\['w'\] is \(3,\) in new and \(1,\) in average",
  ),
  'keys': (
    lambda: cm.ema_update({'w': zeros(3)}, {'v': zeros(3)}, 0.9),
    r"\['w'\] is \(3,\) in new and none in average",
  ),
}


@pytest.mark.parametrize('call, match', ERRORS.values(), ids=ERRORS)
def test_what_does_not_fit_is_an_error(call, match):
  with pytest.raises(ValueError, match=match):
    call()


def test_errors_come_at_trace_time():
  label = jax.ShapeDtypeStruct((2, 4, 5), jnp.int32)
  with pytest.raises(ValueError, match='jax.vmap'):
    jax.eval_shape(lambda x: cm.class_mask(KEY, x, 3), label)
  with pytest.raises(ValueError, match='classes come last'):
    jax.eval_shape(cm.cross_entropy, jax.ShapeDtypeStruct((2, 3, 4, 5), jnp.float32), label)
