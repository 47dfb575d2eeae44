"""Names from files and options never lead out of the directory that they belong to."""

import pytest

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.parsing import parse_relative_path
from classmix_jax.training.self_training import label_path
from classmix_jax.utils.paths import inside


@pytest.mark.parametrize('name', ['../x', 'a/../../x', '/tmp/x', 'a/../x'])
def test_names_that_lead_out_are_refused(name, tmp_path):
  for call in (
    lambda: inside(tmp_path, name),
    lambda: label_path(tmp_path, name),
    lambda: parse_relative_path(name),
  ):
    with pytest.raises(UserError, match='leads? out'):
      call()


def test_names_inside(tmp_path):
  for name in ('x.png', 'a/b/x.png', 'a..b/...x', 'ä é'):
    assert inside(tmp_path, name) == tmp_path / name
