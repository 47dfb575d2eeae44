"""Data sets: from a directory to a `Dataset`.

`DATASETS` maps a name to a loader `(root, size, **options) -> Dataset`. A new data set is a file
here and a line in `DATASETS`. No module here imports TensorFlow.
"""

from collections.abc import Callable, Mapping

from classmix_jax.data.source import Dataset
from classmix_jax.datasets import ade20k, camvid, cityscapes, coco, folder, pascal_voc, scenes, tfds

DATASETS: Mapping[str, Callable[..., Dataset]] = {
  'scenes': scenes.load,
  'camvid': camvid.load,
  'cityscapes': cityscapes.load,
  'pascal_voc': pascal_voc.load,
  'ade20k': ade20k.load,
  'coco': coco.load,
  'tfds': tfds.load,
  'folder': folder.load,
}
