"""Images, masks and lists of any content: read exactly, or refused in one sentence."""

import io
from pathlib import Path
import unicodedata

from fuzz import FILE_NAMES, TEXTS, damaged, result_or_error, temporary_directory
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from PIL import Image
import tifffile

from classmix_jax.data.files import find_images, pairs
from classmix_jax.data.files.colors import voc_palette
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.file_source import image_source
from classmix_jax.data.files.image_io import read_header, read_image
from classmix_jax.data.files.mask_io import count_raw_values, read_mask
from classmix_jax.data.files.open_image import Encoded
from classmix_jax.data.files.pixel_io import read_pixels
from classmix_jax.data.files.reading import Reading, parse_reading
from classmix_jax.data.files.unused import describe_unused, list_unused
from classmix_jax.data.splits import choose_labeled
from classmix_jax.data.value_check import value_warnings
from classmix_jax.types import VOID

MODES = ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'CMYK', 'I;16', 'I', 'F', 'YCbCr', 'HSV', 'LAB', 'PA')
FORMATS = ('PNG', 'JPEG', 'TIFF', 'BMP', 'WEBP', 'GIF', 'PPM')
COLORS = {(0, 0, 0): 0, (255, 0, 0): 1, (0, 0, 255): 2, (9, 9, 9): VOID}
IDS = {0: 0, 1: 1, 2: 2, 255: VOID}
SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def make_image(values, mode):
  """An image of any PIL mode from uint8 values `[H, W]`."""
  if mode in ('I;16', 'I', 'F'):
    dtype = {'I;16': np.uint16, 'I': np.int32, 'F': np.float32}[mode]
    return Image.fromarray(values.astype(dtype) * (1 if mode == 'F' else 200))
  image = Image.fromarray(values)
  if mode == 'LAB':
    return Image.merge('LAB', [image] * 3)
  if mode in ('HSV', 'PA'):  # PIL converts to these from one mode each
    image = image.convert({'HSV': 'RGB', 'PA': 'P'}[mode])
  return image.convert(mode)


@st.composite
def images(draw):
  """(name, bytes) of any mode, format and orientation, damaged or not."""
  rng = np.random.default_rng(draw(st.integers(0, 3)))
  values = rng.integers(0, 256, draw(SIZES), np.uint8)
  image = make_image(values, draw(st.sampled_from(MODES)))
  options = {}
  if draw(st.booleans()):
    exif = Image.Exif()
    exif[0x0112] = draw(st.integers(0, 12))  # orientation; 1 to 8 are defined
    options['exif'] = exif.tobytes()
  kind, file = draw(st.sampled_from(FORMATS)), io.BytesIO()
  try:
    image.save(file, kind, **options)
  except (OSError, ValueError, KeyError, SystemError):  # a format without such a mode
    file = io.BytesIO()
    image.convert('RGB').save(file, 'PNG', **options)
  suffix = draw(st.sampled_from(find_images.readable_extensions()))  # PIL goes by content
  return draw(FILE_NAMES) + suffix, draw(damaged(file.getvalue()))


@given(images())
def test_fuzz_images(case):
  """A file and a record of the same bytes read alike, at the size that the header gives."""
  name, data = case
  with temporary_directory() as root:
    path = root / name
    path.write_bytes(data)
    size = result_or_error(lambda: read_header(path).size, path)
    image = result_or_error(lambda: read_image(path), path)
    record = Encoded(data, 'record 3', 'Prepare it again.')
    again = result_or_error(lambda: read_image(record), 'record 3')
    assert (image is None) == (again is None)
    if image is not None:
      assert image.dtype == np.uint8 and image.shape == (*size, 3)
      np.testing.assert_array_equal(image, again)
    stem = Path(name).with_suffix('').as_posix()
    assert find_images.find_images(root).keys() == {unicodedata.normalize('NFC', stem)}


@st.composite
def masks(draw):
  """(damaged bytes, bytes, mode, values, format) of listed and unlisted ids and colours."""
  mode = draw(st.sampled_from(['L', 'P', 'I;16', '1', 'RGB', 'RGBA', 'LA', 'F', 'CMYK']))
  only_listed = draw(st.booleans())
  ids = [0, 1, 2, 255] if only_listed else [0, 1, 2, 255, 3, 7, 254]
  height, width = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
  pixels = st.lists(st.sampled_from(ids), min_size=height * width, max_size=height * width)
  values = np.array(draw(pixels), np.uint8).reshape(height, width)
  if mode in ('RGB', 'RGBA'):
    table = np.array([*COLORS, *([] if only_listed else [(1, 2, 3)])], np.uint8)
    values = table[values % len(table)]
    image = Image.fromarray(values).convert(mode)
  elif mode == 'I;16':
    image = Image.fromarray(values.astype(np.uint16))
  elif mode == '1':
    values = (values > 1).astype(np.uint8)
    image = Image.fromarray(values * 255).convert('1')
  elif mode == 'P':
    image = Image.fromarray(values)
    image.putpalette([channel for color in voc_palette(256) for channel in color])
  elif mode == 'F':
    image = Image.fromarray(values.astype(np.float32))
  else:
    image = Image.fromarray(values).convert(mode)
  file = io.BytesIO()
  kind = {'F': 'TIFF', 'CMYK': 'TIFF'}.get(mode, draw(st.sampled_from(['PNG', 'PNG', 'JPEG'])))
  try:
    image.save(file, kind)
  except OSError:  # JPEG has no such mode
    image.save(file, kind := 'PNG')
  return draw(damaged(file.getvalue())), file.getvalue(), mode, values, kind


