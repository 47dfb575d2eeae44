"""Lines of lists name the images that people mean, and never another one."""

import pytest
from toy import assert_says

from classmix_jax.data.files.name_list import (
  AmbiguousName,
  Line,
  Match,
  build_index,
  drop_header,
  find_line,
  find_name,
  get_stem,
  read_lines,
)
from classmix_jax.data.files.pairs import read_list
from classmix_jax.data.splits import choose_labeled, count_labeled
from classmix_jax.errors import UserError

COPIES = ['photo', 'photo (1)', 'photo (2)', 'photo - Copy', 'photo - Copy (2)', 'a,b', 'a', 'v1.5']


@pytest.mark.parametrize(
  'line, name',
  [
    ('photo (1).png', 'photo (1)'),
    ('photo (1)', 'photo (1)'),
    ('photo - Copy.PNG', 'photo - Copy'),
    ('photo - Copy (2).png', 'photo - Copy (2)'),
    ('photo.png', 'photo'),
    ('"photo (2).jpg"', 'photo (2)'),
    ('labeled\\images\\photo (2).png', 'photo (2)'),
    ('C:\\Users\\me\\my data\\photo (2).png', 'photo (2)'),
    ('./images/photo (2).jpg', 'photo (2)'),
    ('/home/me/my data/photo (2)', 'photo (2)'),
    ('images/photo (1).jpg masks/photo (1).png', 'photo (1)'),
    ('photo (1).jpg photo (1).png', 'photo (1)'),
    ('photo (1) photo (1)', 'photo (1)'),
    ('photo (1)\tphoto (2)', 'photo (1)'),
    ('"photo (1).jpg" "photo (1).png"', 'photo (1)'),
    ('photo (1).jpg None', 'photo (1)'),
    ('photo photo_mask', 'photo'),
    ('img/photo seg/photo (1)', 'photo'),
    ('a,b.png', 'a,b'),
    ('a,b', 'a,b'),
    ('v1.5.png', 'v1.5'),
    ('x/v1.5', 'v1.5'),
    ('photo (7).png', None),
    ('photo (7)', None),
    ('photo 1', None),
    ('photo Copy.png', None),
    ('photo -1', None),
    ('photo - Copy (3).png', None),
    ('photo - photo.png', None),
    ('v1', None),
    ('', None),
  ],
)
def test_a_line_names_an_image(line, name):
  match = find_line(line, build_index(COPIES))
  assert (match and match.name) == name


@pytest.mark.parametrize(
  'text, name',
  [
    ('city/a', 'city/a'),
    ('train/images/city/a.jpg', 'city/a'),
    ('images/a.jpg', 'a'),
    ('town/b.png', None),
    ('b.png', 'city/b'),
    ('e\u0301.png', 'é'),
    ('leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png', 'ulm/ulm_000000_000019'),
    ('c/d', None),
  ],
)
def test_a_path_names_an_image(text, name):
  names = ['city/a', 'a', 'city/b', 'é', 'ulm/ulm_000000_000019']
  assert find_name(text, build_index(names)) == name


def test_a_path_that_fits_several_images():
  index = build_index(['a/1', 'b/1'])
  assert find_name('x/b/1.png', index) == 'b/1'
  with pytest.raises(AmbiguousName):
    find_name('x/1.png', index)


@pytest.mark.parametrize(
  'text',
  [
    'photo (1).png\r\nphoto - Copy.png\r\n',
    '\ufeffphoto (1)\nphoto - Copy\n',
    'image,mask\nphoto (1).jpg,photo (1).png\nphoto - Copy.jpg,photo - Copy.png\n',
    'id;file_name\n0;photo (1).jpg\n1;photo - Copy.jpg\n',
    'filename\nphoto (1).jpg\nphoto - Copy.jpg\n',
    '"photo (1).jpg",1\n"photo - Copy.jpg",1\n',
    'photo (1)\t1\nphoto - Copy\t0\n',
    'images\\photo (1).png\nimages\\photo - Copy.png\n',
  ],
)
def test_lists_of_names(tmp_path, text):
  path = tmp_path / 'list.txt'
  for encoding in ('utf-8', 'utf-16'):
    path.write_bytes(text.encode(encoding))
    assert choose_labeled(COPIES, str(path), seed=0).tolist() == [1, 3]
    assert count_labeled(str(path), 8) == 2


def test_images_that_a_list_does_not_find(tmp_path):
  path = tmp_path / 'list.txt'
  path.write_text('photo (1).png\nphoto (7).png\nphoto 8\n')
  with pytest.raises(UserError) as caught:
    choose_labeled(COPIES, str(path), seed=0)
  assert_says(str(caught.value), '2 examples', "'photo (7).png', 'photo 8'", "like 'a', 'a,b'")


@pytest.mark.parametrize(
  'text, rows',
  [
    ('/x/JPEGImages/a.jpg /x/SegmentationClass/a.png', {'a': 'a'}),
    ('/SegNet/CamVid/train/a.png /SegNet/CamVid/trainannot/b.png', {'a': 'b'}),
    ('a\nphoto (1)\n', {'a': 'a', 'photo (1)': 'photo (1)'}),
    ('my data/photo (1).jpg my masks/photo (1)_mask.png', {'photo (1)': 'photo (1)_mask'}),
    ('"photo (1).jpg","b.png"\n"a.jpg","a.png"\n', {'photo (1)': 'b', 'a': 'a'}),
    ('photo (7).png\n', {'photo (7)': 'photo (7)'}),
    ('x/no.jpg y/nowhere.png\n', {'no': 'nowhere'}),
  ],
)
def test_lists_of_pairs(tmp_path, text, rows):
  path = tmp_path / 'list.txt'
  path.write_text(text)
  masks = ['a', 'b', 'photo (1)', 'photo (1)_mask']
  assert read_list(path, ['a', 'photo', 'photo (1)'], masks) == rows


def test_parts_of_lists(tmp_path):
  path = tmp_path / 'list.txt'
  path.write_bytes(b'\xef\xbb\xbf a b.png \r\n\r\nc\r')
  assert read_lines(path) == [Line(1, 'a b.png'), Line(3, 'c')]
  assert get_stem('C:\\x\\photo (1).png') == 'photo (1)'
  lines = [Line(1, 'name'), Line(2, 'a')]
  assert drop_header(lines) == lines[1:]
  assert drop_header(lines, build_index(['name', 'a'])) == lines  # an image of this name
  assert find_line('a b.jpg a b.png', build_index(['a', 'a b'])) == Match('a b', 'a b.png')
