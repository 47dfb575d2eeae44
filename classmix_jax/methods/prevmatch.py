"""PrevMatch: former students label the strong views of UniMatch, too (arXiv 2405.20610).

    y', p' = argmax, max of softmax(sum of w_i P_i(x_u))       P_i: 1 to 3 of the last K snapshots
    w ~ Dirichlet(1, ..., 1)
    L'_view = mean over pixels of [p' >= tau'] CE(S(view(x_u)), y'), and L'_fp alike
    L = (L_sup + U + lambda U') / (2 + lambda),  U = the unsupervised terms of UniMatch

lambda rises from 0 to 1 over `ramp_steps` and falls to 0 over as many. A snapshot of the student
is stored every `snapshot_every` steps and replaces the oldest of K. Before the first, lambda is 0.

Synopsis:

    method = METHODS['prevmatch'](model, num_classes=21, num_snapshots=8)
    params, model_state, method_state = method.init(key, image)
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple, cast

import jax
from jax import lax
import jax.numpy as jnp
from jaxtyping import Float32, Int32, Integer

from classmix_jax.core.collectives import ALL_DEVICES
from classmix_jax.core.frozen import merge_params, split_params
from classmix_jax.core.losses import cross_entropy, masked_mean
from classmix_jax.core.microbatch import concatenate, fold_micro_batches
from classmix_jax.core.resize import get_size
from classmix_jax.core.tiling import per_pixel, top_class
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.methods.recipes import UNIMATCH_CITYSCAPES, UNIMATCH_PASCAL_VOC, Recipes
from classmix_jax.methods.unimatch import Counted, UniMatch
from classmix_jax.methods.views import View, view_label
from classmix_jax.models.segmenter import forward, to_unit_range
from classmix_jax.types import Array, ArraySpec, Batch, Example, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import FRACTION, POSITIVE_COUNT


class Ensemble(NamedTuple):
  """The snapshots of a step."""

  params: PyTree  # with a leading axis of members, without frozen parameters
  frozen: PyTree  # of all members
  batch_stats: PyTree  # running statistics, alike
  weights: Array  # [members] float32, sum up to 1, or to 0 without snapshots
  guidance: Array  # lambda, a float32 scalar


class PreviousLabel(NamedTuple):
  """The ensemble's label of images, beside that of the student."""

  label: Array  # [B, H, W] int32
  weight: Array  # [B, H, W] float32, lambda at confident pixels, else 0


def draw_members(
  key: Array, num_stored: Integer[Array, ''], num_slots: int, most: int
) -> tuple[Int32[Array, ' members'], Float32[Array, ' members']]:
  """Draws 1 to `most` of the stored snapshots, without replacement, and their weights.

  Args:
    key: random key.
    num_stored: number of snapshots in the first slots, at most `num_slots`.
    num_slots: K.
    most: number of members, M.

  Returns:
    `(slots [M], weights [M])`. The weights are uniform on the simplex; 0 beyond the drawn number.
  """
  slot_key, count_key, weight_key = jax.random.split(key, 3)
  # The order of uniform variates is a random permutation; empty slots come last.
  order = jnp.where(
    jnp.arange(num_slots) < num_stored, jax.random.uniform(slot_key, (num_slots,)), -1
  )
  slots = lax.top_k(order, most)[1]
  count = jnp.minimum(jax.random.randint(count_key, (), 1, most + 1), num_stored)
  # Normalised exponential variates have the distribution Dirichlet(1, ..., 1).
  weights = jnp.where(jnp.arange(most) < count, jax.random.exponential(weight_key, (most,)), 0.0)
  return slots, weights / jnp.maximum(jnp.sum(weights), 1e-12)


