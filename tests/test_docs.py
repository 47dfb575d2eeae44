"""Examples in docstrings run, and the docs name only files and options that exist."""

import doctest
import importlib
from pathlib import Path
import pkgutil
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import classmix_jax
from classmix_jax.methods import METHODS, hyper_parameters
from configs import base, cityscapes, folder, pascal_voc

ROOT = Path(__file__).resolve().parent.parent
MODULES = [
    module.name for module in pkgutil.walk_packages(classmix_jax.__path__, 'classmix_jax.')
    if not module.name.endswith(('.input_pipeline', '.builder', '.exporter_tensorflow'))]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]


@pytest.mark.parametrize('name', MODULES)
def test_examples_in_docstrings_run(name):
  module = importlib.import_module(name)
  failures, _ = doctest.testmod(module, extraglobs={'jax': jax, 'jnp': jnp, 'np': np})
  assert failures == 0


def test_examples_of_the_api_page_run():
  failures, tried = doctest.testfile(str(ROOT / 'docs' / 'api.md'), module_relative=False)
  assert failures == 0 and tried > 10


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_docs_name_what_exists(page):
  text = page.read_text(encoding='utf-8')
  for path in re.findall(r'\b((?:configs|launch|docs|tests)/[\w/]+\.(?:py|md|png))', text):
    assert (ROOT / path).exists(), f'{page.name} names {path}'
  data = {}
  for module in (folder, cityscapes, pascal_voc):
    data.update(module.get_config().data.to_dict())
  method = {'name': ''}
  for name in METHODS:
    method.update(hyper_parameters(name))
  method.update(dict.fromkeys(re.findall(r'^  (\w+): \w+ = ', text, re.MULTILINE)))  # of tutorials
  known = {**base.get_config().to_dict(), 'data': data, 'method': method}
  for field in re.findall(r'--config\.((?:[a-z_]+\.)?[a-z_]+)=', text):
    node = known
    for part in field.split('.'):
      assert part in node, f'{page.name} names config.{field}'
      node = node[part]
