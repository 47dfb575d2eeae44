"""Views: what a draw means, and that it depends on (seed, stream, position) alone."""

import numpy as np
import pytest

from classmix_jax.data.random_crop import Geometry, View, draw_factor, draw_view, uniform4
from classmix_jax.errors import UserError


def views(geometry, count=400, frame=(18, 24), **options):
  options = dict(seed=0, stream=0) | options
  return [draw_view(geometry, position=i, frame=frame, **options) for i in range(count)]


def test_the_draws_never_change():
  """Numbers of Philox4x64-10 with these keys and counters; a run must resume with them."""
  np.testing.assert_allclose(
    uniform4(0, 0, 0), [0.01406704, 0.25776725, 0.47156538, 0.09141967], atol=1e-8
  )
  assert (uniform4(0, 0, 5) != uniform4(0, 1, 5)).all()
  assert (uniform4(0, 0, 5) != uniform4(1, 0, 5)).all()
  assert (uniform4(0, 0, 5) != uniform4(0, 0, 6)).all()


def test_draws_are_uniform():
  u = np.array([uniform4(3, 1, i) for i in range(2000)])
  np.testing.assert_allclose(u.mean(0), 0.5, atol=0.03)
  np.testing.assert_allclose(u.var(0), 1 / 12, atol=0.005)
  assert abs(np.corrcoef(u.T) - np.eye(4)).max() < 0.08


def test_whole_frames():
  assert set(views(Geometry())) == {View((18, 24), (0, 0), (18, 24), 0)}


def test_crops_reach_every_corner_and_stay_inside():
  drawn = views(Geometry(crop=(16, 20), flip=True))
  assert {view.extent for view in drawn} == {(16, 20)}
  assert {view.corner for view in drawn} == {(y, x) for y in range(3) for x in range(5)}
  assert 150 < sum(view.mirrored for view in drawn) < 250


def test_scaled_windows_stay_inside():
  for view in views(Geometry(crop=(16, 20), scale=(0.5, 1.5))):
    factor = view.scaled[0] / 18
    assert 0.5 <= factor <= 1.5 and abs(view.scaled[1] - 24 * factor) <= 24 / 18
    for axis in (0, 1):
      assert view.extent[axis] == min((16, 20)[axis], view.scaled[axis])
      assert 0 <= view.corner[axis] <= view.scaled[axis] - view.extent[axis]


def test_factors_of_height_and_width():
  """Together they differ by rounding only, apart they are independent."""
  for apart in (False, True):
    geometry = Geometry(crop=(90, 90), scale=(0.5, 1.5), scale_apart=apart)
    drawn = [
      draw_view(geometry, seed=0, stream=0, position=position, frame=(100, 100)).scaled
      for position in range(400)
    ]
    height, width = np.transpose(drawn)
    if apart:
      assert abs(np.corrcoef(height, width)[0, 1]) < 0.1
      assert 50 <= width.min() < 60 and 140 < width.max() <= 150
    else:
      np.testing.assert_array_equal(height, width)


def test_a_frame_never_vanishes():
  assert views(Geometry(crop=(4, 4), scale=(0.01, 0.01)), count=1)[0].scaled == (1, 1)


def test_steps_of_the_scale():
  voc = Geometry(crop=(321, 321), scale=(0.5, 1.6), scale_step=0.1)
  drawn = {round(draw_factor(voc, u), 6) for u in np.arange(0, 1, 0.01)}
  assert sorted(drawn) == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6]


@pytest.mark.parametrize(
  ('options', 'field'),
  [
    (dict(crop=(4, 4), scale=(2.0, 1.0)), 'data.scale=.*smallest'),
    (dict(crop=(4, 4), scale_step=-0.1), 'data.scale_step=-0.1'),
    (dict(crop=(0, 4)), 'data.crop'),
    (dict(scale=(0.5, 1.0)), 'needs a crop'),
  ],
)
def test_wrong_options(options, field):
  with pytest.raises(UserError, match=field):
    Geometry(**options)
