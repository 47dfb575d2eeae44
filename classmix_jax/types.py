"""Shared data structures: examples, batches, train state, and the Method protocol."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import flax.struct
import jax
import optax

VOID = 255  # label of pixels that no loss and no metric counts
AXIS = 'batch'  # name of the device axis inside pmap

Array = jax.Array
PyTree = Any
Metrics = Mapping[str, Array]
ArraySpec = Array | jax.ShapeDtypeStruct  # only its shape and type are used
Size = tuple[Any, Any]  # (height, width): integers, or symbolic dimensions of an export


class Example(NamedTuple):
  """Images and labels; in evaluation, labels may have another size than the images."""

  image: Any  # [B, H, W, 3] uint8, RGB; with cached features an `EncodedImage`
  label: Array  # [B, H, W] uint8 class ids, VOID if unknown
  valid: Array  # [B, H, W] bool, False on padding


class Batch(NamedTuple):
  """Input of one step. The global batch is `[devices, micro_batches, per_device, ...]`."""

  labeled: Example
  unlabeled: Example  # labels are VOID, or pseudo-labels if the stage has a `fraction`


class Features(flax.struct.PyTreeNode):
  """Output of a backbone: feature maps at one or more strides."""

  levels: tuple[Array, ...]  # [B, h, w, F] each; early layers first, the head's main input last
  strides: tuple[int, ...] = flax.struct.field(pytree_node=False)  # pixels per cell, of each level


class TrainState(flax.struct.PyTreeNode):
  """Content of a checkpoint: arrays only, no key and no function."""

  step: Array  # int32, number of finished steps; -1 - s if step s stopped the training run
  params: PyTree  # trainable parameters by network, e.g. {'segmenter': ...}
  model_state: PyTree  # BN running statistics by network, those of averages included
  opt_state: PyTree
  method_state: PyTree  # e.g. {'teacher': ...}
  frozen: PyTree = flax.struct.field(default_factory=dict)  # see core/frozen.py


class Stage(NamedTuple):
  """Steps `start` to `stop - 1` of a training run; optimizer and schedule start with each."""

  start: int
  stop: int
  unlabeled: bool = True  # whether unlabelled images take part
  fraction: float | None = None  # of each class's pixels to pseudo-label, most confident first
  labels_only: bool = False  # whether the loss is that of labelled images, whatever the method
  schedule: tuple[int, int] = (0, 0)  # of the optimizer, if it spans several stages


class Method(Protocol):
  """A semi-supervised method, see `methods/mean_teacher.py` for an implementation.

  A step computes the targets of the whole batch without a gradient (partners, random draws,
  denominators), then loss and gradient of one micro-batch after another. `targets`, `loss`,
  `finish` and `views` run inside `pmap` over `AXIS`. Implementations are frozen dataclasses.
  """

  averages: ClassVar[Mapping[str, str]]  # key of `method_state` -> key of `params` that it averages
  min_unlabeled: ClassVar[int]  # least unlabelled images in a batch: 2 if pairs are mixed
  network_names: ClassVar[tuple[str, ...]]  # keys of `networks`
  encoded_images: ClassVar[bool]  # whether images may be `EncodedImage`, see core/encoded.py
  recipes: ClassVar[Mapping[str, Mapping[str, Any]]]  # data set -> config fields of the paper

  @property
  def model(self) -> Any: ...  # the segmentation network

  @property
  def confidence_threshold(self) -> float: ...  # of the reliability that evaluations measure

  def init(self, key: Array, image: ArraySpec) -> tuple[PyTree, PyTree, PyTree]:
    """Returns `(params, model_state, method_state)` for images of this shape."""

  def stages(self, steps: int) -> tuple[Stage, ...]:
    """Divides a training run of `steps` steps; most methods have one stage."""

  def optimizers(self, steps: int, power: float) -> Mapping[str, optax.GradientTransformation]:
    """Returns optax optimizers of networks in `params` that are no segmentation networks."""

  def targets(self, state: TrainState, batch: Batch, key: Array) -> tuple[PyTree, PyTree, Metrics]:
    """Returns `(targets, model_state, metrics)` of arrays `[A, b, ...]`, A micro-batches."""

  def loss(
    self, params: PyTree, model_state: PyTree, targets: PyTree
  ) -> tuple[Array, tuple[PyTree, Metrics]]:
    """Returns `(loss, (model_state, metrics))` of one micro-batch, to be summed over A."""

  def finish(self, state: TrainState) -> PyTree:
    """Returns the new method state; `state.params` are updated, `state.step` counts from 0."""

  def networks(self, state: TrainState) -> Mapping[str, PyTree]:
    """Returns the variables of every network that predicts, by name."""

  def views(self, state: TrainState, batch: Batch, key: Array) -> tuple[Any, ...]:
    """Returns the `View`s of the first micro-batch in the order of a story, `methods/views.py`."""
