"""The table of classes: widths, shares by hand, and few lines for many classes."""

from classmix_jax.data.class_list import format_class_list, format_share, shorten
from classmix_jax.utils.text import display_width


def test_one_block():
  text = format_class_list(('天空', 'car'), ((0, 0, 0), (0, 0, 142)), (900, 2, 98))
  assert text.splitlines() == [
    'id  name  colour    share',
    ' 0  天空  #000000    90 %',
    ' 1  car   #00008e  0.20 %',
    '    void            9.8 %',
  ]
  assert 'void' not in format_class_list(('a', 'b'), ((0, 0, 0), (1, 1, 1)), (1, 1, 0))


def test_many_classes_are_folded():
  for count, lines in ((8, 9), (9, 6), (19, 7 + 1), (120, 10)):
    palette = [(label, 0, 0) for label in range(count)]
    text = format_class_list([f'汽车{label}' for label in range(count)], palette, [1] * count + [0])
    rows = text.splitlines()
    assert len(rows) == lines and max(map(display_width, rows)) <= 100
    assert text.count('汽车') == min(count, 24)
  assert '96 more' in text and ' 80 %' in text


def test_cells():
  assert [format_share(part, 1000) for part in (0, 1, 12, 123)] == ['-', '0.10 %', '1.2 %', '12 %']
  assert display_width(shorten('汽车' * 40)) <= 32 and shorten('x' * 40) == 'x' * 31 + '…'
