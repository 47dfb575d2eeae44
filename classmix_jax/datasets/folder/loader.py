"""Opens a data set of the user's own images.

Synopsis:

    dataset = load('DIR', label_map='255:1')
    dataset.train.read_label(0)    # [H, W] uint8
    dataset.notes                  # how the directory was read, in sentences
"""

import os

from classmix_jax.data.class_files.class_table import color_table
from classmix_jax.data.class_files.reader import read_class_file
from classmix_jax.data.files.checks import check_pairs
from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.file_source import image_source, paired_source
from classmix_jax.data.files.reading import parse_reading
from classmix_jax.data.files.unused import describe_unused
from classmix_jax.data.source import Dataset
from classmix_jax.datasets.folder.contents import Patterns
from classmix_jax.datasets.folder.options import parse_colors, parse_label_map
from classmix_jax.datasets.folder.palette import choose_palette
from classmix_jax.datasets.folder.parts import read_directories, read_parts
from classmix_jax.datasets.folder.recognize import check_root, find_class_file, recognize
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
    classes: file of class names, absolute or relative to root, in a format of
      data/class_files; '' is classes.txt, or the file of the layout. Its ids are values of masks,
      and its colours those of figures and of RGB masks.
    label_map: 'RAW:CLASS,...' maps further values of masks; CLASS is an id or void. '255:1,7:void'
      reads 255 as class 1 and 7 as void.
    colors: '#RRGGBB:CLASS,...', colours in RGB masks beside those of the class file.
    ignore: 'RAW,...', values to read as void: '0,3' is short for label_map='0:void,3:void'.
    bands: 'B,B,B' or 'B', the bands of images that are read, from 1; '' is grey or RGB.
    value_range: 'LOW:HIGH' or percentiles 'pLOW:pHIGH' of the images, which become 0..255; '' is
      the whole range of their type.

  Raises:
    UserError: lists what is missing, malformed or inconsistent, and the remedy.

  Example: `load('DIR', size=(256, 256), ignore='0').train.names == ('a', 'b')`.
  """
  base = check_root(root)
  class_file = base / os.path.expanduser(classes)
  layout = None
  if not (images and masks):
    base, layout = recognize(base)
  if not classes:
    class_file = find_class_file(base, layout)
  patterns = Patterns(images, masks, unlabeled_images, val)
  parts = read_parts(base, layout, patterns, val_share, val_seed, str(labeled))
  table = read_class_file(class_file)
  option_colors = parse_colors(colors, table.names)
  decoding = Decoding(
    table.names,
    label_table(0, table.label_map() | parse_label_map(label_map, ignore, table.names)),
    color_table(table, class_file) | option_colors,
  )
  reading = parse_reading(bands, value_range)
  check_pairs(parts.train)
  check_pairs(parts.val)
  return Dataset(
    name='folder',
    class_names=table.names,
    palette=choose_palette(table.colors, option_colors, parts.train.masks),
    train=paired_source(parts.train, decoding, size, reading),
    val=paired_source(parts.val, decoding, size, reading),
    unlabeled=image_source(parts.unlabeled, size, reading) if parts.unlabeled else None,
    notes=(*parts.notes, *describe_unused(read_directories(layout, parts), used=[class_file])),
  )
