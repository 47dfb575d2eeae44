"""Compares the images of two starts of a run.

Synopsis:

    describe_changes(before, after)   # ['2 unlabelled images are new (c, d)', ...]
    list(find_moved(before, after))   # [('a', 'labeled', 'val')]
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
import unicodedata

from classmix_jax.data.source import Source
from classmix_jax.utils.text import listed
from classmix_jax.workdir.image_record import (
  ROLES,
  ImageRecord,
  Pair,
  differ,
  digest_of,
  stamp_images,
)

NAMES_SHOWN = 3


class Images(NamedTuple):
  """Images of a record, to look them up.

  Attributes:
    roles: role -> name in composed characters -> stamps: a move between machines may decompose
      accents.
    by_name: name -> roles.
    by_content: digest of the image -> roles.
  """

  roles: Mapping[str, Mapping[str, Pair]]
  by_name: Mapping[str, set[str]]
  by_content: Mapping[str, set[str]]


def index_images(record: ImageRecord) -> Images:
  """Returns the images of a record by role, by name and by content."""
  roles = {
    role: {unicodedata.normalize('NFC', name): pair for name, pair in getattr(record, role).items()}
    for role in ROLES
  }
  by_name: dict[str, set[str]] = {}
  by_content: dict[str, set[str]] = {}
  for role, pairs in roles.items():
    for name, pair in pairs.items():
      by_name.setdefault(name, set()).add(role)
      by_content.setdefault(digest_of(pair), set()).add(role)
  by_content.pop('', None)
  return Images(roles, by_name, by_content)


def find_roles(name: str, pair: Pair, images: Images) -> set[str]:
  """Returns the roles of an image in another record: by its content, or else by its name."""
  digest = digest_of(pair)
  if digest in images.by_content:
    return images.by_content[digest]
  return {
    role
    for role in images.by_name.get(name, ())
    if not (digest and digest_of(images.roles[role][name]))  # else another image of this name
  }


def count_training_images(record: ImageRecord, source: Source) -> int:
  """Returns how many images of a source are in a record as labelled or unlabelled."""
  images = index_images(record)
  pairs = stamp_images(source, False, record.val)
  return sum(bool(find_roles(name, pair, images) - {'val'}) for name, pair in pairs.items())


def find_moved(before: ImageRecord, after: ImageRecord) -> Iterator[tuple[str, str, str]]:
  """Yields (name, role before, role now) of images that have left their role for another."""
  old, new = index_images(before), index_images(after)
  for role, pairs in new.roles.items():
    for name, pair in pairs.items():
      roles = find_roles(name, pair, old)
      if roles and not roles & (find_roles(name, pair, new) | {role}):
        yield name, min(roles), role


def count_present(before: ImageRecord, after: ImageRecord) -> int:
  """Returns how many of the images labelled before are there.

  In the same directory an image is known by its name; in another one by its content, if there are
  files to compare, since names such as 0001 occur in many data sets.
  """
  old, new = index_images(before), index_images(after)
  same_root = before.root == after.root
  return sum(
    bool(find_roles(name, pair, new)) or (same_root and name in new.by_name)
    for name, pair in old.roles['labeled'].items()
  )


def describe_changes(before: ImageRecord, after: ImageRecord) -> list[str]:
  """Returns what changed, for example '2 unlabelled images are new (c, d)'."""
  old, new = index_images(before), index_images(after)
  texts: list[str] = []
  for role, adjective in ROLES.items():
    was, now = old.roles[role], new.roles[role]
    shared = [name for name in now if name in was]
    images, masks = (
      [name for name in shared if differ(digest_of(was[name], i), digest_of(now[name], i))]
      for i in (0, 1)
    )
    for names, noun, verb in (
      ([name for name in now if name not in was], 'image', 'new'),
      ([name for name in was if name not in now], 'image', 'gone'),
      (images, 'image', 'changed'),
      (masks, 'mask', 'changed'),
    ):
      if names:
        texts.append(describe_names(names, f'{adjective} {noun}', verb))
  return texts


def describe_names(names: list[str], noun: str, verb: str) -> str:
  """Returns for example '2 labelled masks changed (a, b)'.

  Example:
    >>> describe_names(['a'], 'labelled image', 'new')
    '1 labelled image is new (a)'
  """
  be = '' if verb == 'changed' else 'is ' if len(names) == 1 else 'are '
  plural = '' if len(names) == 1 else 's'
  return f'{len(names)} {noun}{plural} {be}{verb} ({listed(names, NAMES_SHOWN)})'
