"""Config fields of any value: accepted and finite, or refused in one sentence."""

from flax.traverse_util import flatten_dict
from fuzz import result_or_error
from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import toy

from classmix_jax.config.check import check_config
from classmix_jax.config.data import build_geometry
from classmix_jax.config.model import build_method, build_optimizer
from classmix_jax.evaluation.headline import headline_network
from classmix_jax.methods import METHODS

NUMBERS = st.integers(-2, 9) | st.sampled_from([0.5, -1.5, 1e30, float('nan'), float('inf')])
VALUES = {
  bool: st.booleans(),
  int: st.integers(-3, 2**40),
  str: st.text(max_size=8),
  float: st.floats() | st.floats(0, 1),
  tuple: st.lists(NUMBERS, max_size=3).map(tuple),
}


@st.composite
def overrides(draw):
  """A method, and one to three fields with other values of their type."""
  method = draw(st.sampled_from(list(METHODS)))
  fields = flatten_dict(toy.config('', f'method={method}').to_dict(), sep='.')
  names = sorted(f for f in fields if not f.startswith(('paper', 'method.name', 'data.root')))
  chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
  return method, {name: draw(VALUES[type(fields[name])]) for name in chosen}


@given(overrides())
def test_fuzz_fields(case):
  """An accepted config holds finite numbers, and its method and optimizer can be built."""
  method, fields = case
  config = toy.config('', f'method={method}', **fields)

  def build_stages():
    check_config(config)
    headline_network(config.eval_network, ())
    build_geometry(config)
    method = build_method(config, len(toy.CLASSES))
    build_optimizer(config, method, config.steps)
    return method.stages(config.steps)

  stages = result_or_error(build_stages, 'config.')
  if stages is not None:
    assert stages[0].start == 0 and stages[-1].stop == config.steps
    for value in fields.values():
      for number in value if isinstance(value, tuple) else [value]:
        assert isinstance(number, str | bool) or np.isfinite(number), fields
