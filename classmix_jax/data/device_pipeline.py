"""Training batches cut on the devices, from frames in their memory.

Synopsis:

    stream = device_stream(labeled=labeled, unlabeled=unlabeled, batch_size=4,
                           unlabeled_batch_size=4, geometry=Geometry(crop=(128, 160)), seed=0,
                           devices=jax.local_devices())
    batch = next(stream(0, 1000))    # Batch of device arrays [devices, 1, per_device, ...]

The host sends eight integers per example: the index of the frame, and the view of it. They are
those of `input_pipeline`, so both give the same batches; if frames are resized, bytes of images may
differ by 1, because sums are rounded in another order.
"""

from collections.abc import Callable, Iterator, Sequence
import functools

import jax
import jax.numpy as jnp
import numpy as np

from classmix_jax.core.devices import replicated
from classmix_jax.data.random_crop import Geometry, draw_example
from classmix_jax.data.sampler import (
  LABELED,
  UNLABELED,
  share_of_batch,
  share_positions,
)
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError
from classmix_jax.types import AXIS, VOID, Array, Batch, Example, Size
from classmix_jax.utils.threads import in_parallel

MEMORY_FRACTION = 0.5  # of a device's memory that frames may take


def device_stream(
  *,
  labeled: Source,
  unlabeled: Source | None,
  batch_size: int,
  unlabeled_batch_size: int,
  geometry: Geometry,
  seed: int,
  devices: Sequence[jax.Device],
  accumulate: int = 1,
  process_index: int = 0,
  process_count: int = 1,
) -> Callable[[int, int], Iterator[Batch]]:
  """Loads all frames to every device and returns `stream(start_step, stop_step)`.

  Args:
    labeled: source of the labelled stream; all its labels are read.
    unlabeled: source of the unlabelled stream, or None; its labels, if any, are pseudo-labels.
    batch_size, unlabeled_batch_size: global, of a micro-batch.
    geometry: how examples are cut from frames.
    seed: seed of the order and the views.
    devices: D, the devices of this process.
    accumulate: A, micro-batches per step.
    process_index, process_count: choose the contiguous share of the batch that is cut.

  Returns:
    A function of two optimizer steps that returns an iterator over the batches between them: image
    `[D, A, b, H, W, 3]` uint8, label and valid `[D, A, b, H, W]`, on the devices.

  Raises:
    UserError: frames differ in size or do not fit into the devices' memory, or an example is
      unreadable.
  """
  parts = [(LABELED, labeled, batch_size, 'config.batch_size')]
  if unlabeled is not None and unlabeled_batch_size:
    parts.append((UNLABELED, unlabeled, unlabeled_batch_size, 'config.unlabeled_batch_size'))
  host = [_load(source) for _, source, *_ in parts]
  _check_memory(sum(array.nbytes for pair in host for array in pair), devices[0])
  resident = jax.device_put(host, replicated(devices))
  cut = _make_cut(geometry, devices)
  draws = []
  for (number, source, size, field), (images, _) in zip(parts, host, strict=True):
    share = share_of_batch(size, len(devices), process_count, field)
    draw = functools.partial(_draw, geometry, seed, number, len(source), images.shape[1:3])
    places = functools.partial(share_positions, size=size, share=share, process_index=process_index)
    draws.append((draw, places))

  def stream(start_step: int, stop_step: int) -> Iterator[Batch]:
    for step in range(start_step, stop_step):
      micro_batches = range(step * accumulate, (step + 1) * accumulate)
      examples = []
      for (images, labels), (draw, places) in zip(resident, draws, strict=True):
        drawn = np.array([draw(position) for position in places(micro_batches)], np.int32)
        # [A, D, b, 8] -> [D, A, b, 8]
        drawn = drawn.reshape(accumulate, len(devices), -1, 8).swapaxes(0, 1)
        examples.append(cut(images, labels, drawn))
      if len(examples) == 1:
        examples.append(jax.tree.map(lambda x: x[:, :, :0], examples[0]))
      yield Batch(*examples)

  return stream


def _draw(
  geometry: Geometry, seed: int, stream: int, length: int, frame: Size, position: int
) -> tuple[int, ...]:
  """Returns the 8 integers of the example at a position: its index and its view."""
  index, view = draw_example(
    geometry, seed=seed, stream=stream, position=position, length=length, frame=frame
  )
  return index, *view.packed()