@given(masks())
def test_fuzz_masks(case):
  """Labels are exactly those that were drawn, or the mask is refused: never others."""
  data, intact, mode, values, kind = case
  colors = COLORS if mode in ('RGB', 'RGBA') else {}
  decoding = Decoding(('ground', 'box', 'ball'), label_table(3), colors)
  with temporary_directory() as root:
    path = root / 'm.png'
    path.write_bytes(data)
    label = result_or_error(lambda: read_mask(path, decoding), path)
    counts = result_or_error(lambda: count_raw_values(path, decoding), path)
  table = colors or IDS
  flat = values.reshape(-1, 3) if values.ndim == 3 else values.ravel()
  keys = [tuple(map(int, value)) if values.ndim == 3 else int(value) for value in flat]
  decodable = (kind == 'PNG' or mode == 'F') and all(key in table for key in keys)
  if decodable and data.startswith(intact):
    assert label is not None and sum(counts.values()) == values.shape[0] * values.shape[1]
  resized = data != intact if mode == 'F' else data[16:24] != intact[16:24]  # would not fit
  if decodable and label is not None and not resized:
    expected = np.array([table[key] for key in keys], np.uint8).reshape(values.shape[:2])
    np.testing.assert_array_equal(label, expected)
  assert decodable or label is None, (kind, mode)


@st.composite
def option_masks(draw):
  """(bytes, raw ids, opacities or None, options): any alpha, and any options of the decoding."""
  shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
  level = st.sampled_from([0, 1, 2, 9, 127, 128, 254, 255])
  values = np.array(draw(st.lists(level, min_size=25, max_size=25)), np.uint8)
  alpha = np.array(draw(st.lists(level, min_size=25, max_size=25)), np.uint8)
  values, alpha = (array[: shape[0] * shape[1]].reshape(shape) for array in (values, alpha))
  kind = draw(st.sampled_from(['L', 'LA', 'RGBA', 'I;16', 'P']))
  image = Image.fromarray(values if kind != 'I;16' else values.astype(np.uint16))
  if kind in ('LA', 'RGBA'):
    image = image.convert(kind)
    image.putalpha(Image.fromarray(alpha))
  save = {}
  if kind == 'P':
    image.putpalette(list(range(256)) * 3)
    opacity = bytes(draw(st.lists(level, min_size=256, max_size=256)))
    save, alpha = {'transparency': opacity}, np.frombuffer(opacity, np.uint8)[values]
  file = io.BytesIO()
  image.save(file, 'PNG', **save)
  options = {
    'threshold': draw(st.sampled_from([0, 0, 1, 128, 255])) if kind != 'P' else 0,
    'others_are_void': draw(st.booleans()),
    'transparent': draw(st.sampled_from([None, 0, 1, VOID, 'color', 'alpha', 'inverse_alpha'])),
  }
  return file.getvalue(), values, alpha if kind in ('LA', 'RGBA', 'P') else None, options


@given(option_masks())
def test_fuzz_mask_options(case):
  """Labels are those of the options, pixel by pixel, or the mask is refused in one sentence."""
  data, values, alpha, options = case
  table = label_table(2, threshold=options['threshold'])
  decoding = Decoding(('ground', 'box'), table, **options)
  record = Encoded(data, 'record 3', 'Prepare it again.')
  label = result_or_error(lambda: read_mask(record, decoding), 'record 3')
  counts = result_or_error(lambda: count_raw_values(record, decoding), 'record 3')
  if counts is not None:
    assert sum(counts.values()) == values.size
  if label is None:
    return
  expected = table[values].copy()
  expected[expected < 0] = VOID
  hidden = np.zeros(values.shape, bool)
  if alpha is not None:
    levels = set(alpha.ravel().tolist()) - {0}
    hidden = alpha < (128 if len(levels) != 1 else 1)
  choice = options['transparent']
  if choice in ('alpha', 'inverse_alpha'):
    expected = hidden ^ (choice == 'alpha')
  elif isinstance(choice, int):
    expected[hidden] = choice
  elif choice is None and hidden.any():
    assert len({*expected[hidden]}) == 1 and not {*expected[hidden]} & {*expected[~hidden]}
  np.testing.assert_array_equal(label, expected)
  by_label = {0: 0, 1: 0, VOID: 0}
  for raw, pixels in counts.items():
    by_label[decoding.label_of(raw)] += pixels
  assert by_label == {value: int((label == value).sum()) for value in by_label}


