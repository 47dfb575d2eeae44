"""Parses and writes names of files on the Hugging Face Hub.

hub:resnet18                              a short name of `known_files.SHORT_NAMES`
hub:ORG/NAME                              model.safetensors, or the only weights file
hub:ORG/NAME@REVISION:FILE                a branch, tag or commit, and a file
hub:ORG/NAME@REVISION:FILE#sha256=DIGITS  the same, refused if the content differs
"""

import re
from typing import NamedTuple

from classmix_jax.errors import UserError
from classmix_jax.pretrained.known_files import SHORT_NAMES

PREFIX = 'hub:'
FORM = 'hub:ORG/NAME[@REVISION][:FILE][#sha256=DIGITS]'
PATTERN = re.compile(
  r'hub:(?P<repository>[\w.-]+(/[\w.-]+)?)'
  r'(@(?P<revision>[^@:#]+))?'
  r'(:(?P<file>[^@:#]+))?'
  r'(#sha256=(?P<sha256>[0-9a-f]{8,64}))?'
)


class HubName(NamedTuple):
  """Name of a file on the Hub.

  Attributes:
    repository: 'ORG/NAME'.
    revision: a branch, a tag or a commit.
    file: path in the repository; '' is model.safetensors, or the only weights file.
    sha256: the first 8 to 64 digits of the file's SHA-256; '' accepts any.
  """

  repository: str
  revision: str = 'main'
  file: str = ''
  sha256: str = ''

  def __str__(self) -> str:
    """Returns the name as `config.model.pretrained` accepts it."""
    revision = '' if self.revision == 'main' else f'@{self.revision}'
    file = f':{self.file}' if self.file else ''
    sha256 = f'#sha256={self.sha256}' if self.sha256 else ''
    return f'{PREFIX}{self.repository}{revision}{file}{sha256}'


def is_hub_name(pretrained: str) -> bool:
  """Returns whether a value of `config.model.pretrained` names a file on the Hub."""
  return pretrained.startswith(PREFIX)


def parse_hub_name(pretrained: str) -> HubName:
  """Parses a name on the Hub.

  Raises:
    UserError: the name does not have the form above, or a short name is unknown.

  Example:
    >>> parse_hub_name('hub:timm/resnet18.tv_in1k@v1:a.pth').file
    'a.pth'
    >>> parse_hub_name('hub:resnet18').repository
    'timm/resnet18.tv_in1k'
  """
  match = PATTERN.fullmatch(pretrained)
  if not match:
    raise UserError(
      f'config.model.pretrained={pretrained} is not of the form {FORM}; DIGITS are 8 to 64 '
      'lower-case hexadecimal digits.'
    )
  fields = {key: value for key, value in match.groupdict().items() if value}
  name = HubName(**fields)
  if '/' in name.repository:
    return name
  if name.repository not in SHORT_NAMES:
    raise UserError(
      f'config.model.pretrained={pretrained} has no organization: expected {FORM}, or one of the '
      f'short names {", ".join(SHORT_NAMES)}.'
    )
  return name._replace(repository=SHORT_NAMES[name.repository])


def pin_hub_name(pretrained: str, recorded_name: str, sha256: str) -> str:
  """Returns the name with the commit, file and SHA-256 of an earlier start of the same run.

  Args:
    pretrained: `config.model.pretrained`.
    recorded_name: `name` in the run's pretrained.json, or ''.
    sha256: `sha256` in the run's pretrained.json.

  Returns:
    The pinned name; `pretrained` unless both are names of the same repository on the Hub.

  Example:
    >>> pin_hub_name('hub:a/b', 'hub:a/b@1a2b:x.pth', 64 * '0').partition('#')[0]
    'hub:a/b@1a2b:x.pth'
  """
  if not (is_hub_name(pretrained) and is_hub_name(recorded_name)):
    return pretrained
  recorded = parse_hub_name(recorded_name)
  if recorded.repository != parse_hub_name(pretrained).repository:
    return pretrained
  return str(recorded._replace(sha256=sha256))
