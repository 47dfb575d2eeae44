"""Reads label_map.pbtxt of TensorFlow's detection models: `item { id: 1 name: 'cat' }`."""

import re

from classmix_jax.data.class_files.class_table import Entry
from classmix_jax.errors import UserError

_ITEM = re.compile(r'\bitem\s*:?\s*\{([^{}]*)\}')
_FIELD = re.compile(r'(\w+)\s*:\s*("(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'|[^\s,;]+)')


def matches(text: str, suffix: str) -> bool:
  """Returns whether the text begins with an item."""
  return re.match(r'\s*(#.*\n\s*)*item\s*:?\s*\{', text) is not None


def parse(text: str, path: str) -> list[Entry]:
  """Returns the items; `display_name` is preferred to `name`, which may be a code.

  Example: `parse('item { id: 1 name: "cat" }', 'x') == [Entry('line 1', 'cat', id=1)]`.
  """
  text = re.sub(r'(?m)^\s*#.*$', '', text)
  entries = []
  for match in _ITEM.finditer(text):
    where = f'line {text.count(chr(10), 0, match.start()) + 1}'
    fields = {
      key: re.sub(r'\\(.)', r'\1', value.strip('\'"')) for key, value in _FIELD.findall(match[1])
    }
    name = fields.get('display_name') or fields.get('name')
    number = fields.get('id', fields.get('label', ''))  # Caffe's labelmap.prototxt has labels
    if not name or not re.fullmatch(r'-?\d{1,9}', number):
      raise UserError(
        f'{path}, {where} is an item without an id or a name; expected is item {{ id: 1 name: '
        "'cat' }."
      )
    entries.append(Entry(where, name, id=int(number)))
  rest = _ITEM.sub('', text).strip(' \t\r\n,')
  if rest:
    raise UserError(
      f"{path} has '{rest[:40].splitlines()[0]}' outside of its items; expected is item {{ id: 1 "
      "name: 'cat' } only."
    )
  return entries
