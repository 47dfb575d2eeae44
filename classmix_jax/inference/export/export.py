"""A trained network for other programs: StableHLO, TensorFlow, TFLite, ONNX.

Synopsis:

    export('RUN', 'OUT', formats=['stablehlo', 'onnx'])

    OUT/model.stablehlo    jax.export.deserialize(file.read()).call(images)
    OUT/savedmodel/        tf.saved_model.load('OUT/savedmodel')(images)
    OUT/model.tflite       LiteRT, one image at a time
    OUT/model.onnx         onnxruntime.InferenceSession('OUT/model.onnx').run(None, {'images': ...})
    OUT/MODEL_CARD.md      what it is, what it learned from, how good it is

Each takes `[B, H, W, 3]` uint8 RGB, for any B but with TFLite, normalises by itself, and returns
`logits` `[B, H, W, C]` float32 and `label` `[B, H, W]` uint8.
"""

from collections.abc import Callable, Mapping, Sequence
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
from jax import export as jax_export
import jax.numpy as jnp
import ml_collections
import numpy as np

from classmix_jax.config.load import read_config
from classmix_jax.config.model import build_model
from classmix_jax.data.splits import split_hash
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import headline_network
from classmix_jax.inference.restore import load_networks
from classmix_jax.models.image_classifier import predicted_logits
from classmix_jax.models.segmenter import to_unit_range
from classmix_jax.types import Array
from classmix_jax.utils.atomic_write import replacing, write_atomically
from classmix_jax.workdir import layout

PLATFORMS = ('cpu', 'cuda', 'rocm', 'tpu')
CHECKED = 3  # images that the exported model must agree on
TOLERANCE = 1e-4  # of logits, relative to the largest

Network = Callable[[Array], dict[str, Array]]


