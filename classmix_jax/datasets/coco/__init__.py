"""COCO 2017 with 81 classes: 118,287 training and 5,000 validation images.

`loader.py` opens the data set, `classes.py` has class names and colours.

Synopsis:

    dataset = load('COCO')
    dataset.train.names[0]        # '000000000009'
    dataset.train.read_image(0)   # [480, 640, 3] uint8
    dataset.train.read_label(0)   # [480, 640] uint8, 0..80 and 255

T.-Y. Lin et al., "Microsoft COCO: Common Objects in Context", arXiv:1405.0312.
"""

from classmix_jax.datasets.coco.loader import load

__all__ = ['load']
