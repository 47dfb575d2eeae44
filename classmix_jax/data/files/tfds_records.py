"""Reads ArrayRecord files of TensorFlow Datasets with random access, without tf.data.

Synopsis:

    names = record_names(builder, 'train', 'name')
    pairs = record_pairs(builder, 'train', names, image='image', mask='label')
    source = paired_source(pairs, decoding, size=(512, 1024))

Records have the bytes of encoded images, which decode exactly as files do. Arrays of pixels are
encoded as PNG when they are read.
"""

from collections.abc import Sequence
import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from classmix_jax.data.files.decoding import RAW_VALUES
from classmix_jax.data.files.image_io import load_image
from classmix_jax.data.files.open_image import Encoded
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.data.files.tfds_prepare import Builder
from classmix_jax.errors import UserError
from classmix_jax.utils.atomic_write import write_atomically

RESTART_REMEDY = 'Remove that directory and start again.'


def damaged_error(where: object, reason: object) -> UserError:
  """Returns the error for prepared files that are damaged."""
  return UserError(f'{where} is damaged ({reason}). {RESTART_REMEDY}')


def _open_records(builder: Builder, split: str) -> Sequence:
  """Returns random access to a split; images stay encoded."""
  import tensorflow_datasets as tfds

  if split.partition('[')[0] not in builder.info.splits:  # a split may be sliced: train[:90%]
    raise damaged_error(builder.data_dir, f'it lists no split {split}')
  decoders = {
    name: tfds.decode.SkipDecoding()
    for name, feature in builder.info.features.items()
    if isinstance(feature, tfds.features.Image)
  }
  try:
    return builder.as_data_source(split, decoders=decoders)
  except (OSError, AssertionError, ValueError) as error:
    raise damaged_error(builder.data_dir, error) from error


def record_names(builder: Builder, split: str, feature: str) -> list[str]:
  """Reads the names of a split's examples, in the order of the records.

  TFDS shuffles the records that it writes, and a name is read with the whole record. So the names
  are kept in `names_SPLIT.json` beside the records.

  Args:
    builder: a builder whose files exist.
    split: e.g. 'train'.
    feature: the text feature with the name.

  Raises:
    UserError: the files are damaged.

  Example: `record_names(builder, 'train', 'image_id')`.
  """
  records = _open_records(builder, split)
  path = Path(builder.data_dir, f'names_{split}.json')
  with contextlib.suppress(OSError, ValueError):
    names = json.loads(path.read_text(encoding='utf-8'))
    if len(names) == len(records):
      return names
  names = [
    _read_feature(records, index, feature, builder.data_dir).decode()
    for index in range(len(records))
  ]
  with contextlib.suppress(OSError):  # a read-only directory: the names are read again next time
    write_atomically(path, json.dumps(names))
  return names


def record_pairs(
  builder: Builder, split: str, names: Sequence[str], image: str, mask: str
) -> Pairs:
  """Returns the pairs of a split, sorted by name; an image is read when it is indexed.

  Args:
    builder: a builder whose files exist.
    split: e.g. 'train'.
    names: names of the examples, in the order of the records.
    image: the feature with the encoded image.
    mask: the feature with the encoded mask.

  Raises:
    UserError: the files are damaged.

  Example: `record_pairs(builder, 'train', names, image='image', mask='label')`.
  """
  images = record_images(builder, split, names, image)
  return Pairs(images.names, images, dataclasses.replace(images, feature=mask))


def record_images(
  builder: Builder, split: str, names: Sequence[str], feature: str
) -> 'EncodedImages':
  """Returns the images of one feature of a split; see `record_pairs`.

  Example: `record_images(builder, 'unlabeled', names, 'image')`.
  """
  order = sorted(range(len(names)), key=lambda index: names[index])
  return EncodedImages(
    _open_records(builder, split),
    feature,
    tuple(order),
    tuple(names[index] for index in order),
    str(builder.data_dir),
  )


def count_records(builder: Builder, split: str) -> int:
  """Returns the number of examples of a split; raises UserError if the files are damaged."""
  return len(_open_records(builder, split))


@dataclasses.dataclass(frozen=True)
class EncodedImages(Sequence[Encoded]):
  """The encoded images of one feature, sorted by name.

  Attributes:
    records: random access to the examples.
    feature: name of the feature.
    order: index of the record of every example.
    names: one per example, for messages.
    where: the directory, for messages.
    channel: the channel to keep of encoded RGB images, None for all.
  """

  records: Sequence
  feature: str
  order: tuple[int, ...]
  names: tuple[str, ...]
  where: str
  channel: int | None = None

  @property
  def version(self) -> str:
    """Returns a text that changes when the data set is prepared again, see `Source.version`."""
    time = Path(self.where, 'dataset_info.json').stat().st_mtime_ns
    return f'{self.where} {self.feature} {time}'

  def __len__(self) -> int:
    return len(self.order)

  def __getitem__(self, index: int) -> Encoded:  # type: ignore[override]  # slices are not used
    data = _read_feature(self.records, self.order[index], self.feature, self.where)
    where = f"{self.feature} of '{self.names[index]}' in {self.where}"
    remedy = f'If the original is in order: {RESTART_REMEDY}'
    if isinstance(data, np.ndarray):
      return Encoded(encode_pixels(data, where), where, remedy)
    if self.channel is None:
      return Encoded(data, where, remedy)
    image = load_image(Encoded(data, where, remedy))
    pixels = np.asarray(image.getchannel(self.channel))
    return Encoded(encode_pixels(pixels, where), where, remedy)


def encode_pixels(pixels: np.ndarray, where: str) -> bytes:
  """Returns a PNG of `[H, W]` or `[H, W, 1]` integers of up to 16 bits, or `[H, W, 3]` uint8.

  Args:
    pixels: the pixels.
    where: their name in messages.

  Raises:
    UserError: a value is outside of 0..65535.

  Example: `encode_pixels(np.zeros((4, 6), np.int64), 'the mask')[1:4] == b'PNG'`.
  """
  pixels = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
  if pixels.dtype != np.uint8:
    low, high = int(pixels.min()), int(pixels.max())
    if low < 0 or high >= RAW_VALUES:
      raise UserError(
        f'{where} holds the values {low} to {high}; expected are 0 to {RAW_VALUES - 1}. Choose '
        'another feature with --config.data.mask=NAME.'
      )
    pixels = pixels.astype(np.uint8 if high < 256 else np.uint16)
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, 'PNG', compress_level=1)  # 1 is the fastest
  return buffer.getvalue()


def _read_feature(records: Sequence, index: int, feature: str, where: object) -> Any:
  try:
    return records[index][feature]
  except (OSError, RuntimeError, ValueError) as error:  # truncated or altered files
    raise damaged_error(where, error) from error
