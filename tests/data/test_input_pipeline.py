"""Both pipelines: the batch as a pure function of (seed, step), and image and label in step."""

import subprocess
import sys
import textwrap

import jax
import numpy as np
import pytest

from classmix_jax.data import input_pipeline, thread_pipeline
from classmix_jax.data.random_crop import Geometry
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import VOID

PIPELINES = {'tf.data': input_pipeline, 'threads': thread_pipeline}

OPTIONS = dict(
  batch_size=4,
  unlabeled_batch_size=8,
  crop=(12, 10),
  scale=(0.7, 1.4),
  flip=True,
  seed=1,
  start_step=0,
  stop_step=5,
  local_devices=1,
)


def make_source(length: int = 7, size: tuple[int, int] = (14, 16), labels: bool = True) -> Source:
  """Random frames: the label is random, channel 0 is label*20, channel 1 the index."""

  def label(i):
    return np.random.default_rng(i).integers(0, 11, size, np.uint8)

  def image(i):
    return np.stack([label(i) * 20, np.full(size, i), np.full(size, 9)], -1).astype(np.uint8)

  return Source(tuple(f'{i:03d}' for i in range(length)), image, label if labels else None)


def open_batches(pipeline, labeled, unlabeled, **options):
  options = OPTIONS | options
  geometry = Geometry(**{key: options.pop(key) for key in ('crop', 'scale', 'flip')})
  return PIPELINES[pipeline].train_batches(labeled, unlabeled, geometry=geometry, **options)


@pytest.fixture(scope='module', params=PIPELINES)
def pipeline(request):
  return request.param


@pytest.fixture(scope='module')
def run(pipeline):
  """`run(labeled, unlabeled, **options)` returns the batches of a pipeline."""

  def run(labeled=None, unlabeled=None, **options):
    labeled = make_source() if labeled is None else labeled
    unlabeled = make_source(9, labels=False) if unlabeled is None else unlabeled
    return list(open_batches(pipeline, labeled, unlabeled, **options))

  return run


def flat(batch):
  """Merges the device axes."""
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)


def assert_same(a, b):
  jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope='module')
def batches(run):
  return run()


def test_shapes_types_and_void(run, batches):
  assert len(batches) == 5
  batch = run(local_devices=2, stop_step=1)[0]
  for example, per_device in ((batch.labeled, 2), (batch.unlabeled, 4)):
    assert example.image.shape == (2, per_device, 12, 10, 3) and example.image.dtype == np.uint8
    assert example.label.shape == (2, per_device, 12, 10) and example.label.dtype == np.uint8
    assert example.valid.shape == (2, per_device, 12, 10) and example.valid.dtype == bool
  assert (batch.unlabeled.label == VOID).all() and batch.unlabeled.valid.any()


