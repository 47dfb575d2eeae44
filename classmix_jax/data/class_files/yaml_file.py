"""Reads classes from YAML: `names` of YOLO's data.yaml, and lists or mappings of names."""

import re
from typing import Any

import yaml

from classmix_jax.data.class_files.class_table import Entry
from classmix_jax.data.class_files.records import Object, parse_value
from classmix_jax.errors import UserError

MAX_DEPTH = 4  # of nested lists and mappings that are read: aliases may repeat others endlessly


def matches(text: str, suffix: str) -> bool:
  """Returns whether the file is named so, or its text has the key `names` or is a list."""
  return suffix in ('.yaml', '.yml') or bool(
    re.search(r'(?m)^(names|nc)\s*:', text) or re.match(r'(\s*#.*\n|---\s*\n|\s*\n)*- \S', text)
  )


def parse(text: str, path: str) -> list[Entry]:
  """Returns the classes, see `parse_value`; all scalars are text, also yes and no.

  Raises:
    UserError: the text is not YAML, or has no classes.

  Example: `parse('names: [road]', 'x') == [Entry('entry 1', 'road')]`.
  """
  try:
    node = yaml.compose(text, Loader=yaml.BaseLoader)
  except (yaml.YAMLError, ValueError, RecursionError) as error:
    mark = getattr(error, 'problem_mark', None)
    place = f', line {mark.line + 1}' if mark else ''
    reason = (
      getattr(error, 'problem', None) or getattr(error, 'reason', None) or 'too deeply nested'
    )
    raise UserError(f'{path}{place} is not valid YAML ({reason}): write it again.') from None
  return parse_value(_read_node(node, MAX_DEPTH), path)


def _read_node(node: Any, depth: int) -> Any:
  if isinstance(node, yaml.ScalarNode):
    return node.value
  if depth and isinstance(node, yaml.SequenceNode):
    return [_read_node(item, depth - 1) for item in node.value]
  if depth and isinstance(node, yaml.MappingNode):
    return Object.from_pairs(
      [(str(key.value), _read_node(value, depth - 1)) for key, value in node.value]
    )
  return None
