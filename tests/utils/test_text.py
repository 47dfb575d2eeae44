"""Tables in the terminal, whose columns are as wide as characters are drawn."""

import pytest

from classmix_jax.utils.text import align_columns, display_width


@pytest.mark.parametrize(
  'text, width',
  [
    ('', 0),
    ('road', 4),
    ('Straße', 6),
    ('мяч', 3),
    ('背景', 4),
    ('カー', 4),
    ('ｶｰ', 2),  # half-width katakana
    ('자동차', 6),
    ('e\u0301', 1),  # an accent of its own
    ('ไม้', 2),  # a tone mark above
    ('🚗', 2),
    ('👩\u200d🚒', 2),  # one character, joined of two
  ],
)
def test_display_width(text, width):
  assert display_width(text) == width


def test_columns_stand_below_each_other():
  rows = [('id', 'class', 'share'), ('0', '背景', '9 %'), ('10', 'мяч', '91 %')]
  assert align_columns(rows, right=[0, 2]).splitlines() == [
    'id  class  share',
    ' 0  背景     9 %',
    '10  мяч     91 %',
  ]
