"""Whatever a user's files and options hold: a result that is right, or one sentence.

Each kind of input is a strategy and a property. Some cases of each run with the fast tests, 1,200
with the slow ones; failures are shrunk by hypothesis, and every run draws the same cases.
"""

import functools
import io
import json
import os
from pathlib import Path
import pickle
import shutil
import struct
import tempfile
import zlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
import jax.numpy as jnp
from ml_collections import ConfigDict
import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.config.check import check_config
from classmix_jax.config.data import (
  build_dataset,
  build_geometry,
  build_split,
  find_unreadable,
)
from classmix_jax.config.load import read_config
from classmix_jax.config.model import build_method, build_optimizer, build_protocol
from classmix_jax.data.files import pairs
from classmix_jax.data.files.image_io import Encoded, image_size, read_image
from classmix_jax.data.files.mask_io import Decoding, label_table, raw_values, read_mask
from classmix_jax.data.source import Source
from classmix_jax.data.splits import choose_labeled
from classmix_jax.data.unreadable import find_left_out
from classmix_jax.datasets import folder
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import headline_network
from classmix_jax.methods import METHODS
from classmix_jax.pretrained.converted_folder import DESCRIPTION_FIELDS, read_weights
from classmix_jax.pretrained.state_dict_files import read_file
from classmix_jax.tools.report.page import page
from classmix_jax.tools.report.runs import read_run
from classmix_jax.types import VOID, TrainState
from classmix_jax.utils.nested import flatten
from classmix_jax.workdir import checkpoint, layout

FEW, MANY = 10, 150

NAMES = st.sampled_from(
  [
    'a',
    'ä é',
    '漢字',
    ' leading',
    'trailing ',
    "it's",
    '100%',
    '#hash',
    'a.b.c',
    '-dash',
    '$HOME',
    'COM1',
    '{}',
    '[x]',
    '*',
    'x' * 200,
    'e\u0301',
    '\u202eabc',
  ]
)


def sentence_of(call, *parts):
  """Returns what `call` returns; None where it raises a UserError, which must be a sentence."""
  try:
    return call()
  except UserError as error:
    text = str(error)
    toy.assert_says(text, *parts)
    assert '\n' not in text.strip() and len(text) > 20, text
    return None


# ------------------------------------------------------------------------ pictures


@st.composite
def damaged(draw, data):
  """The bytes of a file: whole, cut off, with flipped bits, with more behind, or nothing of it."""
  how = draw(st.sampled_from(['whole', 'whole', 'cut', 'flip', 'behind', 'noise', 'zeros', 'size']))
  position = draw(st.integers(0, max(len(data) - 1, 0)))
  if how == 'cut':
    return data[:position]
  if how == 'flip':
    changed = bytearray(data)
    for place in {position, draw(st.integers(0, len(data) - 1))}:
      changed[place] ^= 1 << draw(st.integers(0, 7))
    return bytes(changed)
  if how == 'zeros':
    return data[:position] + b'\0' * (len(data) - position)
  if how == 'size' and data[12:16] == b'IHDR':  # a PNG that says it is empty, or huge
    sides = st.sampled_from([0, 1, 3, 60_000, 2**31 - 1, 2**32 - 1])
    header = b'IHDR' + struct.pack('>II', draw(sides), draw(sides)) + data[24:29]
    return data[:12] + header + struct.pack('>I', zlib.crc32(header)) + data[33:]
  extra = draw(st.binary(max_size=40))
  return {'behind': data + extra, 'noise': extra}.get(how, data)


MODES = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'I;16', 'I', 'F', 'YCbCr', 'HSV', 'LAB', 'PA')
KINDS = ('PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP', 'GIF', 'PPM')


def picture(values, mode):
  if mode in ('I;16', 'I', 'F'):
    dtype = {'I;16': np.uint16, 'I': np.int32, 'F': np.float32}[mode]
    return Image.fromarray(values.astype(dtype) * (1 if mode == 'F' else 200))
  image = Image.fromarray(values)
  return (
    image.convert(mode)
    if mode not in ('LAB', 'PA', 'HSV')
    else {
      'LAB': lambda: Image.merge('LAB', [image] * 3),
      'HSV': lambda: image.convert('RGB').convert('HSV'),
      'PA': lambda: image.convert('P').convert('PA'),
    }[mode]()
  )


