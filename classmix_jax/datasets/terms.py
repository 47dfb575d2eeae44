"""The terms under which data sets may be used, for the cards of models trained on them."""

from collections.abc import Mapping

TERMS: Mapping[str, str] = {
  'scenes': 'drawn by this package, no terms',
  'cityscapes': 'of Cityscapes, for non-commercial use (cityscapes-dataset.com/license)',
  'pascal_voc': 'of PASCAL VOC 2012, whose photographs have the terms of Flickr',
  'ade20k': 'of ADE20K, whose photographs are for non-commercial research and education',
  'coco': 'of COCO, whose annotations are CC BY 4.0 and whose photographs have those of Flickr',
}


def describe_terms(name: str) -> str:
  """Returns the terms of a data set, a key of `DATASETS`.

  Example:
    >>> describe_terms('folder')
    'those of its owner'
  """
  return TERMS.get(name, 'those of its owner')
