"""Values out of range: the sentence names the field, the value and what is allowed."""

import pytest
import toy

from classmix_jax.config.check import check_config


@pytest.mark.parametrize(
  'field, value, parts',
  [
    ('steps', 0, ['config.steps is 0', '1 to 2,147,483,647']),
    ('optim.momentum', 1.0, ['config.optim.momentum is 1.0', 'less than 1']),
    ('method.threshold', 2.0, ['config.method.threshold is 2.0', '0 to 1']),
    ('optim.learning_rate', float('nan'), ['is nan', '0 or more']),
    ('data.crop', (24,), ['config.data.crop is (24,)', '(H, W) or ()']),
    ('data.crop', (24.0, 32.0), ['whole number, 1 or more each']),
    ('unlabeled_batch_size', 1, ['mixes pairs', 'set it to 2 or more']),
  ],
)
def test_numbers_out_of_range(field, value, parts):
  toy.assert_fails(lambda: check_config(toy.config('', **{field: value})), *parts)