@st.composite
def pictures(draw):
  """(name, bytes, the picture before it was damaged or None) of any mode, format and turn."""
  seed = draw(st.integers(0, 3))
  size = draw(st.tuples(st.integers(1, 9), st.integers(1, 9)))
  image = picture(
    np.random.default_rng(seed).integers(0, 256, size, np.uint8), draw(st.sampled_from(MODES))
  )
  options = {}
  if draw(st.booleans()):
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 12))
    options['exif'] = exif.tobytes()
  kind, file = draw(st.sampled_from(KINDS)), io.BytesIO()
  try:
    image.save(file, kind, **options)
  except (OSError, ValueError, KeyError, SystemError):  # a format without such a mode
    file = io.BytesIO()
    image.convert('RGB').save(file, 'PNG', **options)
  ending = draw(st.sampled_from(pairs.EXTENSIONS))  # PIL goes by content
  return draw(NAMES) + ending, draw(damaged(file.getvalue()))


def check_picture(case, tmp_path):
  name, data = case
  path = tmp_path / name
  path.write_bytes(data)
  size = sentence_of(lambda: image_size(path), path)
  image = sentence_of(lambda: read_image(path), path)
  record = Encoded(data, 'record 3', 'Prepare it again.')
  again = sentence_of(lambda: read_image(record), 'record 3')
  assert (image is None) == (again is None)
  if image is not None:
    assert image.dtype == np.uint8 and image.shape == (*size, 3)
    np.testing.assert_array_equal(image, again)
  assert pairs.find_images(tmp_path).keys() == {pairs_name(name)}


def pairs_name(name):
  import unicodedata

  return unicodedata.normalize('NFC', Path(name).with_suffix('').as_posix())


# --------------------------------------------------------------------------- masks

CLASSES = ('ground', 'box', 'ball')
COLORS = {(0, 0, 0): 0, (255, 0, 0): 1, (0, 0, 255): 2, (9, 9, 9): VOID}
IDS = {0: 0, 1: 1, 2: 2, 255: VOID}


@st.composite
def masks(draw):
  """(bytes, mode, values): of known ids or colours, of others, or damaged."""
  mode = draw(st.sampled_from(['L', 'P', 'I;16', '1', 'RGB', 'RGBA', 'LA', 'F', 'CMYK']))
  known = draw(st.booleans())
  pool = [0, 1, 2, 255] if known else [0, 1, 2, 255, 3, 7, 254]
  size = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
  values = np.array(
    draw(st.lists(st.sampled_from(pool), min_size=size[0] * size[1], max_size=size[0] * size[1])),
    np.uint8,
  )
  values = values.reshape(size)
  if mode in ('RGB', 'RGBA'):
    table = np.array([*COLORS, *([(1, 2, 3)] if not known else [])], np.uint8)
    values = table[values % len(table)]
    image = Image.fromarray(values).convert(mode)
  elif mode == 'I;16':
    image = Image.fromarray(values.astype(np.uint16))
  elif mode == '1':
    values = (values > 1).astype(np.uint8)
    image = Image.fromarray(values * 255).convert('1')
  elif mode == 'P':
    image = Image.fromarray(values)
    image.putpalette([channel for color in folder.voc_palette(256) for channel in color])
  elif mode == 'F':
    image = Image.fromarray(values.astype(np.float32))
  else:
    image = Image.fromarray(values).convert(mode)
  file = io.BytesIO()
  kind = {'F': 'TIFF', 'CMYK': 'TIFF'}.get(mode, draw(st.sampled_from(['PNG', 'PNG', 'JPEG'])))
  try:
    image.save(file, kind)
  except OSError:
    image.save(file, kind := 'PNG')
  return draw(damaged(file.getvalue())), file.getvalue(), mode, values, kind


def check_mask(case, tmp_path):
  """Labels are exactly those that were drawn, or there are none: never others."""
  data, whole, mode, values, kind = case
  path = tmp_path / 'm.png'
  path.write_bytes(data)
  colors = COLORS if mode in ('RGB', 'RGBA') else {}
  decoding = Decoding(CLASSES, label_table(3), colors)
  label = sentence_of(lambda: read_mask(path, decoding), path)
  counts = sentence_of(lambda: raw_values(path, decoding), path)
  table = colors or IDS
  flat = values.reshape(-1, 3) if values.ndim == 3 else values.ravel()
  keys = [tuple(map(int, v)) if values.ndim == 3 else int(v) for v in flat]
  sound = kind == 'PNG' and all(key in table for key in keys)
  if sound and data.startswith(whole):
    assert label is not None and sum(counts.values()) == values.shape[0] * values.shape[1]
  resized = kind == 'PNG' and data[16:24] != whole[16:24]  # then it does not fit its image
  if sound and label is not None and not resized:
    expected = np.array([table[key] for key in keys], np.uint8).reshape(values.shape[:2])
    np.testing.assert_array_equal(label, expected)
  assert sound or label is None, (kind, mode)


