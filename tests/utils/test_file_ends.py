"""The ends of a file, without reading what lies between."""

import pytest

from classmix_jax.utils.file_ends import read_ends


@pytest.mark.parametrize(
  'data, ends',
  [(b'', b''), (b'a', b'a'), (b'abc', b'abc'), (b'abcd', b'abcd'), (b'abcde', b'abde')],
)
def test_read_ends(tmp_path, data, ends):
  path = tmp_path / 'file'
  path.write_bytes(data)
  assert read_ends(path, 2) == ends
