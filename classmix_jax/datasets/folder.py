"""Your own pictures: a folder of images, masks for some of them, and a file of class names.

Synopsis:

    DIR/classes.txt                            one class per line; line 1 is class 0
    DIR/labeled/images   DIR/labeled/masks     pairs: city/a.jpg and city/a.png
    DIR/unlabeled/images                       optional; no masks wanted, none opened
    DIR/val/images       DIR/val/masks         pairs to validate on
    dataset = load('DIR', label_map='255:1')   # Dataset
"""

from collections.abc import Callable, Mapping, Sequence
import os
from pathlib import Path
from typing import TypeVar

from classmix_jax.data.files.file_source import image_source, paired_source
from classmix_jax.data.files.image_io import Size, read_palette
from classmix_jax.data.files.mask_io import RAW_VALUES, Decoding, label_table
from classmix_jax.data.files.pairs import Pairs, check_exists, check_pairs, find_images, pair
from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

Color = tuple[int, int, int]
Key = TypeVar('Key')

LAYOUT = (
  'labeled/images, labeled/masks, val/images, val/masks, classes.txt and, if you have them, '
  'unlabeled/images'
)
CLASSES_REMEDY = (
  "Write one class name per line, line 1 for class 0, with an optional colour: 'road 128 64 128'"
)


def load(
  root: str,
  size: Size | None = None,
  classes: str = '',
  label_map: str = '',
  colors: str = '',
  ignore: str = '',
) -> Dataset:
  """Returns the data set in a folder; checks paths, pairs and sizes, and decodes nothing yet.

  Images and masks are matched by their path below images/ and masks/ without
  extension, which is also their name. Masks are class ids (grey or palette
  pictures) or colours (RGB pictures). 255 is void unless `label_map` maps it.

  Args:
    root: the folder.
    size: working resolution (height, width); None keeps every image as it is.
    classes: file of class names, absolute or relative to root; '' is classes.txt.
      A line is a name (spaces allowed), then optionally three integers 0..255:
      the colour of the class in pictures and in RGB masks. Empty lines and lines
      that start with # are skipped.
    label_map: 'RAW:CLASS,...', what other values in masks mean; CLASS is an id or
      void. '255:1,7:void' reads 255 as class 1 and 7 as void.
    colors: '#RRGGBB:CLASS,...', colours in RGB masks beside those of the class file.
    ignore: 'RAW,...', values to read as void: '0,3' is short for label_map='0:void,3:void'.

  Raises:
    UserError: says what is missing, malformed or unequal, and the remedy.

  Example: `load('DIR', size=(256, 256), ignore='0').train.names == ('a', 'b')`.
  """
  base = Path(os.path.expanduser(root))
  class_file = base / Path(os.path.expanduser(classes or 'classes.txt'))
  folders = [base / split / kind for split in ('labeled', 'val') for kind in ('images', 'masks')]
  if not root or not all(folder.is_dir() for folder in folders):
    check_exists(root and str(base), [*folders, class_file], LAYOUT)
  class_names, class_colors = read_classes(class_file)
  own_colors = parse_colors(colors, class_names)
  decoding = Decoding(
    class_names,
    label_table(len(class_names), parse_label_map(label_map, ignore, class_names)),
    _color_table(class_colors, class_file) | own_colors,
  )
  labeled, val = _pairs(base / 'labeled'), _pairs(base / 'val')
  return Dataset(
    name='folder',
    class_names=class_names,
    palette=_palette(class_colors, own_colors, labeled.masks),
    train=paired_source(labeled, decoding, size),
    val=paired_source(val, decoding, size),
    unlabeled=_unlabeled(base / 'unlabeled', size),
  )


def _pairs(folder: Path) -> Pairs:
  images = _images(folder / 'images')
  pairs = pair(
    images,
    find_images(folder / 'masks'),
    remedy='A mask has the path of its image below masks/, as in images/city/a.jpg and '
    'masks/city/a.png. Add the masks, or move images without one to unlabeled/images.',
  )
  check_pairs(pairs)
  return pairs


