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

from classmix_jax.core.augment_kornia import strong_augment
from classmix_jax.core.augment_torchvision import MODERATE, distort
from classmix_jax.core.collectives import example_keys
from classmix_jax.core.ema import ema_decay, ema_update
from classmix_jax.core.losses import cross_entropy, device_count, masked_mean, squared_error
from classmix_jax.core.microbatch import divided
from classmix_jax.core.mixing import erase, mix
from classmix_jax.core.pixel_weights import WEIGHTS, confident_share
from classmix_jax.core.tiling import per_pixel
from classmix_jax.masks import MASKS
from classmix_jax.methods.labeled_loss import Labeled
from classmix_jax.methods.pseudo_label import PseudoLabel, class_metrics, pseudo_label
from classmix_jax.methods.supervised import Supervised, check_choices
from classmix_jax.methods.teacher import teacher_network, with_teacher
from classmix_jax.models.segmenter import forward, forward_in_order, to_unit_range
from classmix_jax.types import AXIS, Array, Batch, Example, Metrics, PyTree

GREY = 0.2  # how often the distortion of French et al. takes all colour
CONSISTENCIES = ('ce', 'mse', 'mse_sum')


class Consistency(NamedTuple):
  """What the student learns from the mixed batch; one micro-batch has no axis A.

  Attributes:
    mixed: `[A, b, ...]`, `prob` only where the loss needs it.
    weight: `[A, b, H, W]` float32, of each pixel.
    count: `[A]` float32, `device_count` of the valid pixels of the whole batch.
  """

  mixed: PseudoLabel
  weight: Array
  count: Array


class Targets(NamedTuple):
  """What the student learns from."""

  labeled: Labeled
  unlabeled: Consistency


