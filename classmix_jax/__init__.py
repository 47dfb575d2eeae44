"""Semi-supervised semantic segmentation in JAX: ClassMix and its relatives.

    import classmix_jax as cm

    trained = cm.load('RUN')                          # a run of launch/main.py
    label, confidence = trained.predict('photo.jpg')

Pure functions for other training loops, all of which may be jitted:

    mask = cm.class_mask(key, pseudo_label, num_classes)
    mixed = cm.mix(mask, image)
    loss = cm.masked_mean(cm.cross_entropy(logits, label), label != cm.VOID)
    teacher = cm.ema_update(student, teacher, cm.ema_decay(step))

docs/api.md has a page of them. Reading order for a newcomer: `types.py`, `masks/class_mask.py`,
`core/mixing.py`, `methods/mean_teacher.py`, `training/step.py`.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = '0.1.0'

if TYPE_CHECKING:  # `as` makes a name public
  from classmix_jax.core.augment_kornia import strong_augment as strong_augment
  from classmix_jax.core.collectives import GlobalBatch as GlobalBatch
  from classmix_jax.core.ema import ema_decay as ema_decay
  from classmix_jax.core.ema import ema_update as ema_update
  from classmix_jax.core.losses import cross_entropy as cross_entropy
  from classmix_jax.core.losses import masked_mean as masked_mean
  from classmix_jax.core.losses import squared_error as squared_error
  from classmix_jax.core.metrics import confusion_matrix as confusion_matrix
  from classmix_jax.core.metrics import iou as iou
  from classmix_jax.core.metrics import mean_iou as mean_iou
  from classmix_jax.core.mixing import mix as mix
  from classmix_jax.core.pixel_weights import confident_share as confident_share
  from classmix_jax.core.resize import resize_bilinear as resize_bilinear
  from classmix_jax.errors import UserError as UserError
  from classmix_jax.inference.export.export import export as export
  from classmix_jax.inference.predictor import Prediction as Prediction
  from classmix_jax.inference.predictor import Predictor as Predictor
  from classmix_jax.inference.predictor import load as load
  from classmix_jax.masks import MASKS as MASKS
  from classmix_jax.masks.class_mask import class_mask as class_mask
  from classmix_jax.masks.cow_mask import cow_mask as cow_mask
  from classmix_jax.masks.cut_mask import cut_mask as cut_mask
  from classmix_jax.methods import METHODS as METHODS
  from classmix_jax.models.backbones import BACKBONES as BACKBONES
  from classmix_jax.models.heads import HEADS as HEADS
  from classmix_jax.types import VOID as VOID

# Where the public names live. They are imported when they are first asked for, so that
# `import classmix_jax` costs nothing.
_HOMES = {
  'core.augment_kornia': ['strong_augment'],
  'core.collectives': ['GlobalBatch'],
  'core.ema': ['ema_decay', 'ema_update'],
  'core.losses': ['cross_entropy', 'masked_mean', 'squared_error'],
  'core.metrics': ['confusion_matrix', 'iou', 'mean_iou'],
  'core.mixing': ['mix'],
  'core.pixel_weights': ['confident_share'],
  'core.resize': ['resize_bilinear'],
  'errors': ['UserError'],
  'inference.export.export': ['export'],
  'inference.predictor': ['Prediction', 'Predictor', 'load'],
  'masks': ['MASKS'],
  'masks.class_mask': ['class_mask'],
  'masks.cow_mask': ['cow_mask'],
  'masks.cut_mask': ['cut_mask'],
  'methods': ['METHODS'],
  'models.backbones': ['BACKBONES'],
  'models.heads': ['HEADS'],
  'types': ['VOID'],
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted(_MODULE_OF)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
  if name not in _MODULE_OF:
    raise AttributeError(f'classmix_jax has no {name!r}; there are {", ".join(__all__)}.')
  return getattr(importlib.import_module(f'classmix_jax.{_MODULE_OF[name]}'), name)


def __dir__() -> list[str]:
  return [*globals(), *__all__]
