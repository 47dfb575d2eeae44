"""Scenes: 1,000 + 200 procedural street scenes, rendered by this project without a download.

`loader.py` opens the prepared data set, which `builder.py` prepares once; `render.py` renders one
scene from two integers, by the other modules:

    classes, draws, noise             names and colours; random draws; noise tiles
    camera, weather, street, canvas   random properties of a scene, and its images; `scene` has them
    vehicles                          outlines and sizes
    ground, buildings, plants, people, furniture, vehicle_painters   painters
    stage                             chooses the objects and their places
    photo                             light, air and lens

Synopsis:

    dataset = load()
    dataset.train.read_image(0)   # [96, 192, 3] uint8
    dataset.train.read_label(0)   # [96, 192] uint8, 0..8 and 255
"""

from classmix_jax.datasets.scenes.loader import load

__all__ = ['load']