def _unlabeled(folder: Path, size: Size | None) -> Source | None:
  """Returns the images without labels; a folder masks/ beside them is not looked at."""
  if not folder.exists():
    return None
  if not (folder / 'images').is_dir():
    raise UserError(f'{folder} holds no folder images. Move the images to {folder / "images"}.')
  return image_source(_images(folder / 'images'), size)


def _images(folder: Path) -> Mapping[str, Path]:
  images = find_images(folder)
  if not images:
    raise UserError(
      f'{folder} holds no images (png, jpg, jpeg, bmp, tif, tiff, webp). Add some or remove the '
      'folder.'
    )
  return images


# ------------------------------------------------------------------- class names


def read_classes(path: Path) -> tuple[tuple[str, ...], tuple[Color | None, ...]]:
  """Returns the names in a class file and their colours, None where a line has none.

  Raises:
    UserError: the file is missing, is no text, or holds fewer than 2 or more than
      255 names, one name twice, the name void, or a colour outside 0..255.

  Example: a file of 'road 128 64 128' and 'traffic light' gives
    `(('road', 'traffic light'), ((128, 64, 128), None))`.
  """
  lines = enumerate(_read_text(path).splitlines(), start=1)
  rows = [
    _parse_class(line.strip(), f'{path}, line {number}')
    for number, line in lines
    if line.strip() and not line.strip().startswith('#')
  ]
  names = tuple(name for name, _ in rows)
  if not 2 <= len(names) < VOID:
    raise UserError(
      f'{path} holds {len(names)} class names, expected are 2 to {VOID - 1}. {CLASSES_REMEDY}; '
      'the background is a class too.'
    )
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise UserError(f"{path} holds '{twice[0]}' twice: rename or remove one of the lines.")
  return names, tuple(color for _, color in rows)


def _read_text(path: Path) -> str:
  try:
    return path.read_text(encoding='utf-8-sig')  # editors on Windows put a mark in front
  except (FileNotFoundError, IsADirectoryError):
    raise UserError(
      f'There is no file {path} with the class names. {CLASSES_REMEDY}; or set '
      '--config.data.classes=FILE.'
    ) from None
  except UnicodeDecodeError:
    raise UserError(f'{path} is not text in UTF-8: save it in this encoding.') from None


def split_color(line: str, where: str) -> tuple[str, Color | None]:
  """Splits a line into a name and the colour behind it, None where it ends in no three integers.

  Raises:
    UserError: an integer above 255; `where` says in which line.

  Example: `split_color('traffic light 250 170 30', '') == ('traffic light', (250, 170, 30))`.
  """
  words = line.split()
  if len(words) < 4 or not all(word.isdecimal() for word in words[-3:]):
    return ' '.join(words), None
  color = tuple(map(int, words[-3:]))
  if max(color) > 255:
    raise UserError(f"{where} is '{line}': a colour is three integers from 0 to 255.")
  return ' '.join(words[:-3]), color


def _parse_class(line: str, where: str) -> tuple[str, Color | None]:
  name, color = split_color(line, where)
  if name.lower() == 'void':
    raise UserError(
      f"{where} is '{line}', but void is no class: remove the line and set "
      "--config.data.label_map='ID:void' or --config.data.colors='#RRGGBB:void'."
    )
  return name, color


def _color_table(colors: Sequence[Color | None], path: Path) -> dict[Color, int]:
  table: dict[Color, int] = {}
  for label, color in enumerate(colors):
    if color in table:
      raise UserError(
        f'{path} gives the colour {" ".join(map(str, color))} to classes {table[color]} and '
        f'{label}: colours must differ.'
      )
    if color is not None:
      table[color] = label
  return table


# ------------------------------------------------------------------------ options


