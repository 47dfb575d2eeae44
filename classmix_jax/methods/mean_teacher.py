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
import jax.numpy as jnp

from classmix_jax.core.accumulation import divided, in_turn
from classmix_jax.core.augment import strong_augment
from classmix_jax.core.collectives import example_keys
from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean, squared_error
from classmix_jax.core.mixing import mix
from classmix_jax.core.weights import WEIGHTS, confident_share
from classmix_jax.masks import MASKS
from classmix_jax.methods.supervised import (
  Labeled,
  labeled_targets,
  labeled_views,
  supervised_loss,
)
from classmix_jax.models.segmenter import Segmenter, forward, initialize, to_unit_range
from classmix_jax.types import AXIS, Array, Batch, Example, Metrics, PyTree, UserError

CONSISTENCIES = ('ce', 'mse')


class Mixed(NamedTuple):
  """The unlabelled batch after the teacher has labelled it, mixed; B is all of a device.

  Attributes:
    image: `[B, H, W, 3]` float32 in 0..1, augmented.
    label: `[B, H, W]` int32, the teacher's classes.
    confidence: `[B, H, W]` float32, the probability of that class.
    prob: `[B, H, W, C]` float32, all probabilities; None unless the loss needs them.
    valid: `[B, H, W]` bool, False where padding was mixed in and is kept out.
  """

  image: Array
  label: Array
  confidence: Array
  prob: Array | None
  valid: Array


class Consistency(NamedTuple):
  """What the student learns from the mixed batch; one micro-batch has no axis A.

  Attributes:
    mixed: see `Mixed`, `[A, b, ...]`.
    weight: `[A, b, H, W]` float32, of each pixel.
    count: `[A]` float32, `device_count` of the valid pixels of the whole batch.
  """

  mixed: Mixed
  weight: Array
  count: Array


class Targets(NamedTuple):
  """What the student learns from."""

  labeled: Labeled
  unlabeled: Consistency


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

  def teach(
      self, teacher: PyTree, batch_stats: PyTree, example: Example
  ) -> tuple[Mixed, PyTree]:
    """Lets the teacher label the images, micro-batch after micro-batch; nothing is mixed yet.

    The teacher normalises by the statistics of *these* images, as in the
    original; its running statistics only follow along.

    Args:
      teacher: parameters.
      batch_stats: the teacher's running statistics.
      example: this device's share of the unlabelled batch, `[A, b, ...]`.

    Returns:
      The labelled images, flat, and the teacher's new running statistics.
    """
    def label(teacher: PyTree, carry: tuple, example: Example) -> tuple:
      found, batch_stats = carry
      image = to_unit_range(example.image)
      logits, batch_stats = forward(self.model, teacher, batch_stats, image, train=True)
      prob = jax.nn.softmax(logits)
      valid = example.valid if self.exclude_padding else jnp.ones_like(example.valid)
      labeled = Mixed(
          image, jnp.argmax(prob, axis=-1), jnp.max(prob, axis=-1),
          prob if self.consistency == 'mse' else None, valid)
      return (*found, labeled), batch_stats

    found, batch_stats = in_turn(label, teacher, ((), batch_stats), example)
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *found), batch_stats

  def mixed_batch(
      self, teacher: PyTree, batch_stats: PyTree, example: Example, key: Array
  ) -> tuple[Mixed, PyTree]:
    """Lets the teacher label the images, then mixes images and labels alike, and augments.

    Args and result are those of `teach`; `key` is the step's, equal on all devices.
    """
    mask_key, augment_key = jax.random.split(key)
    place = dict(axis_name=AXIS, micro_batches=len(example.image))
    found, batch_stats = self.teach(teacher, batch_stats, example)
    keys = example_keys(mask_key, len(found.image), **place)
    mask = jax.vmap(MASKS[self.mask], in_axes=(0, 0, None))(keys, found.label, self.num_classes)
    mixed = jax.tree.map(lambda x: mix(mask, x, **place), found)
    image = strong_augment(
        augment_key, mixed.image, jitter=self.jitter, blur=self.blur, **place)
    return mixed._replace(image=image), batch_stats

  def weighted(
      self, mixed: Mixed, step: Array, micro_batches: int
  ) -> tuple[Consistency, Metrics]:
    """Weighs the pixels of a mixed batch, and divides it into micro-batches."""
    valid = mixed.valid
    count = device_count(valid, AXIS)
    share = confident_share(mixed.confidence, valid, self.threshold, AXIS)
    name = 'threshold_uniform' if self.consistency == 'mse' else self.pixel_weight
    weight = WEIGHTS[name](mixed.confidence, valid, step, self.threshold, AXIS)
    mixed, weight = divided((mixed, weight), micro_batches)
    consistency = Consistency(mixed, weight, jnp.broadcast_to(count, micro_batches))
    return consistency, {'confident_share': share}

  def targets(
      self, params: PyTree, model_state: PyTree, method_state: PyTree,
      batch: Batch, key: Array, step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    del params
    mixed, teacher_stats = self.mixed_batch(
        method_state['teacher'], model_state['teacher'], batch.unlabeled, key)
    unlabeled, metrics = self.weighted(mixed, step, len(batch.unlabeled.image))
    targets = Targets(labeled_targets(batch.labeled), unlabeled)
    return targets, {**model_state, 'teacher': teacher_stats}, metrics

  def consistency_loss(self, logits: Array, target: Consistency) -> Array:
    """Returns L_u of one micro-batch, to be summed over them."""
    mixed = target.mixed
    if self.consistency == 'mse':
      pixel_loss = squared_error(logits, mixed.prob)
    else:
      pixel_loss = cross_entropy(logits, mixed.label)
    return masked_mean(target.weight * pixel_loss, mixed.valid, count=target.count)

  def loss(
      self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled and mixed images pass the student one after the other, as in the original."""
    student, mixed = params['segmenter'], targets.unlabeled.mixed
    loss_sup, batch_stats = supervised_loss(
        self.model, student, model_state['segmenter'], targets.labeled)
    logits, batch_stats = forward(self.model, student, batch_stats, mixed.image, train=True)
    loss_unsup = self.consistency_loss(logits, targets.unlabeled)
    loss = loss_sup + self.lambda_u * loss_unsup
    metrics = {'loss/sup': loss_sup, 'loss/unsup': loss_unsup}
    return loss, ({**model_state, 'segmenter': batch_stats}, metrics)

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
    mixed = jax.tree.map(lambda x: x[:batch.unlabeled.image.shape[1]], mixed)
    logits, _ = forward(self.model, student, batch_stats, mixed.image, train=False)
    return {
        **labeled_views(self.model, student, batch_stats, batch.labeled),
        'unlabeled': to_unit_range(batch.unlabeled.image[0]),
        'mixed': mixed.image,
        'mixed_pseudo_label': mixed.label,
        'mixed_prediction': jnp.argmax(logits, axis=-1),
    }
