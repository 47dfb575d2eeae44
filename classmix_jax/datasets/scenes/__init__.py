"""Scenes: 1,000 + 200 procedural street scenes, made for this project; nothing to download.

`loader.py` opens the prepared set and has `builder.py` prepare it once; `render.py` makes one
scene from two integers. What it is made of, from the general to the particular:

    classes, draws, noise             names and colours; chance; noise tiles
    camera, weather, street, canvas   what is drawn by lot, and what is drawn on; `scene` holds all
    ground, buildings, plants, vehicles, people, furniture   painters
    stage                             which things stand where
    photo                             light, air and lens

Synopsis:

    dataset = load()
    dataset.train.read_image(0)   # [96, 192, 3] uint8
    dataset.train.read_label(0)   # [96, 192] uint8, 0..8 and 255
"""

from classmix_jax.datasets.scenes.loader import load

__all__ = ['load']
