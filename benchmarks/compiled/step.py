"""Compiles a training step without running it.

Synopsis:

    compiled = compile_step(Setting('resnet50', 'deeplab_v2', 'classmix'), open_devices('h100'))
    memory(compiled)['temp']
"""

from collections.abc import Sequence
import dataclasses
import time
from typing import NamedTuple

from compiled.faults import faults
from compiled.hlo import parse
from compiled.kernels import by_kind, fusion_kinds, is_collective, kernels, model
from compiled.targets import Card, assume_cudnn
import jax
import jax.numpy as jnp
import optax

from classmix_jax.config.model import DTYPES
from classmix_jax.core.optim import poly_optimizer
from classmix_jax.core.packing import PackedState, pack, unpack
from classmix_jax.methods import METHODS
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads import HEADS
from classmix_jax.models.pyramid import build_backbone
from classmix_jax.models.segmenter import build_segmenter
from classmix_jax.training.create_state import create_state
from classmix_jax.training.step import make_train_step
from classmix_jax.types import Batch, Example, Method, TrainState

MIB = 2**20


@dataclasses.dataclass(frozen=True)
class Setting:
  """A training step.

  Attributes:
    backbone, head, method: names in the registries.
    size: (H, W) of the crops.
    batch: labelled images of each device, and unlabelled ones.
    classes: C.
    dtype: 'float32' or 'bfloat16'.
    remat: whether convolutions are recomputed for gradients.
    accumulate: micro-batches; must divide `batch`.
    frozen: whether the backbone's parameters never change.
  """

  backbone: str
  head: str
  method: str
  size: tuple[int, int] = (512, 1024)
  batch: int = 2
  classes: int = 19
  dtype: str = 'bfloat16'
  remat: bool = False
  accumulate: int = 1
  frozen: bool = False


class Compiled(NamedTuple):
  """A compiled step and its inputs.

  Attributes:
    step: the result of `.compile()`.
    state: shapes of its first argument.
    seconds: time of tracing and compiling.
  """

  step: jax.stages.Compiled
  state: PackedState
  seconds: float


def _examples(devices: int, count: int, setting: Setting) -> Example:
  shape = (devices, setting.accumulate, count // setting.accumulate, *setting.size)
  return Example(
    jax.ShapeDtypeStruct((*shape, 3), jnp.uint8),
    jax.ShapeDtypeStruct(shape, jnp.uint8),
    jax.ShapeDtypeStruct(shape, jnp.bool_),
  )


def _method(setting: Setting) -> Method:
  head = HEADS[setting.head]
  backbone = build_backbone(
    BACKBONES[setting.backbone], head, dtype=DTYPES[setting.dtype], remat=setting.remat
  )
  model = build_segmenter(backbone, head, setting.classes, freeze_backbone=setting.frozen)
  return METHODS[setting.method](model, setting.classes)


def _optimizer(method: Method) -> optax.GradientTransformation:
  return poly_optimizer(1e-3, 1000, others=method.optimizers(1000, 0.9))


def state_shapes(setting: Setting) -> TrainState:
  """Returns shapes and dtypes of the train state."""
  method = _method(setting)
  image = jax.ShapeDtypeStruct((1, *setting.size, 3), jnp.float32)

  def create(key: jax.Array) -> TrainState:
    return create_state(method, _optimizer(method), key, image, jax.devices())

  return jax.eval_shape(create, jax.random.key(0))


def compile_step(setting: Setting, devices: Sequence[jax.Device]) -> Compiled:
  """Compiles the pmapped step that `launch/main.py` trains with."""
  method = _method(setting)
  tx = _optimizer(method)
  state = jax.eval_shape(pack, state_shapes(setting))
  unlabeled = setting.batch if method.min_unlabeled else 0
  batch = Batch(*(_examples(len(devices), count, setting) for count in (setting.batch, unlabeled)))
  begin = time.perf_counter()
  step = make_train_step(method, tx, 0, devices, accumulate=setting.accumulate)
  with assume_cudnn(devices[0]):
    step = step.lower(state, batch).compile()
  return Compiled(step, state, time.perf_counter() - begin)


def memory(compiled: Compiled) -> dict[str, float]:
  """Returns MiB of temporaries, arguments and results, and the seconds of compiling."""
  result = compiled.step.memory_analysis()
  return {
    'temp': result.temp_size_in_bytes / MIB,
    'argument': result.argument_size_in_bytes / MIB,
    'output': result.output_size_in_bytes / MIB,
    'seconds': compiled.seconds,
  }


def largest_kernel(state: PackedState) -> int:
  """Returns the side of the largest convolution kernel `[k, k, F, G]` of all networks."""
  unpacked = jax.eval_shape(unpack, state)
  params = jax.tree.leaves((unpacked.params, unpacked.frozen))
  return max(max(leaf.shape[:2]) for leaf in params if leaf.ndim == 4)


def analysis(compiled: Compiled, card: Card, half: bool) -> dict:
  """Returns kernels, bytes, collectives, kinds of work, the roofline, and faults of a step."""
  program = parse(compiled.step.as_text())
  result = list(kernels(program))
  exchanged = [kernel for kernel in result if is_collective(kernel.instruction)]
  total = model(result, card, half)
  return {
    'kernels': total.launches,
    'gigabytes': total.bytes / 1e9,
    'teraflop': total.operations / 1e12,
    'work_ms': total.ms,
    'launch_ms': 1000 * card.launch * total.launches,
    'collectives': sum(kernel.launches for kernel in exchanged),
    'collective_mb': sum(kernel.launches * kernel.instruction.bytes for kernel in exchanged) / 1e6,
    'kinds': {name: part._asdict() for name, part in by_kind(result, card, half).items()},
    'fusions': fusion_kinds(program),
    'faults': list(
      faults(program, largest_kernel(compiled.state), len(jax.tree.leaves(compiled.state)))
    ),
  }
