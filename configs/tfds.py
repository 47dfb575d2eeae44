"""ClassMix on a builder of TensorFlow Datasets with masks, from scratch.

    python launch/main.py --config=configs/tfds.py --config.data.builder=oxford_iiit_pet

Downloads and prepares the data at the first start; see docs/datasets.md.
"""

from classmix_jax.config import defaults


def get_config(text: str | None = None):
  config = defaults.small(defaults.get_config(text))
  config.name = 'tfds'
  config.data.name = 'tfds'
  config.data.builder = ''  # e.g. oxford_iiit_pet, or cityscapes/semantic_segmentation
  config.data.manual_dir = ''  # directory of archives; '' for ROOT/downloads/manual
  config.data.image = ''  # feature of the image; '' finds it
  config.data.mask = ''  # feature of the mask; '' finds it
  config.data.train_split = ''  # '' for train; slices as train[:90%] work
  config.data.val_split = ''  # '' for validation, val or test
  config.data.unlabeled_split = ''  # '' for unlabeled or train_extra if there is one; none
  config.data.classes = ''  # file of class names; '' finds names and values
  config.data.label_map = ''  # e.g. '255:1,7:void': classes of other mask values
  config.data.ignore = ''  # e.g. '0': mask values that are void
  config.data.mask_threshold = 0  # e.g. 128, two classes: grey values from it on are class 1
  config.data.others = ''  # 'void': so are values without a class
  config.data.transparent = ''  # class of transparent pixels, see configs/folder.py
  config.data.labeled = config.data.labeled or '1/8'
  config.data.size = (240, 320)  # of all images and masks; () keeps the images as they are
  config.data.crop = (128, 160)
  config.eval_batch_size = 4
  return config
