"""The function that is exported: images of any size to class ids, logits and confidence.

Synopsis:

    trained = restore(Path('RUN'), 'best', '')
    network = exported_network(trained, ('label', 'confidence'))
    network(images)['label']            # [B, H, W, 3] uint8 -> [B, H, W] uint8

Scaling, resizing or padding, and the way back are part of it, as `predictor.py` predicts a single
image. Flips, scales and windows, which a protocol may average over, are not.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from jax.core import max_dim
import jax.numpy as jnp

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import TrainedSetup, override, trained_setup
from classmix_jax.core.antialias import resize_antialiased
from classmix_jax.core.plain import as_operation
from classmix_jax.core.resize import cut, get_size, nearest_multiples, resize_bilinear
from classmix_jax.core.tiling import top_class
from classmix_jax.evaluation.headline import headline_network
from classmix_jax.inference.frame import Frame, choose_frame, list_left_out
from classmix_jax.inference.restore import load_networks
from classmix_jax.models.image_classifier import predict_logits
from classmix_jax.models.inference_form import fold_batch_norms, predict_folded
from classmix_jax.models.segmenter import Segmenter, to_unit_range
from classmix_jax.types import Array, PyTree
from classmix_jax.workdir import run_files

Network = Callable[[Array], dict[str, Array]]

OUTPUTS = ('label', 'logits', 'confidence')


class Trained(NamedTuple):
  """A trained network.

  Attributes:
    model: the segmenter.
    variables: of the network, see `Method.networks`.
    frame: the size at which it sees an image.
    class_names: of class 0, 1, ...
    step: of the checkpoint.
    name: for example 'teacher'.
    left_out: what the run's evaluation averages over, and the exported function does not.
  """

  model: Segmenter
  variables: Mapping[str, PyTree]
  frame: Frame
  class_names: tuple[str, ...]
  step: int
  name: str
  left_out: Sequence[str] = ()


def restore(run: Path, step: str, network: str) -> Trained:
  """Restores a network of a run, to compute in float32 whatever the training did.

  Args:
    run: directory of the run.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.

  Raises:
    UserError: the run, the checkpoint or the network does not exist.
  """
  names, _ = run_files.read_classes(run)
  method, evaluation = setup_with_dtype(run, len(names), 'float32')
  restored_step, networks = load_networks(run, step)
  name = headline_network(network or evaluation.headline, networks)
  variables = jax.device_put(networks[name], find_cpu())  # where files are tested
  frame = choose_frame(evaluation)
  left_out = list_left_out(evaluation.protocol)
  return Trained(method.model, variables, frame, names, restored_step, name, left_out)


def setup_with_dtype(run: Path, num_classes: int, dtype: str) -> TrainedSetup:
  """Returns the setup of a run whose network computes in 'float32' or 'bfloat16'."""
  return trained_setup(override(read_config(run), {'model.dtype': dtype}), num_classes)


def change_dtype(trained: Trained, run: Path, dtype: str) -> Trained:
  """Returns a network of a run that computes in 'float32' or 'bfloat16'."""
  setup = setup_with_dtype(run, len(trained.class_names), dtype)
  return trained._replace(model=setup.method.model)


def find_cpu() -> jax.Device:
  """Returns the CPU, or the first device if JAX was started without it (JAX_PLATFORMS)."""
  try:
    return jax.local_devices(backend='cpu')[0]
  except RuntimeError:
    return jax.local_devices()[0]


def exported_network(trained: Trained, outputs: Sequence[str] = OUTPUTS) -> Network:
  """Returns the function from images `[B, H, W, 3]` uint8 RGB to named arrays.

  They are `label` `[B, H, W]` uint8, `logits` `[B, H, W, C]` float32 and `confidence`, the
  probability of the label, `[B, H, W]` float32. Sizes may be symbolic. Whether operations are plain
  is left to who traces it, see `core/plain.py`.
  """
  folded = fold_batch_norms(trained.model, trained.variables)

  def apply(image: Array) -> Array:
    return predict_folded(trained.model, folded, image)

  def network(images: Array) -> dict[str, Array]:
    return predict_outputs(apply, images, trained.frame, outputs)

  return network


def training_form(trained: Trained) -> Network:
  """Returns the same function of the network as it is trained."""

  def apply(image: Array) -> Array:
    return predict_logits(trained.model, trained.variables, image)

  return lambda images: predict_outputs(apply, images, trained.frame, OUTPUTS)


def predict_outputs(
  apply: Callable[[Array], Array], images: Array, frame: Frame, outputs: Sequence[str]
) -> dict[str, Array]:
  """Returns the outputs for images of any size; arguments are those of `logits_of_any_size`."""
  logits = logits_of_any_size(apply, images, frame)

  def find_probability(x: Array) -> Array:
    return top_class(x)[1]

  values = {
    'label': jnp.argmax(logits, axis=-1).astype(jnp.uint8),
    'logits': logits,
    'confidence': as_operation('top_probability', find_probability)(logits),
  }
  return {name: values[name] for name in outputs}


def logits_of_any_size(apply: Callable[[Array], Array], images: Array, frame: Frame) -> Array:
  """Returns logits at the size of the images.

  Args:
    apply: the network, from RGB in 0..1 to logits.
    images: `[B, H, W, 3]` uint8.
    frame: how they are fitted to the network.
  """
  size = get_size(images)
  if frame.size is not None:
    resized = resize_antialiased(images.astype(jnp.float32), frame.size)
    return resize_bilinear(apply(resized / 255.0), size)
  if frame.multiple is not None:
    resized = resize_bilinear(to_unit_range(images), nearest_multiples(size, frame.multiple))
    return resize_bilinear(apply(resized), size)
  # Of symbolic sizes JAX must see that the padding is not negative.
  padding = [(0, max_dim(0, b - a)) for a, b in zip(size, frame.of(size), strict=True)]
  return cut(apply(jnp.pad(to_unit_range(images), ((0, 0), *padding, (0, 0)))), size)
