"""Any builder of TensorFlow Datasets (TFDS) that has an image and a mask of class ids.

`loader.py` opens the data set, `prepare.py` prepares it, `downloads.py` finds what is missing,
`features.py` finds image, mask, names and splits in the description of the builder, and
`encodings.py` maps the values of the masks to classes. `scene_parse150.py` has the class names of
that builder.

Synopsis:

    dataset = load('DIR', builder='oxford_iiit_pet')
    dataset.train.names[0]        # 'Abyssinian_100'
    dataset.train.read_image(0)   # [500, 394, 3] uint8
    dataset.train.read_label(0)   # [500, 394] uint8, 0..2 and 255
"""

from classmix_jax.datasets.tfds.loader import load

__all__ = ['load']
