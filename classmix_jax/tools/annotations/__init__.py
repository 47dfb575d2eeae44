"""Converts annotation exports of other programs to masks that `datasets/folder` reads.

A converter has a title, a function `read(path, options) -> Export` and a function
`matches(sample) -> bool`, which detects its format. The export yields images with their shapes in
painting order. To add a converter: a file here and a line in `CONVERTERS`.
"""

from collections.abc import Mapping

from classmix_jax.tools.annotations import (
  coco,
  coco_panoptic,
  colors,
  cvat,
  label_studio,
  labelme,
  supervisely,
  via,
)
from classmix_jax.tools.annotations.detect import Converter

CONVERTERS: Mapping[str, Converter] = {
  'coco': Converter('COCO', coco.read, coco.matches),
  'coco_panoptic': Converter('COCO panoptic', coco_panoptic.read, coco_panoptic.matches),
  'labelme': Converter('labelme', labelme.read, labelme.matches),
  'cvat': Converter('CVAT for images', cvat.read, cvat.matches),
  'label_studio': Converter('Label Studio', label_studio.read, label_studio.matches),
  'supervisely': Converter('Supervisely', supervisely.read, supervisely.matches),
  'via': Converter('VGG Image Annotator', via.read, via.matches),
  'colors': Converter('colour masks', colors.read, colors.matches),
}
