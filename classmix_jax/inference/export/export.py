"""Exports a trained network as StableHLO, SavedModel, TFLite or ONNX.

Synopsis:

    export('RUN', 'OUT', formats=['stablehlo', 'onnx'])

    OUT/model.stablehlo    jax.export.deserialize(file.read()).call(images)
    OUT/savedmodel/        tf.saved_model.load('OUT/savedmodel')(images)
    OUT/model.tflite       LiteRT, one image at a time
    OUT/model.onnx         onnxruntime.InferenceSession('OUT/model.onnx').run(None, {'images': ...})
    OUT/MODEL_CARD.md      network, training data, scores and licence

Each model takes `[B, H, W, 3]` uint8 RGB with any B (TFLite: 1), normalises it, and returns
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
import numpy as np

from classmix_jax.config.load import read_config
from classmix_jax.config.trained import trained_setup
from classmix_jax.data.splits import split_hash
from classmix_jax.errors import UserError
from classmix_jax.evaluation.headline import headline_network
from classmix_jax.inference.restore import load_networks
from classmix_jax.models.image_classifier import predict_logits
from classmix_jax.models.segmenter import to_unit_range
from classmix_jax.types import Array
from classmix_jax.utils.atomic_write import replacing, write_atomically
from classmix_jax.utils.text import describe_error
from classmix_jax.workdir import layout, run_files

PLATFORMS = ('cpu', 'cuda', 'rocm', 'tpu')
CHECKED = 3  # images on which the exported model is compared with JAX
TOLERANCE = 1e-4  # largest difference of logits, relative to the largest logit

Network = Callable[[Array], dict[str, Array]]


def stablehlo(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/model.stablehlo for CPUs, GPUs and TPUs; returns the exported model."""
  (batch,) = jax_export.symbolic_shape('b')
  image = jax.ShapeDtypeStruct((batch, *size, 3), jnp.uint8)
  program = jax_export.export(jax.jit(network), platforms=PLATFORMS)(image)
  path = output / 'model.stablehlo'
  with replacing(path) as temporary:
    temporary.write_bytes(program.serialize())
  return jax_export.deserialize(bytearray(path.read_bytes())).call


def _with_tensorflow() -> ModuleType:
  """Imports the module that writes SavedModel and TFLite; raises UserError without TensorFlow."""
  try:
    from classmix_jax.inference.export import tensorflow
  except ImportError as error:
    raise UserError(
      f'SavedModel and TFLite need TensorFlow ({error}): install it with pip install tensorflow.'
    ) from None
  return tensorflow


