"""Damaged annotation exports: masks with ids of the classes, or sentences that name the fault."""

import copy
import json

from fuzz import JSON, damaged, temporary_directory
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import pytest
from test_annotation_formats import ls_result, ls_task, sly_bitmap, write_samples, write_sly

from classmix_jax.data.class_files.reader import read_classes
from classmix_jax.errors import UserError
from classmix_jax.tools.annotations import CONVERTERS
from classmix_jax.tools.annotations.convert import convert

VALUES = st.one_of(
  JSON,
  st.sampled_from([1e300, float('nan'), 2**70, '1', '../x', '', 'void', '_background_', -1, [[]]]),
)


def list_places(content, place=()):
  """Yields the path of every value in a JSON value."""
  items = content.items() if isinstance(content, dict) else enumerate(content)
  for key, value in items:
    yield (*place, key)
    if isinstance(value, dict | list):
      yield from list_places(value, (*place, key))


@st.composite
def changed(draw, data):
  """Draws a version of a JSON file: damaged bytes, or with up to two fields changed or deleted."""
  if draw(st.integers(0, 5)) == 0:
    return draw(damaged(data))
  content = json.loads(data)
  for _ in range(draw(st.integers(1, 2))):
    places = list(list_places(content))
    *parents, key = draw(st.sampled_from(places))
    holder = content
    for parent in parents:
      holder = holder[parent]
    if draw(st.booleans()):
      holder[key] = copy.deepcopy(draw(VALUES))
    else:
      del holder[key]
    if not content:
      break
  return json.dumps(content).encode()


def write_exports(root):
  """Adds shapes of further kinds to one export of each format."""
  write_samples(root)
  brush = ls_result('brushlabels', {'format': 'rle', 'rle': [0, 0, 3, 32, 56]}, ['b'])
  ellipse = ls_result('ellipselabels', {'x': 9, 'y': 9, 'radiusX': 9, 'radiusY': 9}, ['b'])
  (root / 'label_studio/a.json').write_text(
    json.dumps([ls_task(1, 'a.jpg', [ellipse]), ls_task(2, 'b.jpg', [brush, ellipse])])
  )
  write_sly(root / 'supervisely', sly_bitmap([[1, 0]], 1, 1))


@pytest.mark.parametrize('kind', [kind for kind in CONVERTERS if kind not in ('cvat', 'colors')])
@given(data=st.data())
def test_changed_files(kind, data):
  pytest.importorskip('pycocotools')
  with temporary_directory() as root:
    write_exports(root)
    files = sorted((root / kind).rglob('*.json'))
    file = data.draw(st.sampled_from(files))
    file.write_bytes(data.draw(changed(file.read_bytes())))
    options = {
      'background': data.draw(st.sampled_from(['', 'ground', 'b'])),
      'line_width': data.draw(st.sampled_from([0, 1, 4])),
    }
    try:
      convert(data.draw(st.sampled_from([kind, kind, ''])), root / kind, root / 'out', **options)
    except UserError as error:
      assert len(str(error)) > 20
    masks = sorted((root / 'out/masks').rglob('*.png'))
    if masks:
      names, _ = read_classes(root / 'out/classes.txt')
      for mask in masks:
        assert set(np.unique(Image.open(mask)).tolist()) <= {*range(len(names)), 255}
