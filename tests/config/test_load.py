"""The config of a training run, read from damaged files."""

import json

import pytest
import toy

from classmix_jax.config.load import read_config


@pytest.mark.parametrize(
  'change, parts',
  [
    (lambda x: [x], ['is not a JSON object']),
    (lambda x: x.pop('steps') and x, ['steps is missing']),
    (lambda x: {**x, 'eval': 3}, ["eval is '3'"]),
    (lambda x: x['optim'].pop('rule') and x, ['optim.rule is missing']),
    (lambda x: {**x, 'log_every': 1.5}, ["log_every is '1.5'"]),
    (lambda x: {**x, 'method': {'name': 'x'}}, ["method.name is 'x'"]),
    (lambda x: {**x, 'seed': -1}, ['config.seed is -1']),
    (lambda x: {**x, 'a.b': 1}, ["'a.b' is no name of a field"]),
  ],
)
def test_damaged_config(tmp_path, change, parts):
  path = tmp_path / 'config.json'
  path.write_text(json.dumps(change(toy.config('DATA').to_dict())))
  toy.assert_fails(lambda: read_config(tmp_path), path, 'is damaged', *parts)
