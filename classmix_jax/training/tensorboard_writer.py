"""Writes TensorBoard events with the package tensorboard, without TensorFlow.

Synopsis:

    writer = TensorBoardWriter(Path('runs/scenes-classmix/tensorboard'))
    writer.write_scalars(10, {'loss/sup': 0.5})
    writer.close()

The events are equal to those of `tf.summary`.
"""

from collections.abc import Mapping
import importlib.util
import io
import os
from pathlib import Path
import socket
import time
from typing import Any

import numpy as np
from PIL import Image


def has_tensorboard() -> bool:
  """Returns whether the package tensorboard is installed."""
  return importlib.util.find_spec('tensorboard') is not None


class TensorBoardWriter:
  """Appends events to a file; they are on disk when a call returns.

  Raises:
    OSError: the directory cannot be written.
  """

  def __init__(self, directory: Path):
    from tensorboard.summary.writer.record_writer import RecordWriter

    directory.mkdir(parents=True, exist_ok=True)
    name = f'events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}'
    self._records = RecordWriter(
      (directory / name).open('ab')
    )  # "ab": a writer of the same second shares the file
    self._add(file_version='brain.Event:2')

  def write_scalars(self, step: int, scalars: Mapping[str, float]) -> None:
    """Writes numbers by name."""
    from tensorboard.plugins.scalar.metadata import create_summary_metadata

    metadata = create_summary_metadata(None, None)
    for name, value in scalars.items():
      self._add_tensor(step, name, np.float32(value), metadata)

  def write_texts(self, step: int, texts: Mapping[str, str]) -> None:
    """Writes texts by name."""
    from tensorboard.plugins.text.metadata import create_summary_metadata

    metadata = create_summary_metadata(None, None)
    for name, text in texts.items():
      self._add_tensor(step, name, text.encode(), metadata)

  def write_images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
    """Writes uint8 images `[B, H, W, 3]` by name."""
    from tensorboard.plugins.image.metadata import create_summary_metadata

    metadata = create_summary_metadata(None, None)
    for name, batch in images.items():
      height, width = batch.shape[1:3]
      encoded = [str(width).encode(), str(height).encode(), *map(_png, batch)]
      self._add_tensor(step, name, encoded, metadata)

  def write_hparams(self, settings: Mapping[str, bool | float | str]) -> None:
    """Writes settings by name for the page 'hparams'."""
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    self._add(summary=hparams_pb(dict(settings)))

  def close(self) -> None:
    """Closes the file."""
    self._records.close()

  def _add_tensor(self, step: int, name: str, value: Any, metadata: Any) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.util.tensor_util import make_tensor_proto

    value = Summary.Value(tag=name, tensor=make_tensor_proto(value), metadata=metadata)
    self._add(step=step, summary=Summary(value=[value]))

  def _add(self, **fields: Any) -> None:
    from tensorboard.compat.proto.event_pb2 import Event

    self._records.write(Event(wall_time=time.time(), **fields).SerializeToString())
    self._records.flush()


def _png(image: np.ndarray) -> bytes:
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'PNG')
  return file.getvalue()
