"""The TFDS builder `pascal_voc_aug`. Imports tensorflow_datasets, hence only ever imported lazily.

It keeps images and masks as the bytes of their files: a JPEG decodes by PIL to the same pixels,
and a mask keeps its palette. Neither preparing nor reading needs TensorFlow.

Synopsis:

    builder = PascalVocAug(data_dir='CACHE', config='SegmentationClassAug')
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir='VOCdevkit/VOC2012'),
        file_format='array_record')
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from classmix_jax.data.files.pairs import Pairs
from classmix_jax.datasets.pascal_voc.folders import TRAIN_LISTS, find_base, find_pairs


class PascalVocAug(tfds.core.GeneratorBasedBuilder):
  """Training and validation pairs of PASCAL VOC 2012, with the masks of one folder."""

  name = 'pascal_voc_aug'
  VERSION = tfds.core.Version('1.0.0')  # count up whenever a record changes
  BUILDER_CONFIGS = [
    tfds.core.BuilderConfig(name=masks, description=f'Training masks of {masks}.')
    for masks in TRAIN_LISTS
  ]
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
    'Give a folder that holds VOCdevkit/VOC2012 with JPEGImages, SegmentationClass, '
    'SegmentationClassAug and ImageSets/Segmentation.'
  )

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
      builder=self,
      description='PASCAL VOC 2012 with the masks of SegmentationClassAug.',
      features=tfds.features.FeaturesDict(
        {
          'name': tfds.features.Text(),
          'image': tfds.features.Image(
            shape=(None, None, 3), dtype=np.uint8, encoding_format='jpeg'
          ),
          'label': tfds.features.Image(
            shape=(None, None, 1), dtype=np.uint8, encoding_format='png'
          ),
        }
      ),
    )

  def _split_generators(self, dl_manager):
    base = find_base(Path(dl_manager.manual_dir))
    train, val = find_pairs(base, self.builder_config.name)
    return {'train': self._generate_examples(train), 'val': self._generate_examples(val)}

  def _generate_examples(self, pairs: Pairs) -> Iterator[tuple[str, dict]]:
    for name, image, mask in zip(*pairs, strict=True):
      yield name, {'name': name, 'image': image.read_bytes(), 'label': mask.read_bytes()}