@st.composite
def sets(draw):
  """A folder in which images, masks and classes do not fit in many ways."""
  return {
    'files': draw(
      st.lists(
        st.tuples(
          st.sampled_from(['labeled', 'unlabeled', 'val', 'test']),
          st.sampled_from(['images', 'masks']),
          NAMES,
          st.sampled_from(['.png', '.jpg', '.PNG', '.txt']),
          st.sampled_from(
            [
              'right',
              'right',
              'small',
              'void',
              'ids',
              'rgb',
              'cut',
              'empty',
              'loop',
              'dangling',
              'folder',
              'pipe',
            ]
          ),
        ),
        max_size=6,
      )
    ),
    'classes': draw(
      st.sampled_from(
        [
          None,
          'ground\nbox\nball\n',
          'ground\nbox\n',
          'a\n',
          '',
          'x\nx\n',
          'a 1 2 999\nb\n',
          'a\x00\nb\n',
        ]
      )
    ),
    'size': draw(st.sampled_from([None, (4, 6)])),
    'on_error': draw(st.sampled_from(['raise', 'skip'])),
    'link': draw(st.sampled_from([None, 'labeled/images/up', 'val/masks/up'])),
  }


def write_set_file(path, how, seed):
  image, label = toy.draw(seed)
  array = label if path.parent.name == 'masks' else image
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.exists() or path.is_symlink():
    return
  if how == 'loop':
    path.symlink_to(path.name)
  elif how == 'dangling':
    path.symlink_to('nowhere')
  elif how == 'folder':
    path.mkdir()
  elif how == 'pipe':
    os.mkfifo(path)
  else:
    changed = {
      'small': array[:9],
      'void': np.full_like(array, 255),
      'ids': array + np.uint8(40),
      'rgb': image,
    }.get(how, array)
    file = io.BytesIO()
    Image.fromarray(changed).save(file, 'PNG')
    path.write_bytes({'cut': file.getvalue()[:50], 'empty': b''}.get(how, file.getvalue()))


def check_set(case, tmp_path):
  """A set opens and every example that is used reads as it should, or one sentence says why."""
  root = toy.write_folder(tmp_path / 'data', labeled=2, unlabeled=2, val=1)
  for seed, (part, kind, name, ending, how) in enumerate(case['files']):
    write_set_file(root / part / kind / (name + ending), how, seed)
  if case['link']:
    (root / case['link']).symlink_to('..')
  if case['classes'] is None:
    (root / 'classes.txt').unlink()
  else:
    (root / 'classes.txt').write_text(case['classes'])
  config = toy.config(
    root,
    **{'data.on_error': case['on_error'], 'data.size': case['size'] or (), 'data.cache_gb': 0.0},
  )

  def opened():
    left_out = find_unreadable(config)
    dataset = build_dataset(config, left_out)
    return dataset, build_split(config, dataset, left_out)

  found = sentence_of(opened)
  if found is None:
    return
  dataset, split = found
  assert len(set(dataset.train.names)) == len(dataset.train.names)
  flaws = find_left_out(dataset, range(len(split.labeled)))
  if case['on_error'] == 'skip':
    assert not flaws.unlabeled and not find_left_out_of(split.labeled, dataset)
  for source in (split.labeled, dataset.val):
    for index in range(len(source)):
      label = sentence_of(lambda s=source, i=index: s.read_label(i), root)
      image = sentence_of(lambda s=source, i=index: s.read_image(i), root)
      if label is not None and image is not None:
        assert label.shape == image.shape[:2]
        assert set(np.unique(label)) <= {*range(len(dataset.class_names)), VOID}


def find_left_out_of(source: Source, dataset):
  import dataclasses

  part = dataclasses.replace(dataset, train=source, unlabeled=None)
  return find_left_out(part, range(len(source)))


# -------------------------------------------------------------------- lists, options


TEXTS = st.one_of(
  st.text(max_size=40),
  st.lists(
    st.sampled_from(
      [
        'a',
        'b',
        'c/d',
        'a.png',
        '/x/a.jpg /y/a.png',
        'a b c',
        '',
        ' ',
        '#x',
        '1/8',
        '-3',
        '٣',
        '²',
        '255:1',
        '7:void',
        '#ff0000:1',
        ':',
        ',',
        '0',
        '1 2 3',
        'road 128 64 128',
        '~0',
      ]
    ),
    max_size=5,
  ).map('\n'.join),
  st.lists(
    st.sampled_from(
      ['255:1', '7:void', '0:9', '#ff0000:1', 'x', ':', '²:1', '٣:1', '70000:1', '1:1:1', '-1']
    ),
    max_size=4,
  ).map(','.join),
)


