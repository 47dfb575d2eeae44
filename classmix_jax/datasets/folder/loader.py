"""Opens a data set of the user's own images.

Synopsis:

    dataset = load('DIR', label_map='255:1')
    dataset.train.read_label(0)    # [H, W] uint8
"""

from collections.abc import Mapping
import os
from pathlib import Path

from classmix_jax.data.class_files.class_table import color_table
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.data.files.checks import check_exists, check_pairs
from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.file_source import image_source, paired_source
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.pairs import Pairs, pair
from classmix_jax.data.files.reading import Reading, parse_reading
from classmix_jax.data.source import Dataset, Source
from classmix_jax.datasets.folder.mask_options import MaskOptions, build_decoding
from classmix_jax.datasets.folder.options import parse_colors
from classmix_jax.datasets.folder.palette import choose_palette
from classmix_jax.errors import UserError
from classmix_jax.types import Size

LAYOUT = (
  'labeled/images, labeled/masks, val/images, val/masks, classes.txt and, if you have them, '
  'unlabeled/images'
)


def load(
  root: str,
  size: Size | None = None,
  classes: str = '',
  label_map: str = '',
  colors: str = '',
  ignore: str = '',
  mask_threshold: int = 0,
  color_distance: float = 0.0,
  others: str = '',
  transparent: str = '',
  turn_masks: bool = False,
  bands: str = '',
  value_range: str = '',
) -> Dataset:
  """Returns the data set in a directory; checks paths, pairs and sizes without decoding.

  Images and masks are matched by their path below images/ and masks/ without extension, which is
  also the name of the example. Masks hold class ids (grey or palette images) or colours (RGB
  images). 255 is void unless `label_map` maps it.

  Args:
    root: the directory.
    size: working resolution (height, width); None keeps the size of every image.
    classes: file of class names, absolute or relative to root, in a format of
      data/class_files; '' is classes.txt. Its ids are values of masks, and its colours those of
      figures and of RGB masks.
    label_map: 'RAW:CLASS,...' maps further values of masks; CLASS is an id or void. '255:1,7:void'
      reads 255 as class 1 and 7 as void.
    colors: '#RRGGBB:CLASS,...', colours in RGB masks beside those of the class file.
    ignore: 'RAW,...', values to read as void: '0,3' is short for label_map='0:void,3:void'.
    mask_threshold: see `MaskOptions`, as are the four below.
    color_distance: largest distance of a pixel to the colour of its class.
    others: 'void' or ''.
    transparent: what transparent pixels are.
    turn_masks: whether masks are turned with their images.
    bands: 'B,B,B' or 'B', the bands of images that are read, from 1; '' is grey or RGB.
    value_range: 'LOW:HIGH' or percentiles 'pLOW:pHIGH' of the images, which become 0..255; '' is
      the whole range of their type.

  Raises:
    UserError: lists what is missing, malformed or inconsistent, and the remedy.

  Example: `load('DIR', size=(256, 256), ignore='0').train.names == ('a', 'b')`.
  """
  base = Path(os.path.expanduser(root))
  class_file = base / Path(os.path.expanduser(classes or 'classes.txt'))
  directories = [
    base / split / kind for split in ('labeled', 'val') for kind in ('images', 'masks')
  ]
  if not root or not all(directory.is_dir() for directory in directories):
    check_exists(root and str(base), [*directories, class_file], LAYOUT)
  table = read_class_file(class_file)
  option_colors = parse_colors(colors, table.names)
  options = MaskOptions(
    label_map, ignore, mask_threshold, color_distance, others, transparent, turn_masks
  )
  table_colors = color_table(table, class_file) | option_colors
  decoding = build_decoding(table.names, table.label_map(), table_colors, options)
  reading = parse_reading(bands, value_range)
  labeled, val = (_find_pairs(base / part, decoding) for part in ('labeled', 'val'))
  return Dataset(
    name='folder',
    class_names=table.names,
    palette=choose_palette(table.colors, option_colors, labeled.masks),
    train=paired_source(labeled, decoding, size, reading),
    val=paired_source(val, decoding, size, reading),
    unlabeled=_open_unlabeled(base / 'unlabeled', size, reading),
  )


def _find_pairs(directory: Path, decoding: Decoding) -> Pairs:
  pairs = pair(
    _find_images(directory / 'images'),
    find_images(directory / 'masks'),
    remedy='A mask has the path of its image below masks/, as in images/city/a.jpg and '
    'masks/city/a.png. Add the masks, or move images without one to unlabeled/images.',
  )
  check_pairs(pairs, decoding)
  return pairs


def _open_unlabeled(directory: Path, size: Size | None, reading: Reading) -> Source | None:
  """Opens the images without labels, None if there is no such directory; ignores its masks/."""
  if not directory.exists():
    return None
  if not (directory / 'images').is_dir():
    raise UserError(
      f'{directory} has no subdirectory images. Move the images to {directory / "images"}.'
    )
  return image_source(_find_images(directory / 'images'), size, reading)


def _find_images(directory: Path) -> Mapping[str, Path]:
  images = find_images(directory)
  if not images:
    raise UserError(
      f'{directory} holds no images (png, jpg, jpeg, bmp, tif, tiff, webp). Add some or remove the '
      'directory.'
    )
  return images
