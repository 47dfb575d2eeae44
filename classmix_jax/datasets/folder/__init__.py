"""Your own images: directories of images and masks, and a file of class names.

    DIR/classes.txt                            one class per line; line 1 is class 0
    DIR/labeled/images   DIR/labeled/masks     pairs: city/a.jpg and city/a.png
    DIR/unlabeled/images                       optional; masks are not needed and not opened
    DIR/val/images       DIR/val/masks         pairs for validation

`loader.py` opens the data set, `options.py` parses the options of the masks, `mask_options.py`
builds their decoding, and `palette.py` chooses the colours of the classes.
"""

from classmix_jax.datasets.folder.loader import load

__all__ = ['load']
