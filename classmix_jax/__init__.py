"""Semi-supervised semantic segmentation in JAX: ClassMix and related methods.

Trained networks predict images:

    import classmix_jax as cm

    trained = cm.load('RUN')                          # directory of a training run
    label, confidence = trained.predict('photo.jpg')

Pure functions, which may be jitted, build other training loops:

    mask = cm.class_mask(key, pseudo_label, num_classes)
    mixed = cm.mix(mask, image)
    loss = cm.masked_mean(cm.cross_entropy(logits, label), label != cm.VOID)
    teacher = cm.ema_update(student, teacher, cm.ema_decay(step))

docs/api.md documents them. Reading order of the code: `types.py`, `masks/class_mask.py`,
`core/mixing.py`, `methods/mean_teacher.py`, `training/step.py`.
"""

from etils import epy as _epy

__version__ = '0.1.0'

# Each module is imported at the first use of its name, so that `import classmix_jax` is fast.
# `as` marks the names as public for type checkers.
with _epy.lazy_api_imports(globals()):
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
