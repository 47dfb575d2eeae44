"""Converts annotation exports to masks of class ids and classes.txt, for configs/folder.py.

    python launch/convert_labels.py --from=coco --input=annotations.json --output=DATA/labeled
    python launch/convert_labels.py --from=coco --input=instances_val2017.json --output=COCO \\
        --classes=coco --background=background          # for configs/coco.py
    python launch/convert_labels.py --from=labelme --input=JSON --output=DATA/labeled
    python launch/convert_labels.py --from=cvat --input=annotations.xml --output=DATA/labeled
    python launch/convert_labels.py --from=colors --input=MASKS --classes=voc --output=DATA/labeled

If regions overlap, the one that is painted last is visible:

    coco     larger regions first, so that small ones lie on top; equal ones in the file's order
    labelme  in the order of the file, later ones on top
    cvat     by z_order, then in the order of the file, later ones on top
    colors   nothing overlaps

Pixels without annotation are void (255), or class 0 with --background=NAME. Class ids follow the
sorted names (colors: the table's order), or --classes=FILE. Existing files are kept; --overwrite
replaces them.
"""

from pathlib import Path

from absl import flags

FROM = flags.DEFINE_string('from', '', 'Kind of export: coco, labelme, cvat or colors.')
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
OVERWRITE = flags.DEFINE_bool('overwrite', False, 'Replace masks and classes.txt that exist.')


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.tools.annotations.convert import convert

  for name, flag in (('--from', FROM), ('--input', INPUT), ('--output', OUTPUT)):
    if not flag.value:
      raise UserError(f'{name} is missing; --help shows examples.')
  convert(
    FROM.value,
    Path(INPUT.value).expanduser(),
    Path(OUTPUT.value).expanduser(),
    classes=CLASSES.value,
    background=BACKGROUND.value,
    overwrite=OVERWRITE.value,
  )