def check_text(text, tmp_path):
  """A text is a list of names, of pairs, of classes, or an option."""
  path = tmp_path / 'list.txt'
  path.write_bytes(text.encode('utf-8', 'surrogatepass'))
  names = ['a', 'b', 'c/d']
  chosen = sentence_of(lambda: choose_labeled(names, str(path), 0))
  assert chosen is None or set(chosen.tolist()) <= {0, 1, 2} and len(chosen)
  chosen = sentence_of(lambda: choose_labeled(names, text, 0))
  assert chosen is None or 1 <= len(chosen) <= 3
  sentence_of(lambda: pairs.read_list(path), path)
  classes = sentence_of(lambda: folder.read_classes(path), path)
  assert classes is None or len(set(classes[0])) == len(classes[0]) >= 2
  for parse in (
    lambda: folder.parse_label_map(text, '', CLASSES),
    lambda: folder.parse_colors(text, CLASSES),
    lambda: folder.parse_label_map('', text, CLASSES),
  ):
    table = sentence_of(parse)
    assert table is None or set(table.values()) <= {0, 1, 2, VOID}


def check_bytes(data, tmp_path):
  """Bytes are a file of weights."""
  for name in ('x.pth', 'x.safetensors'):
    (tmp_path / name).write_bytes(data)
  sentence_of(lambda: read_file(tmp_path / 'x.safetensors'), 'x.safetensors')
  sentence_of(lambda: read_file(tmp_path / 'x.pth'), 'x.pth')


@st.composite
def weight_bytes(draw):
  header = json.dumps({'a': {'dtype': 'F32', 'shape': [2], 'data_offsets': [0, 8]}}).encode()
  data = draw(
    st.sampled_from(
      [
        len(header).to_bytes(8, 'little') + header + bytes(8),
        pickle.dumps([2, 0, 1]),
        pickle.dumps(np.array([1, 0])),
        pickle.dumps({'a': 1}, protocol=2),
        b'PK\x03\x04',
      ]
    )
  )
  return draw(damaged(data))


# ------------------------------------------------------------------------- configs


@st.composite
def configs(draw):
  """A method, and one to three fields with other values of their type."""
  method = draw(st.sampled_from(list(METHODS)))
  fields = flatten(toy.config('', f'method={method}').to_dict())
  fields = {
    key: value
    for key, value in fields.items()
    if not key.startswith(('paper', 'method.name', 'data.root'))
  }
  chosen = draw(st.lists(st.sampled_from(sorted(fields)), min_size=1, max_size=3, unique=True))
  numbers = st.one_of(
    st.integers(-2, 9), st.sampled_from([0.5, -1.5, 1e30, float('nan'), float('inf')])
  )
  kinds = {
    bool: st.booleans(),
    int: st.integers(-3, 2**40),
    str: st.text(max_size=8),
    float: st.one_of(st.floats(), st.floats(0, 1)),
    tuple: st.lists(numbers, max_size=3).map(tuple),
  }
  return method, {key: draw(kinds[type(fields[key])]) for key in chosen}


def check_fields(case, tmp_path):
  """What a config is accepted with is finite and can be built."""
  method, fields = case
  config = toy.config(tmp_path, f'method={method}', **fields)

  def built():
    check_config(config)
    headline_network(config.eval_network, ())
    build_geometry(config)
    method = build_method(config, len(CLASSES))
    build_optimizer(config, method, config.steps)
    return method.stages(config.steps)

  stages = sentence_of(built, 'config.')
  if stages is not None:
    assert stages[0].start == 0 and stages[-1].stop == config.steps
    for value in fields.values():
      for number in value if isinstance(value, tuple) else [value]:
        assert isinstance(number, str | bool) or np.isfinite(number), fields


# --------------------------------------------------------------------- a run's folder


def run_files():
  """The texts in a run's folder, arrays left out."""
  network = {'miou': 0.5, 'iou': dict.fromkeys(CLASSES, 0.5)}
  result = {
    'step': 2,
    'network': 'student',
    'protocol': 'paper',
    'images': 3,
    'pixels': 9,
    'split': 'abc',
    'devices': '1 x cpu',
    **network,
    'networks': {'student': network},
  }
  return {
    'config.json': toy.config('DATA').to_dict(),
    'classes.json': {'names': CLASSES, 'palette': [[0, 0, 0], [1, 1, 1], [2, 2, 2]]},
    'pretrained.json': dict.fromkeys(layout.ORIGIN_FIELDS, 'x'),
    'left_out.json': {'train': {'a': 'a does not decode.'}, 'unlabeled': {}},
    'eval/2.json': result,
    'metrics.jsonl': {'step': 2, 'loss/sup': 1.0},
    'splits/labeled.txt': 'a',
    'splits/unlabeled.txt': 'b',
    'weights.json': dict.fromkeys(DESCRIPTION_FIELDS, 'x'),
  }


