"""CutMix and CutOut of French et al. (arXiv 1906.01916): mean teacher with squared errors.

    L_u = mean over pixels of w sum over classes of (softmax(S(x_mix)) - p_mix)^2

(section 3 there.) w is the confident share of the pixels. CutMix pastes a box on the next image;
CutOut erases what is outside of the box and ignores it.

Synopsis:

    method = METHODS['cutmix_french'](model, num_classes=19, distortion=1.0)
"""

import dataclasses
from typing import ClassVar

import jax

from classmix_jax.core.augment_torchvision import MODERATE, distort
from classmix_jax.core.collectives import GlobalBatch
from classmix_jax.core.erasing import erase
from classmix_jax.masks import MASKS
from classmix_jax.methods.mean_teacher import MeanTeacher
from classmix_jax.methods.options import option
from classmix_jax.methods.pseudo_label import PseudoLabel
from classmix_jax.methods.recipes import Recipes
from classmix_jax.types import Array
from classmix_jax.utils.ranges import FRACTION, NON_NEGATIVE

GRAY_PROBABILITY = 0.2  # of the color distortion

_RECIPE = {
  'batch_size': 4,
  'unlabeled_batch_size': 4,  # 8 images there, of which the teacher sees pairs
  'data.flip': True,
  'data.unlabeled': 'all',
  'eval_network': 'teacher',
  'model.bn': 'running',
  'model.preprocessing': 'imagenet',  # starts from ImageNet weights
  'optim.rule': 'adam',
  'optim.learning_rate': 3e-6,
  'optim.weight_decay': 0.0,
  'optim.power': 0.0,
  'method.exclude_padding': True,
}


@dataclasses.dataclass(frozen=True)
class FrenchCutMix(MeanTeacher):
  """`MeanTeacher` with squared errors and without augmentation of mixed images.

  Attributes:
    mask: a name of `MASKS`.
    consistency: 'mse_sum' sums squared errors over classes; others as in `MeanTeacher`.
    threshold: least probability of confident pixels.
    warm_up: whether the teacher's decay grows from 0.
    distortion: strength of the color distortion of images before they are mixed, 0 for none; 1 in
      the code of 2021, none in that of 2020.
    jitter, blur: of the mixed image.
  """

  mask: str = option('half_box', choices=MASKS)
  consistency: str = option('mse_sum', choices=('ce', 'mse', 'mse_sum'))
  threshold: float = option(0.97, FRACTION, small=0.9)
  warm_up: bool = option(False)
  distortion: float = option(0.0, NON_NEGATIVE)
  jitter: float = option(0.0, NON_NEGATIVE)
  blur: bool = option(False)

  encoded_images: ClassVar[bool] = False
  recipes: ClassVar[Recipes] = {
    'cityscapes': {**_RECIPE, 'data.crop': (256, 512)},
    'pascal_voc': {**_RECIPE, 'batch_size': 10, 'unlabeled_batch_size': 10},
  }

  def combine(
    self, mask: Array, images: PseudoLabel, key: Array, global_batch: GlobalBatch
  ) -> tuple[PseudoLabel, Array]:
    images = self.distort_images(images, key, global_batch)
    return super().combine(mask, images, key, global_batch)

  def distort_images(
    self, images: PseudoLabel, key: Array, global_batch: GlobalBatch
  ) -> PseudoLabel:
    """Distorts the colors of images that the teacher has labeled already."""
    if not self.distortion:
      return images
    image = distort(
      jax.random.fold_in(key, 2),
      images.image,
      grey=GRAY_PROBABILITY,
      jitter=[self.distortion * limit for limit in MODERATE],
      global_batch=global_batch,
    )
    return images._replace(image=image)

  def pixel_loss(self, logits: Array, mixed: PseudoLabel) -> Array:
    pixel_loss = super().pixel_loss(logits, mixed)
    return pixel_loss * self.num_classes if self.consistency == 'mse_sum' else pixel_loss


@dataclasses.dataclass(frozen=True)
class FrenchCutOut(FrenchCutMix):
  """`FrenchCutMix` that erases everything outside of the mask instead of mixing."""

  mask: str = option('any_box', choices=MASKS)

  def combine(
    self, mask: Array, images: PseudoLabel, key: Array, global_batch: GlobalBatch
  ) -> tuple[PseudoLabel, Array]:
    images = self.distort_images(images, key, global_batch)
    return images._replace(image=erase(mask, images.image)), mask
