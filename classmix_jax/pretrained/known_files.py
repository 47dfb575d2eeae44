"""Public weights files, by the first digits of their SHA-256, which stand in their names.

Synopsis:

    known, warning = identify_file('resnet50-0676ba61.pth', sha256)

See docs/weights.md for where they come from and who needs them.
"""

from collections.abc import Mapping
from typing import NamedTuple


class KnownFile(NamedTuple):
  """What is known of a published file.

  Attributes:
    name: under which it was published.
    trained_on: the data set, as the fingerprint calls it.
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
  """Returns what is known of a file, and a warning where its name promises another content.

  Example:
    >>> identify_file('renamed.pth', '41f33a49' + 56 * '0')[0].trained_on
    'COCO'
  """
  content = KNOWN_FILES.get(sha256[:8])
  named = {known.name: (digits, known) for digits, known in KNOWN_FILES.items()}.get(name)
  if named is None or named[1] == content:
    return content, ''
  return named[1], (
    f'{name} is not the published file: its SHA-256 begins with {sha256[:8]}, not with '
    f'{named[0]}. Is the download damaged?'
  )