@dataclasses.dataclass(frozen=True)
class PrevMatch(UniMatch):
  """`UniMatch` with the labels of former students beside its own.

  Attributes:
    previous_threshold: tau', least probability of the ensemble's confident pixels.
    num_snapshots: K; the state grows by K times the trained parameters.
    snapshot_every: steps between two snapshots.
    max_members: largest number of snapshots that label a step.
    ramp_steps: steps until lambda is 1; half of the training run in the publication.
  """

  previous_threshold: float = option(0.9, FRACTION)
  num_snapshots: int = option(8, POSITIVE_COUNT)
  snapshot_every: int = option(500, POSITIVE_COUNT, small=100)
  max_members: int = option(3, POSITIVE_COUNT)
  ramp_steps: int = option(20_000, POSITIVE_COUNT, small=1_500)

  recipes: ClassVar[Recipes] = {
    'cityscapes': {
      **UNIMATCH_CITYSCAPES,
      'method.threshold': 0.0,
      'method.previous_threshold': 0.0,
    },
    'pascal_voc': UNIMATCH_PASCAL_VOC,
  }

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    """The slots start with copies of the student, which have no weight until they are replaced."""
    params, model_state, _ = super().init(key, image)
    trainable, _ = split_params(params['segmenter'], self.model.is_frozen)
    stacks = jax.tree.map(
      lambda x: jnp.tile(x[None], (self.num_snapshots, *[1] * x.ndim)),
      {'snapshots': trainable, 'snapshot_statistics': model_state['segmenter']},
    )
    return params, model_state, {**stacks, 'pushes': jnp.int32(0)}

  def finish(self, state: TrainState) -> PyTree:
    """Stores the student in the slot of the oldest snapshot if one is due."""
    ring = state.method_state
    student, _ = split_params(state.params['segmenter'], self.model.is_frozen)
    due = (state.step + 1) % self.snapshot_every == 0
    slot = ring['pushes'] % self.num_snapshots

    def put(stack: Array, new: Array) -> Array:
      # A dynamic slice: a scatter would be sorted on GPUs if runs are deterministic.
      return lax.dynamic_update_index_in_dim(stack, jnp.where(due, new, stack[slot]), slot, 0)

    return {
      'snapshots': jax.tree.map(put, ring['snapshots'], student),
      'snapshot_statistics': jax.tree.map(
        put, ring['snapshot_statistics'], state.model_state['segmenter']
      ),
      'pushes': ring['pushes'] + due,
    }

  def draw_ensemble(self, state: TrainState, key: Array) -> Ensemble:
    """Returns the snapshots that label this step, equal on all devices."""
    ring = state.method_state
    stored = jnp.minimum(ring['pushes'], self.num_snapshots)
    most = min(self.max_members, self.num_snapshots)
    slots, weights = draw_members(key, stored, self.num_snapshots, most)
    params, batch_stats = jax.tree.map(
      lambda x: x[slots], (ring['snapshots'], ring['snapshot_statistics'])
    )
    _, frozen = split_params(state.params['segmenter'], self.model.is_frozen)
    ramp = jnp.maximum(1 - jnp.abs(state.step / self.ramp_steps - 1), 0.0)
    return Ensemble(params, frozen, batch_stats, weights, jnp.where(stored > 0, ramp, 0.0))

  def with_ensemble(self, state: TrainState, key: Array) -> TrainState:
    """Returns a state for `pseudo_label`, with an ensemble in place of the slots."""
    return state.replace(method_state=self.draw_ensemble(state, jax.random.fold_in(key, 2)))

  def ensemble_label(self, ensemble: Ensemble, example: Example) -> tuple[Array, Array]:
    """Labels images `[A, b, ...]` in evaluation mode: classes and confidences `[A b, H, W]`."""

    def label(parts: tuple, example: Example) -> tuple:
      image = to_unit_range(example.image)

      def weighted_logits(member: int) -> Array:
        stacks = ensemble.params, ensemble.batch_stats, ensemble.weights
        params, batch_stats, weight = jax.tree.map(lambda x: x[member], stacks)
        params = merge_params(params, ensemble.frozen)
        logits, _ = forward(self.model, params, batch_stats, image, train=False, upsample=False)
        return weight * logits

      logits = cast(Array, sum(map(weighted_logits, range(len(ensemble.weights)))))
      return (*parts, per_pixel(top_class, logits, size=get_size(image)))

    parts = fold_micro_batches(label, (), example)
    return concatenate(parts)

  def pseudo_label(self, state: TrainState, example: Example) -> PseudoLabel:
    """Labels the images by the student and by the ensemble, see `with_ensemble`."""
    ensemble = state.method_state
    label, confidence = self.ensemble_label(ensemble, example)
    weight = ensemble.guidance * (confidence >= self.previous_threshold)
    return super().pseudo_label(state, example)._replace(extra=PreviousLabel(label, weight))

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Any, PyTree, Metrics]:
    """Returns `(unimatch.Targets, lambda [A])` as targets."""
    state = self.with_ensemble(state, key)
    targets, model_state, metrics = super().targets(state, batch, key)
    weak, guidance = targets.weak.images, state.method_state.guidance
    counts = (weak.extra.weight > 0).astype(jnp.float32)
    share = ALL_DEVICES.mean(masked_mean(counts, weak.valid, ALL_DEVICES))
    guidances = jnp.broadcast_to(guidance, len(batch.unlabeled.image))
    metrics = {**metrics, 'guidance': guidance, 'previous_confident_share': share}
    return (targets, guidances), model_state, metrics

  def matching_loss(self, logits: Array, counted: Counted) -> Array:
    """Returns the loss of both labels, lambda times that of the ensemble's."""
    images = counted.images

    def pixel_loss(
      logits: Array, label: Array, confidence: Array, previous_label: Array, previous_weight: Array
    ) -> Array:
      loss = (confidence >= self.threshold) * cross_entropy(logits, label)
      return loss + previous_weight * cross_entropy(logits, previous_label)

    loss = per_pixel(pixel_loss, logits, images.label, images.confidence, *images.extra)
    return masked_mean(loss, images.valid, count=counted.num_pixels)

  def loss(
    self, params: PyTree, model_state: PyTree, targets: Any
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    unimatch_targets, guidance = targets
    loss, aux = super().loss(params, model_state, unimatch_targets)
    return loss * 2 / (2 + guidance), aux

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[View, ...]:
    state_with_ensemble = self.with_ensemble(state, key)
    first = jax.tree.map(lambda x: x[:1], batch.unlabeled)
    label, weight = self.pseudo_label(state_with_ensemble, first).extra
    return (
      *super().views(state_with_ensemble, batch, key),
      view_label(
        'pseudo-label of the image without label, by former students',
        label,
        first.valid[0],
        weight > 0,
      ),
    )
