"""The mean teacher on mixed images: ClassMix, CutMix, CowMix, and unmixed.

L = L_sup + lambda_u L_u (arXiv 2007.07936, equation 1 and section 3.2):

    p = softmax(T(x_u))                              teacher, no gradient
    M = mask(argmax p)                               masks/
    x_mix = M x_u + (1 - M) next(x_u),  p_mix alike  core/mixing.py
    L_u = mean over pixels of w CE(S(augment(x_mix)), argmax p_mix)

Synopsis:

    method = METHODS['classmix'](model, num_classes=19, lambda_u=1.0)
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import NamedTuple

import jax
from jax import lax
import jax.numpy as jnp

from classmix_jax.core.augment import strong_augment
from classmix_jax.core.collectives import example_keys
from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.core.losses import cross_entropy, masked_mean, squared_error
from classmix_jax.core.mixing import mix
from classmix_jax.core.weights import WEIGHTS, confident_share
from classmix_jax.masks import MASKS
from classmix_jax.methods.supervised import labeled_views, supervised_loss
from classmix_jax.models.segmenter import Segmenter, forward, initialize, to_unit_range
from classmix_jax.types import AXIS, Array, Batch, Example, Metrics, PyTree, UserError

CONSISTENCIES = ('ce', 'mse')


class Mixed(NamedTuple):
  """What the student learns from the unlabelled batch.

  Attributes:
    image: `[B, H, W, 3]` float32 in 0..1, mixed and augmented.
    prob: `[B, H, W, C]` float32, the teacher's mixed probabilities.
    valid: `[B, H, W]` bool, False where padding was mixed in.
  """

  image: Array
  prob: Array
  valid: Array


@dataclasses.dataclass(frozen=True)
class MeanTeacher:
  """Consistency with a mean teacher on mixed images.

  Attributes:
    model: the network of student and teacher.
    num_classes: C.
    mask: a name of `MASKS`: what is cut out.
    consistency: 'ce' with the mixed pseudo-label, or 'mse' with the mixed
      probabilities (always weighted by the confident share, as in the original).
    pixel_weight: a name of `WEIGHTS`, for 'ce'.
    threshold: probability from which a pixel counts as confident.
    lambda_u: weight of L_u.
    max_decay: largest decay of the teacher's average.
    jitter: strength of the colour jitter of the mixed image, 0 for none.
    blur: whether the mixed image is sometimes blurred.
    exclude_padding: whether padding of unlabelled crops is kept out of L_u
      (the original lets the teacher label it).
  """

  model: Segmenter
  num_classes: int
  mask: str = 'class'
  consistency: str = 'ce'
  pixel_weight: str = 'threshold_uniform'
  threshold: float = 0.968
  lambda_u: float = 1.0
  max_decay: float = 0.99
  jitter: float = 0.25
  blur: bool = True
  exclude_padding: bool = True

  def __post_init__(self):
    choices = {'mask': MASKS, 'consistency': CONSISTENCIES, 'pixel_weight': WEIGHTS}
    for field, known in choices.items():
      if getattr(self, field) not in known:
        raise UserError(
            f'config.method.{field} is {getattr(self, field)!r}; choose one of {", ".join(known)}.')

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    """The teacher starts as a copy of the student."""
    params, batch_stats = initialize(self.model, key, image)
    return (
        {'segmenter': params},
        {'segmenter': batch_stats, 'teacher': batch_stats},
        {'teacher': params},
    )

  def mixed_batch(
      self, teacher: PyTree, batch_stats: PyTree, example: Example, key: Array
  ) -> tuple[Mixed, PyTree]:
    """Lets the teacher label the images, then mixes images and labels alike.

    The teacher normalises by the statistics of *this* batch, as in the
    original; its running statistics only follow along.

    Args:
      teacher: parameters.
      batch_stats: the teacher's running statistics.
      example: this device's share of the unlabelled batch.
      key: the step's key, equal on all devices.

    Returns:
      The mixed batch and the teacher's new running statistics.
    """
    mask_key, augment_key = jax.random.split(key)
    image = to_unit_range(example.image)
    logits, batch_stats = forward(self.model, teacher, batch_stats, image, train=True)
    prob = jax.nn.softmax(logits)
    keys = example_keys(mask_key, image.shape[0], AXIS)
    mask = jax.vmap(MASKS[self.mask], in_axes=(0, 0, None))(
        keys, jnp.argmax(prob, axis=-1), self.num_classes)
    mixed = Mixed(*(mix(mask, x, AXIS) for x in (image, prob, example.valid)))
    augmented = strong_augment(
        augment_key, mixed.image, jitter=self.jitter, blur=self.blur, axis_name=AXIS)
    return lax.stop_gradient(mixed._replace(image=augmented)), batch_stats

  def consistency_loss(self, logits: Array, mixed: Mixed, step: Array) -> tuple[Array, Metrics]:
    """Returns L_u of this device and its metrics, inside `pmap`."""
    confidence = jnp.max(mixed.prob, axis=-1)
    valid = mixed.valid if self.exclude_padding else jnp.ones_like(mixed.valid)
    share = confident_share(confidence, valid, self.threshold, AXIS)
    if self.consistency == 'mse':
      loss = share * masked_mean(squared_error(logits, mixed.prob), valid, AXIS)
    else:
      weight = WEIGHTS[self.pixel_weight](confidence, valid, step, self.threshold, AXIS)
      pixel_loss = cross_entropy(logits, jnp.argmax(mixed.prob, axis=-1))
      loss = masked_mean(weight * pixel_loss, valid, AXIS)
    return loss, {'loss/unsup': loss, 'confident_share': share}

  def loss(
      self, params: PyTree, model_state: PyTree, method_state: PyTree,
      batch: Batch, key: Array, step: Array,
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled and mixed images pass the student one after the other, as in the original."""
    student = params['segmenter']
    loss_sup, batch_stats = supervised_loss(
        self.model, student, model_state['segmenter'], batch.labeled)
    mixed, teacher_stats = self.mixed_batch(
        method_state['teacher'], model_state['teacher'], batch.unlabeled, key)
    logits, batch_stats = forward(self.model, student, batch_stats, mixed.image, train=True)
    loss_unsup, metrics = self.consistency_loss(logits, mixed, step)
    model_state = {'segmenter': batch_stats, 'teacher': teacher_stats}
    loss = loss_sup + self.lambda_u * loss_unsup
    return loss, (model_state, {'loss/sup': loss_sup, **metrics})

  def finish(self, params: PyTree, method_state: PyTree, step: Array) -> PyTree:
    """Moves the teacher towards the student."""
    decay = ema_decay(step, self.max_decay)
    return {'teacher': ema_update(params['segmenter'], method_state['teacher'], decay)}

  def networks(
      self, params: PyTree, model_state: PyTree, method_state: PyTree
  ) -> Mapping[str, PyTree]:
    return {
        'student': {'params': params['segmenter'], 'batch_stats': model_state['segmenter']},
        'teacher': {'params': method_state['teacher'], 'batch_stats': model_state['teacher']},
    }

  def views(
      self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    student, batch_stats = params['segmenter'], model_state['segmenter']
    mixed, _ = self.mixed_batch(
        method_state['teacher'], model_state['teacher'], batch.unlabeled, key)
    logits, _ = forward(self.model, student, batch_stats, mixed.image, train=False)
    return {
        **labeled_views(self.model, student, batch_stats, batch.labeled),
        'unlabeled': to_unit_range(batch.unlabeled.image),
        'mixed': mixed.image,
        'mixed_pseudo_label': jnp.argmax(mixed.prob, axis=-1),
        'mixed_prediction': jnp.argmax(logits, axis=-1),
    }
