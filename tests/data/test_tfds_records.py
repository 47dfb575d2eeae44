"""Packages that prepared data sets need and that may not be installed."""

import sys

import toy

from classmix_jax.data.files.tfds_prepare import needs_tfds


def test_missing_packages(monkeypatch):
  def fail(name):
    with needs_tfds('scenes'):
      raise ImportError(name=name)

  toy.assert_fails(
    lambda: fail('array_record.python'), "dataset 'scenes'", 'pip install array-record'
  )
  toy.assert_fails(lambda: fail(None), 'pip install tensorflow-datasets')
  for module in ('tensorflow', 'tensorflow_datasets'):  # as if they were not installed
    monkeypatch.setitem(sys.modules, module, None)
  toy.assert_fails(lambda: fail('unused'), 'pip install tensorflow-datasets tensorflow.')