def parse_label_map(text: str, ignore: str, class_names: Sequence[str]) -> dict[int, int]:
  """Returns raw value -> class id or `VOID` from the options `label_map` and `ignore`.

  Raises:
    UserError: an entry is malformed, or one value stands in both options.

  Example: `parse_label_map('255:1', '7', ('road', 'car')) == {255: 1, 7: 255}`.
  """
  table = _parse_table('label_map', text, _raw_value, '255:1,7:void', class_names)
  for entry in _entries(ignore):
    raw = _raw_value(entry)
    if raw is None:
      raise UserError(
        f'--config.data.ignore={ignore!r}: {entry!r} is no value of a mask; expected are '
        "integers from 0, as in '0,3'."
      )
    if table.get(raw, VOID) != VOID:
      raise UserError(
        f'--config.data.ignore and --config.data.label_map both name {raw}: remove it from one.'
      )
    table[raw] = VOID
  return table


def parse_colors(text: str, class_names: Sequence[str]) -> dict[Color, int]:
  """Returns colour -> class id or `VOID` from the option `colors`.

  Raises:
    UserError: an entry is malformed.

  Example: `parse_colors('#ff0000:1', ('road', 'car')) == {(255, 0, 0): 1}`.
  """
  return _parse_table('colors', text, _color, '#804080:0,#000000:void', class_names)


def _parse_table(
  option: str,
  text: str,
  parse_key: Callable[[str], Key | None],
  sample: str,
  class_names: Sequence[str],
) -> dict[Key, int]:
  table: dict[Key, int] = {}
  for entry in _entries(text):
    left, _, right = (part.strip() for part in entry.partition(':'))
    key, label = parse_key(left), _class_id(right, len(class_names))
    if key is None or label is None:
      raise UserError(
        f"--config.data.{option}={text!r}: {entry!r} does not read; expected is '{sample}' with "
        f'classes from 0 to {len(class_names) - 1} or void.'
      )
    if table.get(key, label) != label:
      raise UserError(f'--config.data.{option}={text!r} maps {left} twice: remove one entry.')
    table[key] = label
  return table


def _entries(text: str) -> list[str]:
  return [entry.strip() for entry in text.split(',') if entry.strip()]


def _raw_value(text: str) -> int | None:
  return int(text) if text.isdecimal() and int(text) < RAW_VALUES else None


def _class_id(text: str, num_classes: int) -> int | None:
  if text == 'void':
    return VOID
  return int(text) if text.isdecimal() and int(text) < num_classes else None


def _color(text: str) -> Color | None:
  digits = text.removeprefix('#')
  if len(digits) != 6 or not set(digits.lower()) <= set('0123456789abcdef'):
    return None
  return tuple(bytes.fromhex(digits))


# ------------------------------------------------------------------------ palette


def _palette(
  class_colors: Sequence[Color | None],
  own_colors: Mapping[Color, int],
  masks: Sequence[Path],
) -> tuple[Color, ...]:
  """Returns a colour per class: of the class file, option, masks' palette, or made up."""
  by_class = {label: color for color, label in reversed(own_colors.items())}
  spare = _mask_palette(masks, len(class_colors)) or voc_palette(len(class_colors))
  return tuple(
    color or by_class.get(label) or spare[label] for label, color in enumerate(class_colors)
  )


def _mask_palette(masks: Sequence[Path], count: int) -> tuple[Color, ...] | None:
  """Returns the first colours of the first mask, None where it has not so many."""
  try:
    palette = read_palette(masks[0]) if masks else []
  except UserError:  # found by `check_pairs`, or told later by the check of the data
    return None
  return tuple(palette[:count]) if len(palette) >= count else None


def voc_palette(count: int) -> tuple[Color, ...]:
  """Returns the first colours of the PASCAL VOC colour map: the bits of the id, spread.

  Example: `voc_palette(3) == ((0, 0, 0), (128, 0, 0), (0, 128, 0))`.
  """

  def channel(label: int, offset: int) -> int:
    return sum((label >> (3 * bit + offset) & 1) << (7 - bit) for bit in range(3))

  return tuple(tuple(channel(label, offset) for offset in range(3)) for label in range(count))