def stablehlo(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/model.stablehlo for CPUs, GPUs and TPUs; returns how to call what was written."""
  (batch,) = jax_export.symbolic_shape('b')
  image = jax.ShapeDtypeStruct((batch, *size, 3), jnp.uint8)
  program = jax_export.export(jax.jit(network), platforms=PLATFORMS)(image)
  path = output / 'model.stablehlo'
  with replacing(path) as temporary:
    temporary.write_bytes(program.serialize())
  return jax_export.deserialize(bytearray(path.read_bytes())).call


def _with_tensorflow() -> ModuleType:
  """Returns the module whose formats TensorFlow writes."""
  try:
    from classmix_jax.inference.export import tensorflow
  except ImportError as error:
    raise UserError(
      f'SavedModel and TFLite are written by TensorFlow ({error}): pip install tensorflow adds it.'
    ) from None
  return tensorflow


def savedmodel(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/savedmodel/; returns how to call what was written."""
  return _with_tensorflow().write_savedmodel(network, size, output / 'savedmodel', PLATFORMS)


def tflite(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/model.tflite, for one image; returns how to call what was written."""
  return _with_tensorflow().write_tflite(network, size, output / 'model.tflite')


def onnx(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/model.onnx; returns how to call what was written.

  Raises:
    UserError: jax2onnx is not installed.
  """
  try:
    from classmix_jax.inference.export.onnx import write_onnx
  except ImportError as error:
    raise UserError(
      f'ONNX is written by jax2onnx and tried with onnxruntime ({error}): '
      "pip install 'classmix_jax[onnx]' adds them."
    ) from None
  return write_onnx(network, size, output / 'model.onnx')


FORMATS: Mapping[str, Callable[[Network, tuple[int, int], Path], Callable]] = {
  'stablehlo': stablehlo,
  'savedmodel': savedmodel,
  'tflite': tflite,
  'onnx': onnx,
}


def export(
  run: str | os.PathLike,
  output: str | os.PathLike,
  *,
  formats: Sequence[str] = ('stablehlo',),
  size: tuple[int, int] | None = None,
  step: str = 'best',
  network: str = '',
) -> dict[str, float]:
  """Writes a run's network in some formats, and calls each on images to see that it agrees.

  Args:
    run: the run's folder.
    output: where the files go.
    formats: names of `FORMATS`.
    size: (H, W) of the images it takes; None is the run's working size or crop.
    step: 'latest', 'best' or a step.
    network: 'student' or 'teacher'; '' is the config's `eval_network`.

  Returns:
    format -> largest difference of its logits from JAX's, relative to the largest logit.

  Raises:
    UserError: no such run, format or network; a size or a library that is missing; or an exported
      model that does not agree.
  """
  run, output = Path(run).expanduser().absolute(), Path(output).expanduser().absolute()
  unknown = [name for name in formats if name not in FORMATS]
  if unknown:
    raise UserError(f'--format has {unknown[0]!r}; choose of {", ".join(FORMATS)}.')
  data = read_config(run)['data']
  size = tuple(size or data['size'] or data['crop'])
  if not size:
    raise UserError('the run has images of many sizes: give --size=HEIGHT,WIDTH.')
  apply, found, chosen = restored(run, step, network)
  output.mkdir(parents=True, exist_ok=True)
  differences = {}
  for name in formats:
    differences[name] = difference(written(name, apply, size, output), apply, size)
    if not differences[name] <= TOLERANCE:
      raise UserError(
        f"the {name} model's logits differ from JAX's by {differences[name]:.1e} of the largest, "
        f'more than {TOLERANCE:.0e}; the files in {output} should not be used.'
      )
  write_atomically(output / 'MODEL_CARD.md', model_card(run, found, chosen, size, differences))
  return differences


def written(name: str, network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes a format; UserError where its library does not know an operation of the network."""
  try:
    return FORMATS[name](network, size, output)
  except UserError:
    raise
  except Exception as error:  # every library has exceptions of its own
    raise UserError(
      f'the library behind {name} cannot write this network ({type(error).__name__}: '
      f'{str(error).strip().partition(chr(10))[0][:200]}); docs/export.md says which it can.'
    ) from error


def restored(run: Path, step: str, network: str) -> tuple[Network, int, str]:
  """Returns a run's network, the step it was found at, and its name; see `export`."""
  config = ml_collections.ConfigDict(read_config(run))
  names, _ = layout.read_classes(run)
  found, networks = load_networks(run, step)
  chosen = headline_network(network or config.eval_network, networks)
  return with_label(build_model(config, len(names)), networks[chosen]), found, chosen


def with_label(model: Any, variables: Any) -> Network:
  """Binds a network to its variables: `[B, H, W, 3]` uint8 to logits and class ids."""

  def network(image: Array) -> dict[str, Array]:
    logits = predicted_logits(model, variables, to_unit_range(image))
    return {'logits': logits, 'label': jnp.argmax(logits, -1).astype(jnp.uint8)}

  return network


def difference(exported: Callable, network: Network, size: tuple[int, int]) -> float:
  """Largest difference of logits on images of coarse noise, relative to the largest logit."""
  coarse = np.random.default_rng(0).integers(0, 256, (CHECKED, *(-(-n // 8) for n in size), 3))
  images = np.kron(coarse, np.ones((1, 8, 8, 1), int))[:, : size[0], : size[1]].astype(np.uint8)
  expected = np.asarray(jax.jit(network)(images)['logits'])
  found = np.asarray(exported(images)['logits'])
  return float(np.abs(found - expected).max() / np.abs(expected).max())


def model_card(
  run: Path, step: int, network: str, size: tuple[int, int], differences: Mapping[str, float]
) -> str:
  """Markdown: data, split, score, and whose licence the weights are under."""
  config = read_config(run)
  names, _ = layout.read_classes(run)
  labeled, unlabeled = (layout.read_split(run, part) for part in ('labeled', 'unlabeled'))
  path = layout.evaluation_path(run, step)
  result = layout.read_json(path) if path.exists() else None
  origin = layout.read_pretrained(run)
  score = 'not evaluated at this step'
  if result:
    score = (
      f'{100 * result["networks"][network]["miou"]:.2f} % on {result["images"]} validation '
      f'images, protocol {result["protocol"]}'
    )
  licence = 'from scratch: yours, as far as the licence of the data lets you'
  if origin:
    licence = (
      f'started from {origin["name"]} (trained on {origin["trained_on"] or "unknown data"}'
      f', SHA-256 {origin["sha256"]}), whose licence applies, too'
    )
  written = '\n'.join(
    f'- {name}: logits within {value:.1e} of JAX, relative to the largest'
    for name, value in differences.items()
  )
  iou = '\n'.join(
    f'| {name} | {"-" if value is None else f"{100 * value:.2f}"} |'
    for name, value in (result['networks'][network]['iou'] if result else {}).items()
  )
  return f"""# {config['method']['name']} on {config['name']}

- network: {config['model']['backbone']} + {config['model']['head']}, the {network} at step {step}
- data: {len(labeled)} labelled and {len(unlabeled)} unlabelled images of {config['name']}
- split: {split_hash(labeled)}
- mIoU: {score}
- weights: {licence}
- input: images [B, {size[0]}, {size[1]}, 3], uint8, RGB; the model normalises by itself;
  B is 1 with TFLite, anything elsewhere
- output: logits [B, {size[0]}, {size[1]}, {len(names)}], float32, and
  label [B, {size[0]}, {size[1]}], uint8
- classes: {', '.join(f'{index} {name}' for index, name in enumerate(names))}
{written}

| class | IoU in % |
|---|---|
{iou}
"""
