"""Opens a data set of the user's own images.

Synopsis:

    dataset = load('DIR', label_map='255:1')
    dataset.train.read_label(0)    # [H, W] uint8
    dataset.notes                  # how the directory was read, in sentences
"""

import os

from classmix_jax.data.class_files.class_table import color_table, list_notes
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.data.files.checks import check_pairs
from classmix_jax.data.files.file_source import image_source, paired_source
from classmix_jax.data.files.reading import parse_reading
from classmix_jax.data.files.unused import describe_unused
from classmix_jax.data.source import Dataset
from classmix_jax.datasets.folder.mask_options import MaskOptions, build_decoding
from classmix_jax.datasets.folder.options import parse_colors
from classmix_jax.datasets.folder.palette import choose_palette
from classmix_jax.datasets.folder.parts import read_directories, read_parts
from classmix_jax.datasets.folder.patterns import Patterns
from classmix_jax.datasets.folder.recognize import check_root, choose_layout, locate_class_file
from classmix_jax.types import Size


def load(
  root: str,
  size: Size | None = None,
  images: str = '',
  masks: str = '',
  unlabeled_images: str = '',
  val: str = '',
  val_share: float = 0.2,
  val_seed: int = 0,
  labeled: int | str = '',
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

  The layout is recognized (`layouts/`): our own, or that of another program. Images and masks are
  matched by their names; images without a mask are used without labels. The name of an example is
  the path of its image below the directory of images, without extension. Masks hold class ids
  (grey or palette images) or colours (RGB images). 255 is void unless `label_map` maps it.

  Args:
    root: the directory.
    size: working resolution (height, width); None keeps the size of every image.
    images: pattern of the images, relative to root, as 'photos/*.jpg'; '' is by the layout.
    masks: pattern of the masks, as 'gt/{name}_mask.png', or 'gt/*' to match them by their names.
    unlabeled_images: pattern of further images without labels.
    val: pattern of the images for validation, or a file of their names, one a line.
    val_share: fraction of the labelled images for validation if there are no others, at least one.
    val_seed: chooses these images, by a hash of each name.
    labeled: `config.data.labeled`; images that a file lists are not set aside for validation.
    classes: file of class names, absolute or relative to root, in a format of data/class_files; ''
      is classes.txt, or the file of the layout. Its ids are values of masks, and its colours those
      of figures and of RGB masks.
    label_map: 'RAW:CLASS,...' maps further values of masks; CLASS is an id, a name or void.
      '255:1,7:void' reads 255 as class 1 and 7 as void.
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
  directory = check_root(root)
  patterns = Patterns(images, masks, unlabeled_images, val)
  base, layout = choose_layout(directory, patterns)
  patterns = patterns.below(base.relative_to(directory))
  parts = read_parts(base, layout, patterns, val_share, val_seed, str(labeled))
  if layout and layout.classes and layout.class_file and not classes:
    class_file, table = layout.class_file, layout.classes
  else:
    class_file = directory / os.path.expanduser(classes)
    if not classes:
      named = patterns.directories(base) or ()
      roots = [directory, base, *(place for one in named for place in (one.parent, one))]
      class_file = locate_class_file(list(dict.fromkeys(roots)), layout)
    table = read_class_file(class_file)
  option_colors = parse_colors(colors, table.names)
  options = MaskOptions(
    label_map, ignore, mask_threshold, color_distance, others, transparent, turn_masks
  )
  table_colors = (
    color_table(table, class_file) | dict(layout.colors if layout else {}) | option_colors
  )
  decoding = build_decoding(table.names, table.label_map(), table_colors, options)
  reading = parse_reading(bands, value_range)
  check_pairs(parts.train, decoding)
  check_pairs(parts.val, decoding)
  return Dataset(
    name='folder',
    class_names=table.names,
    palette=choose_palette(table.colors, option_colors, parts.train.masks, table.raw_ids),
    train=paired_source(parts.train, decoding, size, reading),
    val=paired_source(parts.val, decoding, size, reading),
    unlabeled=image_source(parts.unlabeled, size, reading) if parts.unlabeled else None,
    test=paired_source(parts.test, decoding, size, reading) if parts.test.names else None,
    notes=(
      *parts.notes,
      *list_notes(table, class_file),
      *describe_unused(read_directories(layout, parts), used=[class_file]),
    ),
  )