def _load(source: Source) -> tuple[np.ndarray, np.ndarray]:
  """Reads all images `[N, H, W, 3]` and labels `[N, H, W]` (`[0, H, W]` without labels)."""
  images = list(in_parallel(source.read_image, range(len(source))))
  labels = list(in_parallel(source.read_label, range(len(source)))) if source.read_label else []
  shapes = {image.shape: name for name, image in zip(source.names, images, strict=True)}
  if len(shapes) > 1:
    sizes = ', '.join(f'{name!r} is {h}x{w}' for (h, w, _), name in list(shapes.items())[:2])
    raise UserError(
      f'config.data.working_copy=device needs frames of one size, but {sizes}: set '
      'config.data.size=(H, W), or config.data.working_copy=disk'
    )
  height, width, _ = images[0].shape
  empty = np.zeros((0, height, width), np.uint8)
  return np.stack(images), np.stack(labels) if labels else empty


def _check_memory(need: int, device: jax.Device) -> None:
  """Raises UserError if frames of `need` bytes take more than half of a device's memory."""
  limit = (device.memory_stats() or {}).get('bytes_limit')
  if limit and need > MEMORY_FRACTION * limit:
    raise UserError(
      f'config.data.working_copy=device needs {need / 1e9:.1f} GB for frames and {device} has '
      f'{limit / 1e9:.1f} GB: set config.data.working_copy=disk, or a smaller config.data.size'
    )


def _make_cut(geometry: Geometry, devices: Sequence[jax.Device]) -> Callable[..., Example]:
  """Returns the pmapped `(images, labels, drawn [D, A, b, 8]) -> Example [D, A, b, ...]`."""

  def cut(images: Array, labels: Array, drawn: Array) -> Example:
    def cut_one(row: Array) -> Example:
      label = labels[row[0]] if len(labels) else jnp.full(images.shape[1:3], VOID, jnp.uint8)
      return cut_view(images[row[0]], label, row[1:], geometry)

    return jax.vmap(jax.vmap(cut_one))(drawn)

  return jax.pmap(
    cut,
    axis_name=AXIS,
    in_axes=(None, None, 0),
    devices=list(devices) if jax.process_count() == 1 else None,
  )


def cut_view(image: Array, label: Array, view: Array, geometry: Geometry) -> Example:
  """Cuts a view from one frame: resizes, crops, mirrors, and pads to the crop.

  Args:
    image: `[H, W, 3]` uint8.
    label: `[H, W]` uint8.
    view: `[7]` int32, see `View.packed`.
    geometry: the options.

  Returns:
    Example of `[h, w, 3]`, `[h, w]`, `[h, w]` with (h, w) the crop.
  """
  frame = image.shape[0], image.shape[1]
  size = geometry.crop or frame
  scaled, corner, extent = view[0:2], view[2:4], view[4:6]
  # Rows and columns of the window; past its end the last one repeats, and is padding below.
  row, column = (jnp.minimum(jnp.arange(n), extent[axis] - 1) for axis, n in enumerate(size))
  column = jnp.where(view[6] > 0, extent[1] - 1 - column, column)
  if geometry.resizes:
    image = _resize(image, size, scaled, corner)[row][:, column]
  else:
    image = image[corner[0] + row][:, corner[1] + column]
  # The nearest pixel: i of h' comes from floor((i + 1/2) h / h'), in integers, so that no rounding
  # moves a label.
  source = [
    (2 * (corner[axis] + i) + 1) * frame[axis] // (2 * scaled[axis])
    for axis, i in enumerate((row, column))
  ]
  label = label[source[0]][:, source[1]]
  inside = [jnp.arange(n) < extent[axis] for axis, n in enumerate(size)]
  valid = inside[0][:, None] & inside[1][None, :]
  return Example(jnp.where(valid[..., None], image, 0), jnp.where(valid, label, VOID), valid)


def _resize(image: Array, size: Size, scaled: Array, corner: Array) -> Array:
  """Returns the window of an image, resized bilinearly with antialiasing."""
  scale = scaled.astype(jnp.float32) / jnp.array(image.shape[:2], jnp.float32)
  window = jax.image.scale_and_translate(
    image.astype(jnp.float32),
    (*size, image.shape[2]),
    (0, 1),
    scale,
    -corner.astype(jnp.float32),
    method='linear',
    antialias=True,
  )
  return (jnp.clip(window, 0.0, 255.0) + 0.5).astype(jnp.uint8)
