"""S4MC: neighbouring pixels decide which pseudo-labels of a mean teacher count.

    p = softmax(T(x_u)),  n_c = max of p_c over the four neighbours          no gradient
    s = p + b n - b max(p n, p E),  b = exp(-1/2)                            core/neighbors.py
    a pixel counts if margin(s) > quantile of margin(p) at drop_fraction (1 - t / ramp_steps)
    L_u = CE(S(x_mix), argmax p_mix) summed over the counted pixels / (number of them * their share)

("Semi-Supervised Semantic Segmentation via Marginal Contextual Information", arXiv 2308.13900.)
margin is the difference of the two highest values. The labels are those of `MeanTeacher` with
CutMix; only the choice of pixels changes.

Synopsis:

    method = METHODS['s4mc'](model, num_classes=21, joint='pascal_voc')
    params, model_state, method_state = method.init(key, image)
"""

from collections.abc import Mapping
import dataclasses
from typing import ClassVar, NamedTuple

import jax.numpy as jnp

from classmix_jax.core.collectives import ALL_DEVICES, GlobalBatch
from classmix_jax.core.losses import masked_mean
from classmix_jax.core.neighbors import refine_by_neighbors, top_margin
from classmix_jax.core.quantile import global_quantile
from classmix_jax.errors import UserError
from classmix_jax.masks import MASKS
from classmix_jax.methods.mean_teacher import MeanTeacher, Targets
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.methods.recipes import UNIMATCH_CITYSCAPES, UNIMATCH_PASCAL_VOC, Recipes
from classmix_jax.types import Array, Batch, Metrics, PyTree, TrainState
from classmix_jax.utils.ranges import FRACTION_BELOW_ONE, NON_NEGATIVE, POSITIVE_COUNT

# E: how probable it is that a neighbour has the class of a pixel, measured by the authors on the
# labels of each data set, here to four digits; none for independent pixels.
JOINT: Mapping[str, tuple[float, ...]] = {
  'independent': (),
  # fmt: off
  'cityscapes': (
    0.9964,
    0.9862,
    0.9612,
    0.8320,
    0.9734,
    0.9764,
    0.9915,
    0.9967,
    0.9878,
    0.9840,
    0.9906,
    0.9906,
    0.9848,
    0.9843,
    0.9517,
    0.9894,
    0.9713,
    0.9448,
    0.9545,
  ),
  'pascal_voc': (
    0.9981,
    0.9860,
    0.9556,
    0.9888,
    0.9862,
    0.9895,
    0.9928,
    0.9900,
    0.9940,
    0.9724,
    0.9815,
    0.9922,
    0.9921,
    0.9904,
    0.9877,
    0.9891,
    0.9772,
    0.9866,
    0.9878,
    0.9948,
    0.9933,
  ),
  # fmt: on
}


class Margins(NamedTuple):
  """The differences of the two highest values of a pixel."""

  plain: Array  # [B, H, W] float32, of the probabilities
  refined: Array  # [B, H, W] float32, of the refined ones


@dataclasses.dataclass(frozen=True)
class S4MC(MeanTeacher):
  """`MeanTeacher` with the pixels whose refined margin is high.

  Attributes:
    consistency: 'refined_ce', the cross-entropy of these pixels.
    joint: E, a name of `JOINT`; 'independent' fits any data set.
    relabel: whether the label is also that of the refined probabilities.
    drop_fraction: of the pixels whose margin is too low at step 0.
    ramp_steps: steps over which that fraction falls to 0.

  Raises:
    UserError: `joint` is that of a data set with other classes.
  """

  mask: str = option('cut', choices=MASKS)
  consistency: str = option('refined_ce', choices=('refined_ce',))
  joint: str = option('independent', choices=JOINT)
  relabel: bool = option(False)
  drop_fraction: float = option(0.4, FRACTION_BELOW_ONE)
  ramp_steps: int = option(40_000, POSITIVE_COUNT, small=3_000)
  jitter: float = option(0.0, NON_NEGATIVE)
  blur: bool = option(False)

  recipes: ClassVar[Recipes] = {
    'cityscapes': {**UNIMATCH_CITYSCAPES, 'model.output_stride': 8, 'method.joint': 'cityscapes'},
    'pascal_voc': {
      **UNIMATCH_PASCAL_VOC,
      'data.crop': (513, 513),
      'eval.pad': (),
      'model.output_stride': 8,
      'method.joint': 'pascal_voc',
    },
  }

  def __post_init__(self):
    super().__post_init__()
    count = len(JOINT[self.joint])
    if count not in (0, self.num_classes):
      raise UserError(
        f'config.method.joint is {self.joint!r}, which has {count} classes, but the data set has '
        f'{self.num_classes}: choose independent.'
      )

  def combine(
    self, mask: Array, images: PseudoLabel, key: Array, global_batch: GlobalBatch
  ) -> tuple[PseudoLabel, Array]:
    """Mixes the images with labels and margins."""
    assert images.prob is not None  # kept for all losses but 'ce'
    score = refine_by_neighbors(images.prob, jnp.array(JOINT[self.joint] or 0.0))
    label = jnp.argmax(score, axis=-1).astype(jnp.int32) if self.relabel else images.label
    margins = Margins(top_margin(images.prob), top_margin(score))
    images = images._replace(label=label, prob=None, extra=margins)
    return super().combine(mask, images, key, global_batch)

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[Targets, PyTree, Metrics]:
    targets, model_state, metrics = super().targets(state, batch, key)
    margins, valid = targets.mixed.extra, targets.mixed.valid
    drop = self.drop_fraction * jnp.maximum(1 - state.step / self.ramp_steps, 0.0)
    least = global_quantile(margins.plain, valid, drop, ALL_DEVICES)
    counts = (margins.refined > least).astype(jnp.float32)
    share = ALL_DEVICES.mean(masked_mean(counts, valid, ALL_DEVICES))
    # The loss is divided by the number of valid pixels: one share makes it a mean over the
    # counted ones, the other is the factor of the published code.
    weight = counts / jnp.maximum(share**2, 1e-12)
    return targets._replace(weight=weight), model_state, {**metrics, 'confident_share': share}
