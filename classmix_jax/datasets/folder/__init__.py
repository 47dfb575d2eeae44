"""Your own images: directories of images and masks, and a file of class names.

    DIR/classes.txt                  one class per line; line 1 is class 0
    DIR/images   DIR/masks           city/a.jpg and city/a.png; images without a mask have no label
    DIR/val/images   DIR/val/masks   optional: without these some of the pairs are set aside

The directories are found in these steps, a file each:

1. `recognize.py`: the directory with the data, and its layout, one of `layouts/`.
2. `contents.py`: its images and their masks; `mask_names.py` and `affixes.py` match their names,
   `patterns.py` finds what the user names instead of a layout.
3. `parts.py`: images with and without labels, and those for validation, which `holdout.py` chooses.
4. `loader.py`: the data set. `options.py` parses the options of the masks, `mask_options.py` builds
   their decoding, and `palette.py` chooses the colours of the classes.

`describe.py` puts into words what was read, and `foreign.py` names annotations that are no masks.
"""

from classmix_jax.datasets.folder.loader import load

__all__ = ['load']