def test_pseudo_labels_travel_with_their_images(run):
  """The label of `make_source` is a twentieth of its image's first channel."""
  batch = flat(run(unlabeled=make_source(9), scale=(1.0, 1.0), stop_step=1)[0]).unlabeled
  np.testing.assert_array_equal(batch.label[batch.valid], batch.image[batch.valid][:, 0] // 20)
  assert (batch.label[~batch.valid] == VOID).all()


def test_a_batch_depends_on_seed_and_step_only(run, batches):
  assert_same(run(start_step=3), batches[3:])
  assert run(start_step=5) == []
  other = run(seed=2, stop_step=1)[0]
  assert (other.labeled.image != batches[0].labeled.image).any()
  assert (batches[0].labeled.image != batches[2].labeled.image).any()


@pytest.mark.parametrize('devices, processes', [(2, 1), (4, 1), (1, 2), (2, 2), (1, 4)])
def test_devices_and_processes_share_one_global_batch(run, batches, devices, processes):
  parts = [
    run(local_devices=devices, process_index=p, process_count=processes, stop_step=2)
    for p in range(processes)
  ]
  for step in range(2):
    shares = [flat(part[step]) for part in parts]
    assert_same(jax.tree.map(lambda *x: np.concatenate(x), *shares), flat(batches[step]))


def test_every_epoch_shows_every_example_once(run):
  batches = run(batch_size=7, unlabeled_batch_size=9, stop_step=3)
  for batch in batches:
    for example, length in zip(flat(batch), (7, 9), strict=True):
      assert sorted(example.image[:, 0, 0, 1].tolist()) == list(range(length))


def test_crop_and_flip_keep_image_and_label_together(run):
  source, seen = make_source(), set()
  for batch in run(scale=(1.0, 1.0), stop_step=8):
    example = flat(batch.labeled)
    np.testing.assert_array_equal(example.image[..., 0], example.label * 20)
    assert example.valid.all()
    for image in example.image:
      seen.add(_place(image, source.read_image(image[0, 0, 1])))
  assert {flipped for *_, flipped in seen} == {False, True}
  assert {top for top, *_ in seen} == {0, 1, 2} and {left for _, left, _ in seen} >= {0, 6}


def _place(crop: np.ndarray, frame: np.ndarray) -> tuple[int, int, bool]:
  """Returns (top, left, flipped) of a crop; it must be somewhere in the frame."""
  h, w, _ = crop.shape
  # The first offset at which the crop, mirrored or not, equals the frame.
  return next(
    (top, left, flipped)
    for flipped in (False, True)
    for top in range(frame.shape[0] - h + 1)
    for left in range(frame.shape[1] - w + 1)
    if (frame[top : top + h, left : left + w] == (crop[:, ::-1] if flipped else crop)).all()
  )


def test_without_flip_nothing_is_mirrored(run):
  source = make_source(3, size=(4, 5))
  for batch in run(source, crop=(4, 5), scale=(1.0, 1.0), flip=False):
    for image in flat(batch.labeled).image:
      np.testing.assert_array_equal(image, source.read_image(image[0, 0, 1]))


def test_padding_is_at_the_end_void_and_invalid(run):
  source = make_source(3, size=(5, 20))
  for batch in run(source, source, crop=(8, 10), scale=(1.0, 1.0)):
    example = flat(batch.labeled)
    assert example.valid[:, :5].all() and not example.valid[:, 5:].any()
    assert (example.label[:, 5:] == VOID).all() and (example.image[:, 5:] == 0).all()
    np.testing.assert_array_equal(example.image[:, :5, :, 0], example.label[:, :5] * 20)
    assert not flat(batch.unlabeled).valid[:, 5:].any()


@pytest.mark.parametrize('factor', [0.5, 0.8, 1.0, 1.7, 2.0, 3.0])
def test_scaled_image_and_label_stay_aligned(run, factor):
  """A ramp: the label is the column, the image the column times 4 plus 2 at its centre."""
  size = (20, 60)
  column = np.broadcast_to(np.arange(60, dtype=np.uint8), size)
  source = Source(('a',), lambda i: np.stack([column * 4 + 2] * 3, -1), lambda i: column)
  options = dict(scale=(factor, factor), crop=(20, 24), flip=True, stop_step=4)
  for batch in run(source, source, **options):
    example = flat(batch.labeled)
    inside = example.valid & (example.label > 2) & (example.label < 57)  # the ramp ends there
    difference = example.image[..., 0].astype(int) - (example.label.astype(int) * 4 + 2)
    bias = difference[inside]
    assert np.abs(bias).max() <= 3, 'more than half a pixel (2 grey levels, 1 for rounding)'
    assert inside.sum() and (factor in (0.5, 1.7) or abs(bias.mean()) < 0.5)


def test_resizing_the_window_equals_cutting_the_resized_image(run, pipeline):
  import tensorflow as tf

  rounding = {'tf.data': 0.51, 'threads': 1.01}[pipeline]  # PIL rounds columns, then rows
  source = make_source(1)
  want = tf.image.resize(source.read_image(0), (10, 11), antialias=True).numpy()  # 14x16 * 0.7
  for batch in run(source, source, crop=(10, 11), scale=(0.7, 0.7), flip=False, stop_step=1):
    assert np.abs(flat(batch.labeled).image - want).max() <= rounding


def test_whole_frames(run):
  batch = run(crop=None, scale=(1.0, 1.0), stop_step=1)[0]
  assert batch.labeled.image.shape == (1, 4, 14, 16, 3) and batch.labeled.valid.all()
  assert batch.unlabeled.image.shape == (1, 8, 14, 16, 3)


def test_whole_frames_of_two_sizes_are_refused(run):
  mixed = Source(
    ('a', 'b'),
    lambda i: np.zeros((4, 5 + i, 3), np.uint8),
    lambda i: np.zeros((4, 5 + i), np.uint8),
  )
  with pytest.raises(UserError, match=r'4x[56] .*config.data.size=.*config.data.crop'):
    run(mixed, mixed, crop=None, scale=(1.0, 1.0))


@pytest.mark.parametrize('size', [0, 8])
def test_without_unlabeled_the_example_is_empty(pipeline, size):
  batch = next(open_batches(pipeline, make_source(), None, unlabeled_batch_size=size))
  assert batch.labeled.image.shape == (1, 4, 12, 10, 3)
  assert batch.unlabeled.image.shape == (1, 0, 12, 10, 3)
  assert batch.unlabeled.label.shape == batch.unlabeled.valid.shape == (1, 0, 12, 10)


@pytest.mark.parametrize(
  'options, message',
  [
    (
      dict(batch_size=10, local_devices=4),
      'config.batch_size=10 cannot be shared by 4 devices: set it to 8 or 12',
    ),
    (dict(batch_size=2, local_devices=2, process_count=2), 'by 4 devices: set it to 4$'),
    (dict(unlabeled_batch_size=6, local_devices=4), 'config.unlabeled_batch_size=6'),
    (dict(scale=(0.0, 1.0)), 'config.data.scale'),
    (dict(scale=(2.0, 1.0)), 'config.data.scale'),
    (dict(crop=None), 'needs a crop'),
    (dict(crop=(0, 4)), 'config.data.crop'),
    (dict(seed=-1), 'seed'),
    (dict(labeled=make_source(labels=False)), 'have no labels'),
    (dict(labeled=make_source(0)), 'no examples'),
  ],
)
def test_wrong_options(run, options, message):
  with pytest.raises(UserError, match=message):
    run(**options)


def test_the_error_of_a_reader_comes_out_as_it_was(run):
  error = UserError("'b.png' does not decode: copy it again")

  def read(i):
    if i == 3:
      raise error
    return np.zeros((14, 16, 3), np.uint8)

  source = Source(make_source().names, read, make_source().read_label)
  with pytest.raises(UserError) as caught:
    run(source)
  assert caught.value is error


def test_labels_of_another_size_and_wrong_types(run):
  good = make_source()
  with pytest.raises(UserError, match="label of '00.' is 3x4 and its image 14x16"):
    run(Source(good.names, good.read_image, lambda i: np.zeros((3, 4), np.uint8)))
  with pytest.raises(ValueError, match='float'):
    run(Source(good.names, lambda i: good.read_image(i) / 2, good.read_label))


GEOMETRIES = {
  'crop': Geometry(crop=(12, 10), flip=True),
  'larger than the frame': Geometry(crop=(20, 30), flip=True),
  'scaled': Geometry(crop=(12, 10), scale=(0.3, 2.5), flip=True),
  'steps of the scale, padded': Geometry(
    crop=(16, 18), scale=(0.5, 1.6), scale_step=0.1, scale_apart=True
  ),
  'resized whole frames': Geometry(scale=(0.7, 0.7), flip=True),
  'whole frames': Geometry(flip=True),
}


@pytest.mark.parametrize('name', GEOMETRIES)
def test_both_pipelines_make_the_same_batches(name):
  geometry = GEOMETRIES[name]
  ours, reference = (
    list(
      module.train_batches(
        make_source(),
        make_source(9),
        batch_size=4,
        unlabeled_batch_size=8,
        geometry=geometry,
        seed=3,
        start_step=2,
        stop_step=8,
        local_devices=2,
      )
    )
    for module in PIPELINES.values()
  )
  assert len(ours) == len(reference) == 6
  for batch, other in zip(ours, reference, strict=True):
    for a, b in zip(batch, other, strict=True):
      assert [x.dtype for x in a] == [x.dtype for x in b]
      np.testing.assert_array_equal(a.label, b.label)
      np.testing.assert_array_equal(a.valid, b.valid)
      difference = np.abs(a.image.astype(int) - b.image).max()
      assert difference <= int(geometry.resizes), 'PIL rounds between columns and rows'


def test_a_program_ends_with_readers_at_work(pipeline):
  """Python's end used to wait for readers that waited for Python."""
  program = textwrap.dedent(f"""
      import time
      import numpy as np
      from classmix_jax.data.random_crop import Geometry
      from {PIPELINES[pipeline].__name__} import train_batches
      from classmix_jax.data.source import Source
      def read(i):
        time.sleep(0.01)
        return np.zeros((4, 4, 3), np.uint8)
      source = Source(('a',), read, lambda i: np.zeros((4, 4), np.uint8))
      batches = train_batches(
          source, None, batch_size=4, unlabeled_batch_size=0, geometry=Geometry((4, 4)), seed=0,
          start_step=0, stop_step=10**9, local_devices=1)
      next(batches)
      raise SystemExit(7)
  """)
  assert subprocess.run([sys.executable, '-c', program], timeout=120).returncode == 7
