"""Strict mode for the whole suite: eight fake CPU devices, rank promotion raises."""

import os

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
flags = os.environ.get('XLA_FLAGS', '')
if 'host_platform_device_count' not in flags:
  os.environ['XLA_FLAGS'] = f'{flags} --xla_force_host_platform_device_count=8'.strip()

import jax  # noqa: E402

jax.config.update('jax_numpy_rank_promotion', 'raise')
