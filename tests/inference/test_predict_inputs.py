"""Results are no inputs, and names of results are checked before anything is written."""

from pathlib import Path
import unicodedata

import numpy as np
import pytest
import toy

from classmix_jax.errors import UserError
from classmix_jax.inference import result_names
from classmix_jax.inference.predict_inputs import find_inputs
from classmix_jax.inference.result_names import check_results, list_results


def save(directory, *names):
  for name in names:
    toy.save(directory / name, np.zeros((2, 3, 3)))
  return directory


def find(source, output):
  return [one.name for one in find_inputs(str(source), output).images]


@pytest.fixture
def camera(tmp_path):
  """Two images, and the results of two predictions below them."""
  camera = save(tmp_path / 'cam', 'a.png', 'sub/b.png')
  for output in (camera / 'out', camera / 'sub/other'):
    for name in ('a', 'sub/b'):
      save(output, *list_results(name))
    (output / 'classes.json').write_text('{"0": "ground"}')
  return camera


def test_no_source_yields_results(camera, tmp_path):
  (camera / 'link').symlink_to(camera / 'out')
  (camera / 'linked.png').symlink_to(camera / 'out/a.png')
  files = [str(path) for path in camera.rglob('*.png')]
  (tmp_path / 'list.txt').write_text('\n'.join(files))
  for output in (camera / 'out', camera / 'new', camera, tmp_path / 'x'):
    for source in (camera, camera / '**/*', camera / '**/*.png', tmp_path / 'list.txt'):
      assert find(source, output) == ['a', 'sub/b'], (source, output)
  assert find(camera / 'sub', camera / 'out') == ['b']
  with pytest.raises(UserError, match='without images that are read'):
    find(camera / 'out', tmp_path / 'x')


def test_images_of_any_name_in_the_output_directory_are_left_out(camera):
  """Also ids alone, whose overlays were removed."""
  for path in (camera / 'out').rglob('*_*.png'):
    path.unlink()
  for source in (camera, camera / '**/*.png'):
    assert find(source, camera / 'out') == ['a', 'sub/b']


def test_a_pattern_passes_over_what_a_directory_does(tmp_path):
  save(tmp_path, 'a.png', 'run/predictions.png', '@eaDir/a.png', '._a.png')
  (tmp_path / 'run/config.json').write_text('{}')
  (tmp_path / 'run/checkpoints').mkdir()
  (tmp_path / 'a.txt').write_text('a caption')
  assert find(tmp_path / '**/*', None) == find(tmp_path, None) == ['a']
  notes = find_inputs(str(tmp_path / '**/*')).notes
  assert notes == (f'{tmp_path / "run"} is left out: a training run.',)


def test_names_of_a_pattern_do_not_depend_on_other_images(tmp_path):
  save(tmp_path, 'photos/a/1.png')
  assert find(tmp_path / 'photos/**/*.png', None) == ['a/1']
  save(tmp_path, 'photos/b/1.png')
  assert find(tmp_path / 'photos/**/*.png', None) == ['a/1', 'b/1']


def test_lists(tmp_path, monkeypatch):
  save(tmp_path / 'photos', 'a (1).png', 'b.png', 'b.jpg')
  monkeypatch.chdir(tmp_path)
  lines = ['\ufeffphotos/a (1).png', '', 'photos/b.png masks/b.png\r', 'photos/b.png', 'b.jpg']
  Path('photos/list.txt').write_text('\n'.join(lines), encoding='utf-8')
  files = [one.image.name for one in find_inputs('photos/list.txt').images]
  assert files == ['a (1).png', 'b.jpg', 'b.png']
  Path('photos/list.txt').write_text('photos/gone.png')
  assert find('photos/list.txt', None) == ['gone']  # reading it says that it does not exist
  Path('photos/list.txt').write_bytes(b'\xff\xfe\x00')
  with pytest.raises(UserError, match='cannot be read as a list of images'):
    find('photos/list.txt', None)


@pytest.mark.parametrize(
  'names, part',
  [
    (('a.png', 'a.jpg'), "a.jpg and .*a.png both have the name 'a': rename one"),
    (('a.png', 'a_overlay.png'), "both have the result 'a_overlay.png'"),
    (('a.png', 'a_confidence.jpg'), "both have the result 'a_confidence.png'"),
    (('x.jpg', 'x.png/y.jpg'), "both have the result 'x.png'"),
    (tuple(unicodedata.normalize(form, 'ü.png') for form in ('NFC', 'NFD')), "the name 'ü'"),
  ],
)
def test_collisions(tmp_path, names, part):
  save(tmp_path / 'in', *names)
  with pytest.raises(UserError, match=part):
    check_results(find_inputs(str(tmp_path / 'in')).images, tmp_path / 'out')


def test_names_in_directories_do_not_collide(tmp_path, monkeypatch):
  save(tmp_path / 'in', 'sub/a.png', 'sub_a.png', 'a.b.png', 'a.c.png', 'B.png', 'b.png')
  images = find_inputs(str(tmp_path / 'in')).images
  check_results(images, tmp_path / 'out')
  monkeypatch.setattr(result_names, 'ignores_case', lambda directory: True)
  with pytest.raises(UserError, match="B.png and .*b.png both have the name 'b'"):
    check_results(images, tmp_path / 'out')


def test_the_file_of_a_link_is_not_replaced(tmp_path):
  save(tmp_path / 'out', 'a.png')
  (tmp_path / 'in').mkdir()
  (tmp_path / 'in/a.png').symlink_to(tmp_path / 'out/a.png')
  with pytest.raises(UserError, match='would replace the image'):
    check_results(find_inputs(str(tmp_path / 'in')).images, tmp_path / 'out')


def test_case_of_a_file_system(tmp_path, monkeypatch):
  (tmp_path / 'Out').mkdir()
  assert result_names.ignores_case(tmp_path / 'Out/new') == (tmp_path / 'oUT').exists()
  monkeypatch.setattr(Path, 'exists', lambda path: True)
  monkeypatch.setattr(Path, 'samefile', lambda path, other: path != other)
  assert result_names.ignores_case(tmp_path / 'Out')
