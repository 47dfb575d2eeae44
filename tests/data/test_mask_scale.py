"""Values of masks that are class ids on another scale: the whole label_map to paste."""

import pytest

from classmix_jax.data.files.decoding import Decoding, label_table
from classmix_jax.data.files.mask_advice import advise_colors, advise_ids
from classmix_jax.data.files.mask_scale import advise_scale

NAMES = ('ground', 'box', 'ball', 'cat')


def option(values, num_classes):
  """Returns what stands between the quotes of the first option in the advice."""
  return ([*advise_scale(values, NAMES[:num_classes]).split("'"), ''])[1]


@pytest.mark.parametrize(
  'values, num_classes, label_map',
  [
    ([0, 128, 255], 3, '0:0,128:1,255:2'),
    ([0, 127, 254], 3, '0:0,127:1,254:2'),
    ([0, 85, 170, 255], 4, '0:0,85:1,170:2,255:3'),
    ([0, 100, 255], 3, '0:0,100:1,255:2'),
    ([50, 100, 150], 3, '50:0,100:1,150:2'),
    ([0, 255], 2, '0:0,255:1'),
    ([0, 128], 2, '0:0,128:1'),
    ([0, 32768, 65535], 3, '0:0,32768:1,65535:2'),
    # Not every class occurs.
    ([0, 128], 3, '0:0,128:1,255:2'),
    ([0, 85], 4, '0:0,85:1,170:2,255:3'),
    ([85, 255], 4, '0:0,85:1,170:2,255:3'),
    ([0, 50, 150], 4, '0:0,50:1,100:2,150:3'),
    ([0, 10, 20], 4, '0:0,10:1,20:2,30:3'),
    # From one; 255 beside small ids is void.
    ([1, 2, 3], 3, '0:void,1:0,2:1,3:2'),
    ([1, 2, 3, 255], 3, '0:void,1:0,2:1,3:2'),
    ([1, 4], 4, '0:void,1:0,2:1,3:2,4:3'),
    ([0, 7, 9, 255], 3, '0:0,7:1,9:2'),
    # One value too many.
    ([0, 85, 170, 255], 3, '0:0,85:1,170:2,255:void'),
    ([0, 127, 254], 2, '0:0,127:void,254:1'),
    # Even, but neither as many as classes nor one more.
    ([0, 128, 255], 4, '0:CLASS,128:CLASS,255:CLASS'),
  ],
)
def test_whole_label_maps(values, num_classes, label_map):
  assert option(values, num_classes) == label_map


@pytest.mark.parametrize(
  'values, num_classes',
  [
    ([0, 1, 2, 7], 3),  # a stray value
    ([0, 7, 255], 3),  # an id and void
    ([0, 3, 17, 90, 201], 3),
    ([-1, 0, 1], 3),
    ([0, 70000], 2),
    ([7], 3),
    ([0, 5], 1),
  ],
)
def test_other_values_are_left_to_the_user(values, num_classes):
  assert advise_scale(values, NAMES[:num_classes]) == ''


def test_classes_are_named_and_both_readings_of_255_are_given():
  assert advise_scale({255, 0, 128}, NAMES[:3]) == (
    "0, 128 and 255 are as many values as there are classes: set --config.data.label_map='0:0,"
    "128:1,255:2' if this is their order (0 = ground, 128 = box, 255 = ball). Without it 255 is "
    'void.'
  )
  assert advise_scale([0, 128, 255], NAMES[:2]) == (
    '0, 128 and 255 are one value more than there are classes: set '
    "--config.data.label_map='0:0,128:void,255:1' if 128 means ignore (0 = ground, 255 = box), or "
    "--config.data.label_map='0:0,128:1,255:void' if 255 means ignore (0 = ground, 128 = box); or "
    'add the name of another class to the class file, and set '
    "--config.data.label_map='0:0,128:1,255:2'."
  )


def test_smoothed_black_and_white_is_no_scale():
  decoding = Decoding(NAMES[:2], label_table(2))
  assert 'mask_threshold=128' in advise_ids({254: 1}, decoding, present={0, 254, 255})
  assert 'mask_threshold' not in advise_ids({2: 1, 3: 1}, decoding, present={0, 1, 2, 3})
  assert 'lacks the names' in advise_ids({2: 1, 3: 1}, decoding, present={0, 1, 2, 3})


def test_as_many_colors_as_classes():
  decoding = Decoding(NAMES[:3], label_table(3))
  voc = {0x000000: 9, 0x008000: 5, 0x800000: 2}
  assert "colors='#000000:0,#800000:1,#008000:2'" in advise_colors(voc, decoding)
  other = {0x00FF00: 9, 0x000000: 5, 0xFF0000: 2}  # black first, then by frequency
  text = advise_colors(other, decoding)
  assert "colors='#000000:0,#00ff00:1,#ff0000:2'" in text and '#ff0000 = ball' in text