JSON = st.recursive(
  st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=5),
  lambda inner: (
    st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
  ),
  max_leaves=5,
)


@st.composite
def runs(draw):
  """(file, its bytes): damaged, other JSON, or with one field changed or gone."""
  files = run_files()
  name = draw(st.sampled_from(sorted(files)))
  how = draw(st.sampled_from(['damaged', 'other', 'field', 'field', 'field']))
  if how == 'other':
    return name, json.dumps(draw(JSON)).encode()
  content = json.loads(json.dumps(files[name]))
  if how == 'field' and isinstance(content, dict):
    inner = content
    while True:
      key = draw(st.sampled_from(sorted(inner)))
      if isinstance(inner[key], dict) and inner[key] and draw(st.booleans()):
        inner = inner[key]
        continue
      break
    inner.pop(key)
    if draw(st.booleans()):
      inner[key] = draw(JSON)
  data = json.dumps(content).encode()
  return name, draw(damaged(data)) if how == 'damaged' else data


def check_run(case, tmp_path):
  """A run opens with what it was trained with, or a sentence names the file."""
  name, data = case
  for file, content in run_files().items():
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps(content))
  (tmp_path / name).write_bytes(data)

  def opened():
    config = ConfigDict(read_config(tmp_path))
    names, _ = layout.read_classes(tmp_path)
    build_protocol(config)
    build_method(config, len(names))
    return page([read_run(tmp_path)], [], None)

  sentence_of(opened, name if name not in ('config.json', 'eval/2.json') else '')
  if name == 'weights.json':
    sentence_of(lambda: read_weights(tmp_path), tmp_path)


@functools.cache
def checkpoint_files():
  """Name -> bytes of a checkpoint of four numbers."""
  with tempfile.TemporaryDirectory() as place:
    root = Path(place)
    state = TrainState(jnp.int32(7), {'a': jnp.arange(4.0)}, {}, {}, {})
    with checkpoint.open_manager(root / 'checkpoints') as manager:
      checkpoint.save(manager, 7, state, 0.5)
      checkpoint.finish(manager)
    return {
      str(path.relative_to(root)): path.read_bytes()
      for path in sorted(root.rglob('*'))
      if path.is_file()
    }


@st.composite
def checkpoints(draw):
  """(file, its bytes, None where it is gone) of a checkpoint; files of JSON also as other JSON."""
  files = checkpoint_files()
  name = draw(st.sampled_from(sorted(files)))
  other = JSON.map(lambda content: json.dumps(content).encode())
  return name, draw(st.one_of(damaged(files[name]), st.none(), other))


def check_checkpoint(case, tmp_path):
  """What was saved comes back, or a sentence."""
  changed, data = case
  for name, content in checkpoint_files().items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    if name != changed or data is not None:
      (tmp_path / name).write_bytes(data if name == changed else content)
  found = sentence_of(lambda: checkpoint.load(tmp_path, 'latest'), tmp_path)
  if found is not None:
    step, state = found
    assert step == 7
    np.testing.assert_array_equal(state['params']['a'], np.arange(4.0))


INPUTS = {
  'checkpoints': (checkpoints(), check_checkpoint),
  'runs': (runs(), check_run),
  'configs': (configs(), check_fields),
  'pictures': (pictures(), check_picture),
  'masks': (masks(), check_mask),
  'sets': (sets(), check_set),
  'texts': (TEXTS, check_text),
  'bytes': (weight_bytes(), check_bytes),
}


def run_cases(kind, count):
  strategy, check = INPUTS[kind]
  done = []

  @settings(
    max_examples=count,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
  )
  @given(strategy)
  def cases(case):
    place = Path(tempfile.mkdtemp())
    try:
      check(case, place)
      done.append(case)
    finally:
      shutil.rmtree(place)

  cases()
  return len(done)


@pytest.mark.parametrize('kind', INPUTS)
def test_a_few_cases(kind):
  assert run_cases(kind, FEW) == FEW


@pytest.mark.slow
def test_a_thousand_cases():
  counts = {kind: run_cases(kind, MANY) for kind in INPUTS}
  print(counts)
  assert sum(counts.values()) >= 1000