def savedmodel(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/savedmodel/; returns the exported model."""
  return _with_tensorflow().write_savedmodel(network, size, output / 'savedmodel', PLATFORMS)


def tflite(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/model.tflite, for one image; returns the exported model."""
  return _with_tensorflow().write_tflite(network, size, output / 'model.tflite')


def onnx(network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes OUT/model.onnx; returns the exported model.

  Raises:
    UserError: jax2onnx is not installed.
  """
  try:
    from classmix_jax.inference.export.onnx import write_onnx
  except ImportError as error:
    raise UserError(
      f'ONNX needs jax2onnx and onnxruntime ({error}): install them with '
      "pip install 'classmix_jax[onnx]'."
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
  """Writes a network of a run in some formats and compares each with JAX.

  Args:
    run: directory of the run.
    output: directory of the files.
    formats: names of `FORMATS`.
    size: (H, W) of the images; None takes the run's working size or crop.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.

  Returns:
    Format -> largest difference of its logits from JAX's, relative to the largest logit.

  Raises:
    UserError: the run, the format or the network does not exist; a size or a library is missing;
      or the logits of an exported model differ from JAX's.
  """
  run, output = Path(run).expanduser().absolute(), Path(output).expanduser().absolute()
  unknown = [name for name in formats if name not in FORMATS]
  if unknown:
    raise UserError(f'--format has {unknown[0]!r}; choose of {", ".join(FORMATS)}.')
  size = size or default_size(run)[0]
  apply, restored_step, name = restore_network(run, step, network)
  output.mkdir(parents=True, exist_ok=True)
  differences = {}
  for kind in formats:
    differences[kind] = compare_logits(write_format(kind, apply, size, output), apply, size)
    if not differences[kind] <= TOLERANCE:
      raise UserError(
        f"the {kind} model's logits differ from JAX's by {differences[kind]:.1e} of the largest, "
        f'more than {TOLERANCE:.0e}; the files in {output} should not be used.'
      )
  card = model_card(run, restored_step, name, size, differences)
  write_atomically(output / 'MODEL_CARD.md', card)
  return differences


def default_size(run: Path) -> tuple[tuple[int, int], str]:
  """Returns the (H, W) of an export, and what it is: the working size of a run, or its crop.

  Raises:
    UserError: it has neither.
  """
  data = read_config(run)['data']
  for field, title in (('size', 'working size'), ('crop', 'training crop')):
    if data[field]:
      height, width = data[field]
      return (height, width), title
  raise UserError('the run has images of many sizes: give --size=HEIGHT,WIDTH.')


def write_format(name: str, network: Network, size: tuple[int, int], output: Path) -> Callable:
  """Writes a format; raises UserError if its library does not support the network."""
  try:
    return FORMATS[name](network, size, output)
  except UserError:
    raise
  except Exception as error:  # every library raises exceptions of its own
    raise UserError(
      f'the library behind {name} cannot write this network ({type(error).__name__}: '
      f'{describe_error(error)}); docs/export.md lists those it can.'
    ) from error


def restore_network(run: Path, step: str, network: str) -> tuple[Network, int, str]:
  """Restores a network of a run; returns it with its step and its name."""
  names, _ = run_files.read_classes(run)
  method, evaluation = trained_setup(read_config(run), len(names))
  restored_step, networks = load_networks(run, step)
  name = headline_network(network or evaluation.headline, networks)
  return with_label(method.model, networks[name]), restored_step, name


def with_label(model: Any, variables: Any) -> Network:
  """Binds a model to its variables: maps `[B, H, W, 3]` uint8 to logits and class ids."""

  def network(image: Array) -> dict[str, Array]:
    logits = predict_logits(model, variables, to_unit_range(image))
    return {'logits': logits, 'label': jnp.argmax(logits, -1).astype(jnp.uint8)}

  return network


def compare_logits(exported: Callable, network: Network, size: tuple[int, int]) -> float:
  """Returns the largest difference of logits on coarse noise, relative to the largest logit."""
  coarse = np.random.default_rng(0).integers(0, 256, (CHECKED, *(-(-n // 8) for n in size), 3))
  images = np.kron(coarse, np.ones((1, 8, 8, 1), int))[:, : size[0], : size[1]].astype(np.uint8)
  expected = np.asarray(jax.jit(network)(images)['logits'])
  logits = np.asarray(exported(images)['logits'])
  return float(np.abs(logits - expected).max() / np.abs(expected).max())


def describe_score(result: Mapping[str, Any], network: str) -> str:
  """Returns the mIoU of a network with its protocol, for the model card."""
  if not result:
    return 'not evaluated at this step'
  miou = 100 * result['networks'][network]['miou']
  return f'{miou:.2f} % on {result["images"]} validation images, protocol {result["protocol"]}'


def describe_licence(origin: Mapping[str, Any]) -> str:
  """Returns whose licence applies to the weights, for the model card."""
  if not origin:
    return 'trained from scratch: only the licence of the data applies'
  return (
    f'started from {origin["name"]} (trained on {origin["trained_on"] or "unknown data"}, SHA-256 '
    f'{origin["sha256"]}), whose licence applies, too'
  )


def model_card(
  run: Path, step: int, network: str, size: tuple[int, int], differences: Mapping[str, float]
) -> str:
  """Returns the model card in Markdown: network, data, split, scores and licence."""
  config = read_config(run)
  names, _ = run_files.read_classes(run)
  labeled, unlabeled = (run_files.read_split(run, part) for part in ('labeled', 'unlabeled'))
  path = layout.evaluation_path(run, step)
  result = run_files.read_json(path) if path.exists() else {}
  return f"""# {config['method']['name']} on {config['name']}

- network: {config['model']['backbone']} + {config['model']['head']}, the {network} at step {step}
- data: {len(labeled)} labelled and {len(unlabeled)} unlabelled images of {config['name']}
- split: {split_hash(labeled)}
- mIoU: {describe_score(result, network)}
- weights: {describe_licence(run_files.read_pretrained(run))}
- input: images [B, {size[0]}, {size[1]}, 3], uint8, RGB; the model normalises them;
  B is 1 with TFLite, anything elsewhere
- files: {describe_reading(config)}
- output: logits [B, {size[0]}, {size[1]}, {len(names)}], float32, and
  label [B, {size[0]}, {size[1]}], uint8
- classes: {', '.join(f'{index} {name}' for index, name in enumerate(names))}
{format_differences(differences)}

{format_iou(result['networks'][network]['iou'] if result else {})}
"""


def describe_reading(config: Mapping[str, Any]) -> str:
  """Returns how the run makes RGB bytes of its image files, which a user of the model repeats."""
  data = config['data']
  bands, value_range = data.get('bands', ''), data.get('value_range', '')
  parts = [f'bands {bands} (from 1)'] if bands else []
  parts += [f'values {value_range} become 0 to 255, others are clipped'] if value_range else []
  return '; '.join(parts) or 'RGB or grey, the whole range of their type becomes 0 to 255'


def format_differences(differences: Mapping[str, float]) -> str:
  """Returns a Markdown list: the largest relative difference of the logits in each format."""
  return '\n'.join(
    f'- {name}: logits within {value:.1e} of JAX, relative to the largest'
    for name, value in differences.items()
  )


def format_iou(iou: Mapping[str, float | None]) -> str:
  """Returns a Markdown table of the IoU of each class, '-' for classes without pixels."""
  rows = (
    f'| {name} | {"-" if value is None else f"{100 * value:.2f}"} |' for name, value in iou.items()
  )
  return '\n'.join(('| class | IoU in % |', '|---|---|', *rows))
