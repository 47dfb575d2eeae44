"""The TFDS builder of `scenes`; imported lazily, because it imports tensorflow_datasets.

Neither preparing nor reading uses TensorFlow: images are PNG bytes, and ArrayRecord files are
written and read without it.

Synopsis:

    builder = ScenesBuilder(data_dir='cache', config=scenes_config(1000, 200))
    builder.download_and_prepare(file_format='array_record')
"""

from collections.abc import Iterator
import dataclasses
import functools
import io

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

from classmix_jax.datasets.scenes import render
from classmix_jax.datasets.scenes.canvas import HEIGHT, WIDTH
from classmix_jax.datasets.scenes.classes import NUM_TRAIN, NUM_VAL

SPLIT_SEEDS = {'train': 1, 'val': 2}  # of the two streams of scenes


@dataclasses.dataclass(eq=False)
class ScenesConfig(tfds.core.BuilderConfig):
  """How many scenes to render."""

  num_train: int = 0
  num_val: int = 0


@functools.cache  # TFDS compares configs by identity
def scenes_config(num_train: int, num_val: int) -> ScenesConfig:
  """Returns the config of these counts; each has a directory of its own."""
  name = f'train{num_train}_val{num_val}'
  return ScenesConfig(name=name, num_train=num_train, num_val=num_val)


class ScenesBuilder(tfds.core.GeneratorBasedBuilder):
  """Renders the scenes and writes them as ArrayRecord files."""

  name = 'scenes'
  BUILDER_CONFIGS = [scenes_config(NUM_TRAIN, NUM_VAL)]
  VERSION = tfds.core.Version('1.1.0')  # increment when a pixel changes

  def _info(self) -> tfds.core.DatasetInfo:
    def image_feature(channels: int) -> tfds.features.Image:
      shape = (HEIGHT, WIDTH, channels)
      return tfds.features.Image(shape=shape, dtype=np.uint8, encoding_format='png')

    return tfds.core.DatasetInfo(
      builder=self,
      description='Procedural street scenes with labels.',
      features=tfds.features.FeaturesDict(
        {'name': tfds.features.Text(), 'image': image_feature(3), 'label': image_feature(1)}
      ),
      disable_shuffling=True,  # record i is scene i
    )

  def _split_generators(self, dl_manager):
    del dl_manager  # nothing to download
    counts = {'train': self.builder_config.num_train, 'val': self.builder_config.num_val}
    return {split: self._generate_examples(split, count) for split, count in counts.items()}

  def _generate_examples(self, split: str, count: int) -> Iterator[tuple[int, dict]]:
    for index in range(count):
      image, label = render.render(SPLIT_SEEDS[split], index)
      name = f'{split}_{index:04d}'
      yield index, {'name': name, 'image': _encode_png(image), 'label': _encode_png(label)}


def _encode_png(pixels: np.ndarray) -> bytes:
  """Encodes uint8 `[H, W]` or `[H, W, 3]`."""
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, 'png', compress_level=3)
  return buffer.getvalue()
