"""Converts annotation exports to masks of class ids and classes.txt, for configs/folder.py.

    python launch/convert_labels.py --input=EXPORT --output=DATA --background=background
    python launch/convert_labels.py --from=coco --input=instances_val2017.json --output=COCO \\
        --classes=coco --background=background          # for configs/coco.py
    python launch/convert_labels.py --from=via --input=via_project.json --images=IMAGES \\
        --attribute=type --output=DATA
    python launch/convert_labels.py --from=colors --input=MASKS --classes=voc --output=DATA

Without --from the kind of export is detected. If regions overlap, the one that is painted last is
visible:

    coco                         larger regions first, so that small ones lie on top; equal ones in
                                 the file's order
    labelme, label_studio,       in the order of the file, later ones on top
    supervisely, via
    cvat                         by z_order, then in the order of the file, later ones on top
    colors, coco_panoptic        nothing overlaps

Pixels without annotation are void (255), or class 0 with --background=NAME. Lines and points are
void too, or N pixels wide with --line-width=N. Class ids follow the sorted names (colors: the
table's order), or --classes=FILE. Masks that exist are painted again if their annotations changed,
and kept if they were edited by hand; --overwrite replaces these too.
"""

from pathlib import Path

from absl import flags

FROM = flags.DEFINE_string(
  'from',
  '',
  'Kind of export: coco, coco_panoptic, labelme, cvat, label_studio, supervisely, via or colors. '
  'Default: detected.',
)
INPUT = flags.DEFINE_string('input', '', 'The export: a file, or a directory.')
OUTPUT = flags.DEFINE_string('output', '', 'Directory for masks/NAME.png and classes.txt.')
CLASSES = flags.DEFINE_string(
  'classes',
  '',
  "File that fixes names and ids: classes.txt, CVAT's labelmap.txt, 'voc' or 'coco'. For "
  '--from=colors also the colours; default there: the file of that name in --input.',
)
BACKGROUND = flags.DEFINE_string(
  'background', '', 'Name of the class of pixels without annotation; default: void (255).'
)
LINE_WIDTH = flags.DEFINE_integer(
  'line-width', 0, 'Width of lines and points in pixels; default: void along them.'
)
IMAGES = flags.DEFINE_string(
  'images',
  '',
  'Directory of the images: masks get the names of its files, and sizes that an export lacks are '
  'read from them. Default for via: the directory of the export.',
)
ATTRIBUTE = flags.DEFINE_string(
  'attribute', '', 'Attribute of the regions that holds their class (via); default: found.'
)
OVERWRITE = flags.DEFINE_bool(
  'overwrite', False, 'Replace all masks and classes.txt, also masks that were edited by hand.'
)


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.tools.annotations.convert import convert

  for name, flag in (('--input', INPUT), ('--output', OUTPUT)):
    if not flag.value:
      raise UserError(f'{name} is missing; --help shows examples.')
  convert(
    FROM.value,
    Path(INPUT.value).expanduser(),
    Path(OUTPUT.value).expanduser(),
    classes=CLASSES.value,
    background=BACKGROUND.value,
    line_width=LINE_WIDTH.value,
    images=Path(IMAGES.value).expanduser() if IMAGES.value else None,
    attribute=ATTRIBUTE.value,
    overwrite=OVERWRITE.value,
  )
