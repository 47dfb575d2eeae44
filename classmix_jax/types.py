"""The dictionary of the house: what flows from the disk to the trained weights.

Synopsis:

    dataset = DATASETS['camvid'](root='CamVid', size=(180, 240))   # Dataset
    batch = next(iterator)                    # Batch of two Examples
    state, metrics = train_step(state, batch) # TrainState
"""

from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, NamedTuple, Protocol

import flax.struct
import jax
import numpy as np

VOID = 255  # label of a pixel that counts nowhere: not in a loss, not in a metric
AXIS = 'batch'  # name of the device axis inside pmap

Array = jax.Array
PyTree = Any
Metrics = Mapping[str, Array]


class UserError(Exception):
  """A mistake that the user can mend: one sentence that says what and where.

  The programs in launch/ print the sentence and end with status 2; everything
  else that escapes is a defect of this project and keeps its traceback.
  """


class Example(NamedTuple):
  """Images and their labels, as they travel from the disk to the device.

  Attributes:
    image: `[B, H, W, 3]` uint8, RGB, 0..255.
    label: `[B, H, W]` uint8, class ids, `VOID` (255) where nothing is known.
    valid: `[B, H, W]` bool, False on padding.

  In evaluation label and valid may have another size than the image.
  """

  image: Array
  label: Array
  valid: Array


class Batch(NamedTuple):
  """One step's input: `labeled` and `unlabeled` Examples.

  The labels of `unlabeled` are all `VOID`, but for pseudo-labels (see `Stage`). In a global batch
  the leading axes are `[devices, micro_batches, per_device]`; `pmap` takes the first.
  """

  labeled: Example
  unlabeled: Example


class Features(NamedTuple):
  """What a backbone sees in an image.

  Attributes:
    low: `[B, h, w, F]` at stride 4, early: edges, for heads with a skip connection.
    high: `[B, h', w', F']` at the backbone's output stride: what heads classify.
  """

  low: Array
  high: Array


@flax.struct.dataclass
class TrainState:
  """Everything that a checkpoint holds: arrays only, no key and no function.

  Attributes:
    step: int32 scalar, number of finished optimizer steps; negative where a step was not finite,
      see `train.guarded`.
    params: trainable parameters by network, e.g. `{'segmenter': ...}`.
    model_state: BN running statistics by network (also the teacher's).
    opt_state: state of the optax optimizer.
    method_state: what a method keeps beside them, e.g. the teacher's params.
  """

  step: Array
  params: PyTree
  model_state: PyTree
  opt_state: PyTree
  method_state: PyTree


class Stage(NamedTuple):
  """A part of a training; optimizer and schedule start again with each.

  Attributes:
    start, stop: its first step, and the first one after it.
    unlabeled: whether unlabelled images take part.
    share: if it is set, the network labels them before, the surest `share` of each class's
      pixels; their labels are in `Batch.unlabeled` then.
  """

  start: int
  stop: int
  unlabeled: bool = True
  share: float | None = None


class Method(Protocol):
  """A semi-supervised method: what to learn from, one differentiable function, a touch after.

  A step computes the targets of the whole batch without a gradient, then the loss
  and its gradient micro-batch after micro-batch. What must not depend on the number
  of micro-batches belongs into the targets: partners, random draws, denominators.

  Implementations are frozen dataclasses whose fields are the
  hyper-parameters; see `methods/mean_teacher.py`.
  """

  def stages(self, steps: int) -> tuple[Stage, ...]:
    """Returns the parts of a training of so many steps; most methods have one."""

  def init(self, key: Array, image: Array) -> tuple[PyTree, PyTree, PyTree]:
    """Returns `(params, model_state, method_state)` for images of this shape."""

  def targets(
      self, params: PyTree, model_state: PyTree, method_state: PyTree,
      batch: Batch, key: Array, step: Array,
  ) -> tuple[PyTree, PyTree, Metrics]:
    """Returns `(targets, model_state, metrics)`; runs inside `pmap`, no gradient passes.

    Arrays of `batch` are `[A, b, ...]`, micro-batches first, and those of
    `targets` are `[A, ...]`. `key` is equal on all devices.
    """

  def loss(
      self, params: PyTree, model_state: PyTree, targets: PyTree
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Returns `(loss, (model_state, metrics))` of one micro-batch; runs inside `pmap`.

    `targets` have no axis A here. Losses and metrics are summed over the
    micro-batches, then averaged over the devices.
    """

  def finish(self, params: PyTree, method_state: PyTree, step: Array) -> PyTree:
    """Returns the method state after the optimizer step `step` (0-based)."""

  def networks(
      self, params: PyTree, model_state: PyTree, method_state: PyTree
  ) -> Mapping[str, PyTree]:
    """Returns the variables of every network that can predict, by name."""

  def views(
      self, params: PyTree, model_state: PyTree, method_state: PyTree, batch: Batch, key: Array
  ) -> Mapping[str, Array]:
    """Returns what the method learns from, to be looked at; runs inside `pmap`.

    Of the first micro-batch of `batch`, `[A, b, ...]`: images are `[b, H, W, 3]`
    float32 in 0..1, labels are `[b, H, W]` integers.
    """


class Files(NamedTuple):
  """The picture files behind a source, for those who look at files rather than at pixels.

  Attributes:
    image: index -> file of the image: whatever `datasets/reading.py` takes.
    mask: index -> file of its mask, None where there are no masks. Not to be
      asked for unlabelled examples.
    decoding: how masks are read, a `datasets.decoding.Decoding`, or None.
  """

  image: Callable[[int], Any]
  mask: Callable[[int], Any] | None = None
  decoding: Any = None


@dataclasses.dataclass(frozen=True)
class Source:
  """Random access to images, and to labels where there are any.

  Attributes:
    names: one unique name per example, in a fixed (sorted) order. Splits are
      written in these names.
    read_image: index -> `[H, W, 3]` uint8 RGB.
    read_label: index -> `[H, W]` uint8 class ids and 255, of the image's size
      (the protocol `full` keeps the labels' own size); None where there are no
      labels. Never called for unlabelled examples.
    version: returns a text that changes whenever a pixel may have changed (files,
      their times and sizes, resolution, class table); None where nobody knows,
      and then no copy of the source is kept on the disk.
    files: the picture files, None where the examples do not come from such.

  Both readers raise `UserError` naming the file, what was found and the remedy.
  """

  names: tuple[str, ...]
  read_image: Callable[[int], np.ndarray]
  read_label: Callable[[int], np.ndarray] | None = None
  version: Callable[[], str] | None = None
  files: Files | None = None

  def __len__(self) -> int:
    return len(self.names)


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set: its classes and where its examples come from.

  Attributes:
    name: e.g. 'camvid'.
    class_names: name of class 0, 1, ...
    palette: one RGB triple (0..255) per class, for pictures.
    train: examples with labels; a split chooses which labels are used.
    val: examples with labels for evaluation.
    unlabeled: further images that have no labels, or None.
    raw_ids: value of class 0, 1, ... in the mask files of the data set, if its
      official tools expect these in predictions (Cityscapes: 7, 8, 11, ...).
  """

  name: str
  class_names: tuple[str, ...]
  palette: tuple[tuple[int, int, int], ...]
  train: Source
  val: Source
  unlabeled: Source | None = None
  raw_ids: tuple[int, ...] | None = None
