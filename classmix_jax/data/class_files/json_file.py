"""Reads classes from JSON: our classes.json, COCO, Supervisely, CVAT, Hugging Face, nnU-Net."""

import json

from classmix_jax.data.class_files.class_table import Entry
from classmix_jax.data.class_files.records import Object, parse_value
from classmix_jax.errors import UserError


def matches(text: str, suffix: str) -> bool:
  """Returns whether the text begins as a JSON object or a list of text, numbers or objects."""
  start = ''.join(text[:200].split())
  return suffix == '.json' or start.startswith(('{"', '{}', '["', '[{', '[]'))


def parse(text: str, path: str) -> list[Entry]:
  """Returns the classes, see `parse_value`.

  Raises:
    UserError: the text is not JSON, or has no classes.

  Example: `parse('["road"]', 'x') == [Entry('entry 1', 'road')]`.
  """
  try:
    value = json.loads(text, object_pairs_hook=Object.from_pairs)
  except (ValueError, RecursionError) as error:
    place = f', line {error.lineno}' if isinstance(error, json.JSONDecodeError) else ''
    reason = error.msg if isinstance(error, json.JSONDecodeError) else 'too deeply nested'
    raise UserError(f'{path}{place} is not valid JSON ({reason}): write it again.') from None
  return parse_value(value, path)