@given(TEXTS)
def test_fuzz_labeled(text):
  """`config.data.labeled`, as a list of names or as an option, chooses existing images."""
  names = ['a', 'b', 'c/d']
  with temporary_directory() as root:
    path = root / 'list.txt'
    path.write_bytes(text.encode('utf-8', 'surrogatepass'))
    result_or_error(lambda: pairs.read_list(path), path)
    for labeled in (str(path), text):
      chosen = result_or_error(lambda labeled=labeled: choose_labeled(names, labeled, 0))
      assert chosen is None or set(chosen.tolist()) <= {0, 1, 2} and 1 <= len(chosen) <= 3


DTYPES = ('uint8', 'uint16', 'int16', 'int32', 'uint32', 'float32', 'float64', 'complex64', 'int8')
BANDS = st.one_of(
  st.sampled_from(['', '1', '3,2,1', '4,1,2', '2', '7,1,1', '0', '(1, 2, 3)']), TEXTS
)
VALUE_RANGES = st.one_of(
  st.sampled_from(['', '0:3060', 'p2:p98', '0:9,1:2,3:4', '-5:5', '1e400:2', 'p0:p100', 'p5:5']),
  TEXTS,
)


@st.composite
def tiffs(draw):
  """(damaged bytes, bytes, values `[H, W, bands]`) of a TIFF of any type and layout."""
  height, width = draw(SIZES)
  bands, dtype = draw(st.integers(1, 5)), np.dtype(draw(st.sampled_from(DTYPES)))
  rng = np.random.default_rng(draw(st.integers(0, 3)))
  highest = draw(st.sampled_from([1, 100, 3060]))
  values = (rng.random((height, width, bands)) * highest).astype(dtype)
  if dtype.kind == 'f' and draw(st.booleans()):
    values[0, 0] = draw(st.sampled_from([np.nan, np.inf, -np.inf]))
  how, file = draw(st.sampled_from(['contig', 'separate', 'pages'])), io.BytesIO()
  stored = values if how == 'contig' else np.moveaxis(values, -1, 0)
  nodata = draw(st.sampled_from([None, '0', 'nan', 'x', '1e999']))
  tifffile.imwrite(
    file,
    stored[..., 0] if how == 'contig' and bands == 1 else stored[0] if bands == 1 else stored,
    photometric='minisblack',
    planarconfig=None if how == 'pages' or bands == 1 else how,
    compression=draw(st.sampled_from([None, 'zlib', 'lzw', 'zstd', 'packbits'])),
    bigtiff=draw(st.booleans()),
    metadata=None,
    extratags=[(42113, 's', 0, nodata, True)] if nodata else [],
  )
  return draw(damaged(file.getvalue())), file.getvalue(), values


@given(tiffs(), BANDS, VALUE_RANGES)
def test_fuzz_tiffs_of_any_bands_and_ranges(case, bands, value_range):
  """Values are those that were written, and images `[H, W, 3]` bytes, or refused."""
  data, intact, values = case
  reading = result_or_error(lambda: parse_reading(bands, value_range), 'config.data.') or Reading()
  with temporary_directory() as root:
    path = root / 'a.tif'
    path.write_bytes(data)
    size = result_or_error(lambda: read_header(path).size, path)
    pixels = result_or_error(lambda: read_pixels(path), path)
    image = result_or_error(lambda: read_image(path, reading=reading), path)
    if data == intact and values.dtype.kind != 'c':
      np.testing.assert_array_equal(pixels.reshape(values.shape), values)
    if image is not None:
      assert size is not None and image.shape == (*size, 3) and image.dtype == np.uint8
      again = read_image(Encoded(data, 'record 3', 'Prepare it again.'), reading=reading)
      np.testing.assert_array_equal(image, again)
    source = image_source(find_images.find_images(root), reading=reading)
    assert all('--config.data.value_range=' in sentence for sentence in value_warnings([source]))


NAMES = [
  *('a.png', 'a.jpg', '.a.png', 'b.HEIC', 'c', '_', '.', 'Thumbs.db', 'x.pdf', 'y.nii.gz', 'z.TIF'),
  *('a_overlay.png', 'a_confidence.png', 'classes.json', 'config.json', 'metrics.jsonl', 'é.gif'),
]


@given(
  st.lists(st.tuples(st.sampled_from(['', 'out', '@eaDir', '.x', 'd/e']), st.sampled_from(NAMES)))
)
def test_fuzz_directories(files):
  """Every file is an image, or is counted once among those that are not read."""
  with temporary_directory() as root:
    for directory, name in files:
      if name != '.':
        (root / directory).mkdir(parents=True, exist_ok=True)
        (root / directory / name).write_bytes(b'x')
    images = list(find_images.image_paths(root))
    unused = [path for one in list_unused([root]) for path in one.paths]
    assert len(set(unused)) == len(unused) and not set(unused) & set(images)
    for path in root.rglob('*'):
      is_known = path in images or any(path.is_relative_to(other) for other in unused)
      assert is_known or path.is_dir(), path
    for sentence in describe_unused([root]):
      assert sentence.endswith('.') and '\n' not in sentence
