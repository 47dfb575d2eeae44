"""The dictionary of the house: what flows from the disk to the trained weights.

Synopsis:

    dataset = DATASETS['camvid'](root='CamVid', size=(180, 240))   # Dataset
    batch = next(iterator)                    # Batch of two Examples
    state, metrics = train_step(state, batch) # TrainState
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import flax.struct
import jax

VOID = 255  # label of a pixel that counts nowhere: not in a loss, not in a metric
AXIS = 'batch'  # name of the device axis inside pmap

Array = jax.Array
PyTree = Any
Metrics = Mapping[str, Array]


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
    self,
    params: PyTree,
    model_state: PyTree,
    method_state: PyTree,
    batch: Batch,
    key: Array,
    step: Array,
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
