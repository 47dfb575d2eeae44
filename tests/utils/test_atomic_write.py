"""A crash leaves the old file or the new one."""

from PIL import Image
import pytest

from classmix_jax.utils import atomic_write


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
  path = tmp_path / 'a.json'
  atomic_write.write_atomically(path, 'old')

  def crash(_):
    raise OSError('disk full')

  monkeypatch.setattr(atomic_write.os, 'fsync', crash)
  with pytest.raises(OSError):
    atomic_write.write_atomically(path, 'new')
  assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_names_of_the_greatest_length(tmp_path):
  """Of 255 bytes; the temporary files of names with the same start differ."""
  names = [f'{"水" * 83}{end}.json' for end in 'ab']
  for name in names:
    atomic_write.write_atomically(tmp_path / name, name)
  assert sorted(path.name for path in tmp_path.iterdir()) == names
  assert len({atomic_write.name_temporary(name) for name in names}) == 2


def test_two_processes_may_replace_the_same_file(tmp_path, monkeypatch):
  path = tmp_path / 'a.json'
  with atomic_write.replacing(path) as temporary:
    temporary.write_text('first')
    monkeypatch.setattr(atomic_write.os, 'getpid', lambda: 0)
    atomic_write.write_atomically(path, 'second')
    assert path.read_text() == 'second'
  assert path.read_text() == 'first'


def test_a_crash_during_a_write_leaves_the_old_image(tmp_path, monkeypatch):
  path = tmp_path / 'a.png'
  atomic_write.write_png(path, Image.new('RGB', (2, 2), 'red'))

  def crash(image, file, kind):
    file.write_bytes(b'half')
    raise OSError('disk full')

  monkeypatch.setattr(Image.Image, 'save', crash)
  with pytest.raises(OSError):
    atomic_write.write_png(path, Image.new('RGB', (2, 2), 'blue'))
  assert Image.open(path).getpixel((0, 0)) == (255, 0, 0)
  assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_replaced_and_not_followed(tmp_path):
  (tmp_path / 'theirs.png').write_text('theirs')
  (tmp_path / 'a.png').symlink_to(tmp_path / 'theirs.png')
  atomic_write.write_png(tmp_path / 'a.png', Image.new('L', (1, 1)))
  assert (tmp_path / 'theirs.png').read_text() == 'theirs'
  assert not (tmp_path / 'a.png').is_symlink()
