"""Packs configs/ as classmix_jax.configs; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
  packages=[*find_packages(include=['classmix_jax', 'classmix_jax.*']), 'classmix_jax.configs'],
  package_dir={'classmix_jax.configs': 'configs'},
)
