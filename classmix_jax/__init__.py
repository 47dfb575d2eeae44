"""Semi-supervised semantic segmentation in JAX: ClassMix and its relatives.

Reading order for a newcomer: `types.py`, `masks/class_mask.py`,
`core/mixing.py`, `methods/mean_teacher.py`, `train.py`.
"""

__version__ = '0.1.0'