@dataclasses.dataclass(frozen=True)
class MeanTeacher(Supervised):
  """Consistency with a mean teacher on mixed images.

  Attributes:
    mask: a name of `MASKS`: what is cut out.
    paste: whether the next image fills what is cut out; else it is erased and not learned,
      which is CutOut.
    consistency: 'ce' with the mixed pseudo-label, 'mse' with the mixed probabilities, averaged
      over classes (always weighted by the confident share, as in the original), or 'mse_sum',
      summed over classes (French et al.).
    pixel_weight: a name of `WEIGHTS`, not for 'mse'.
    threshold: probability from which a pixel counts as confident.
    ramp_steps: until the pixel weight 'sigmoid' is 1.
    lambda_u: weight of L_u.
    max_decay: largest decay of the teacher's average.
    warm_up: whether the decay starts at 0 and grows to `max_decay`.
    distortion: strength of the colour distortion of the student's images before they are
      mixed, 0 for none; French et al. have 1 in 2021, none in 2020.
    jitter: strength of the colour jitter of the mixed image, 0 for none.
    blur: whether the mixed image is sometimes blurred.
    exclude_padding: whether padding of unlabelled crops is kept out of L_u
      (the original lets the teacher label it).
  """

  mask: str = 'class'
  paste: bool = True
  consistency: str = 'ce'
  pixel_weight: str = 'threshold_uniform'
  threshold: float = 0.968
  ramp_steps: int = 10_000
  lambda_u: float = 1.0
  max_decay: float = 0.99
  warm_up: bool = True
  distortion: float = 0.0
  jitter: float = 0.25
  blur: bool = True
  exclude_padding: bool = True

  def __post_init__(self):
    super().__post_init__()
    check_choices(self, mask=MASKS, consistency=CONSISTENCIES, pixel_weight=WEIGHTS)

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    """The teacher starts as a copy of the student."""
    params, model_state, _ = super().init(key, image)
    return with_teacher(params, model_state)

  def mixed_batch(
    self, teacher: PyTree, batch_stats: PyTree, example: Example, key: Array
  ) -> tuple[PseudoLabel, Array, PyTree]:
    """Lets the teacher label the images, then mixes images and labels alike, and augments.

    The teacher normalises by the statistics of *these* images, as in the
    original; its running statistics only follow along.

    Args:
      teacher: parameters.
      batch_stats: the teacher's running statistics.
      example: this device's share of the unlabelled batch, `[A, b, ...]`.
      key: the step's, equal on all devices.

    Returns:
      The mixed images, flat; `[A b, H, W]` bool, what of them is learned; and the
      teacher's new running statistics.
    """
    mask_key, augment_key = jax.random.split(key)
    place = dict(axis_name=AXIS, micro_batches=len(example.image))
    found, batch_stats = pseudo_label(
      self.model,
      teacher,
      batch_stats,
      example,
      train=True,
      exclude_padding=self.exclude_padding,
      keep_prob=self.consistency != 'ce',
    )
    keys = example_keys(mask_key, len(found.image), **place)
    mask = jax.vmap(MASKS[self.mask], in_axes=(0, 0, None))(keys, found.label, self.num_classes)
    if self.distortion > 0:
      found = found._replace(
        image=distort(
          jax.random.fold_in(key, 2),
          found.image,
          grey=GREY,
          jitter=[self.distortion * limit for limit in MODERATE],
          **place,
        )
      )
    if self.paste:
      mixed, learned = jax.tree.map(lambda x: mix(mask, x, **place), found), jnp.ones_like(mask)
    else:
      mixed, learned = found._replace(image=erase(mask, found.image)), mask
    image = strong_augment(augment_key, mixed.image, jitter=self.jitter, blur=self.blur, **place)
    return mixed._replace(image=image), learned, batch_stats

  def weighted(
    self, mixed: PseudoLabel, learned: Array, step: Array, micro_batches: int
  ) -> tuple[Consistency, Metrics]:
    """Weighs the pixels of a mixed batch, and divides it into micro-batches."""
    valid = mixed.valid
    count = device_count(valid, AXIS)
    share = confident_share(mixed.confidence, valid, self.threshold, AXIS)
    name = 'threshold_uniform' if self.consistency == 'mse' else self.pixel_weight
    weight = learned * WEIGHTS[name](
      mixed.confidence, valid, step / self.ramp_steps, self.threshold, AXIS
    )
    mixed, weight = divided((mixed, weight), micro_batches)
    consistency = Consistency(mixed, weight, jnp.broadcast_to(count, micro_batches))
    return consistency, {'confident_share': share}

  def targets(
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
  ) -> tuple[Targets, PyTree, Metrics]:
    del params
    mixed, learned, teacher_stats = self.mixed_batch(
      method_state['teacher'], model_state['teacher'], batch.unlabeled, key
    )
    unlabeled, metrics = self.weighted(mixed, learned, step, len(batch.unlabeled.image))
    classes = class_metrics(batch.labeled, mixed.label, mixed.valid, self.num_classes)
    targets = Targets(self.labeled_loss.targets(batch.labeled), unlabeled)
    return targets, {**model_state, 'teacher': teacher_stats}, {**metrics, **classes}

  def consistency_loss(self, logits: Array, target: Consistency) -> Array:
    """Returns L_u of one micro-batch, to be summed over them; logits may be smaller."""
    mixed = target.mixed
    if self.consistency == 'ce':
      pixel_loss = per_pixel(cross_entropy, logits, mixed.label)
    else:
      pixel_loss = per_pixel(squared_error, logits, mixed.prob)
    if self.consistency == 'mse_sum':
      pixel_loss *= self.num_classes
    return masked_mean(target.weight * pixel_loss, mixed.valid, count=target.count)

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Targets
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Labelled images pass the student before mixed ones, as in the original."""
    images = to_unit_range(targets.labeled.image), targets.unlabeled.mixed.image
    (labeled, mixed), batch_stats = forward_in_order(
      self.model, params['segmenter'], model_state['segmenter'], images, upsample=False
    )
    loss_sup = self.labeled_loss(labeled, targets.labeled)
    loss_unsup = self.consistency_loss(mixed, targets.unlabeled)
    loss = loss_sup + self.lambda_u * loss_unsup
    metrics = {'loss/sup': loss_sup, 'loss/unsup': loss_unsup}
    return loss, ({**model_state, 'segmenter': batch_stats}, metrics)

  def finish(self, params: PyTree, method_state: PyTree, step: Array) -> PyTree:
    """Moves the teacher towards the student."""
    decay = ema_decay(step, self.max_decay) if self.warm_up else self.max_decay
    return {'teacher': ema_update(params['segmenter'], method_state['teacher'], decay)}

  def networks(
    self, params: PyTree, model_state: PyTree, method_state: PyTree
  ) -> Mapping[str, PyTree]:
    return {
      **super().networks(params, model_state, method_state),
      **teacher_network(model_state, method_state),
    }

  def views(
    self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    student, batch_stats = params['segmenter'], model_state['segmenter']
    mixed, _, _ = self.mixed_batch(
      method_state['teacher'], model_state['teacher'], batch.unlabeled, key
    )
    mixed = jax.tree.map(lambda x: x[: batch.unlabeled.image.shape[1]], mixed)
    logits, _ = forward(self.model, student, batch_stats, mixed.image, train=False)
    return {
      **super().views(params, model_state, method_state, batch, key),
      'unlabeled': to_unit_range(batch.unlabeled.image[0]),
      'mixed': mixed.image,
      'mixed_pseudo_label': mixed.label,
      'mixed_prediction': jnp.argmax(logits, axis=-1),
    }
