"""ADE20K: 20,210 training and 2,000 validation images of many sizes, 150 classes.

`loader.py` opens the data set, `classes.py` has class names, colours and the values of the masks.

Synopsis:

    dataset = load('ADEChallengeData2016')
    dataset.train.names[0]        # 'ADE_train_00000001'
    dataset.train.read_image(0)   # [683, 512, 3] uint8
    dataset.train.read_label(0)   # [683, 512] uint8, 0..149 and 255

B. Zhou et al., "Scene Parsing through ADE20K Dataset", 2017.
"""

from classmix_jax.datasets.ade20k.loader import load

__all__ = ['load']
