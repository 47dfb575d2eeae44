"""Cityscapes: 2,975 street scenes of 1024 x 2048 to train, 500 to validate, 19 classes.

`loader.py` chooses between `folders.py` (unpacked) and `archives.py` (the two zip files, through
TensorFlow Datasets); both give the same names and pixels. `classes.py` knows the label ids.

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
