"""PASCAL VOC 2012: 10,582 training, 1,449 validation images; 20 object classes, background.

`loader.py` opens the data set, `folders.py` finds images and masks in VOCdevkit, `classes.py` has
class names and colours.

Synopsis:

    dataset = load('VOCdevkit/VOC2012')
    dataset.train.names[0]        # '2007_000032'
    dataset.train.read_image(0)   # [281, 500, 3] uint8
    dataset.train.read_label(0)   # [281, 500] uint8, 0..20 and 255

M. Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", 2015;
B. Hariharan et al., "Semantic Contours from Inverse Detectors", 2011: the further masks.
"""

from classmix_jax.datasets.pascal_voc.loader import load

__all__ = ['load']
