"""Cityscapes: 2,975 training and 500 validation images of 1024 x 2048 pixels, 19 classes.

`loader.py` reads either unpacked directories (`folders.py`) or the two archives, which TensorFlow
Datasets prepares (`archives.py`); both give the same names and pixels. `classes.py` has the classes
and their label ids.

Synopsis:

    dataset = load('Cityscapes', size=(512, 1024))
    dataset.train.names[0]        # 'aachen/aachen_000000_000019'
    dataset.train.read_image(0)   # [512, 1024, 3] uint8
    dataset.train.read_label(0)   # [512, 1024] uint8, 0..18 and 255

M. Cordts et al., "The Cityscapes Dataset for Semantic Urban Scene Understanding",
arXiv:1604.01685.
"""

from classmix_jax.datasets.cityscapes.loader import load

__all__ = ['load']
