"""Exports a run's network for other programs and compares it with JAX.

    python launch/export.py --workdir=RUN --output=OUT [--format=stablehlo,onnx] [--size=512,1024]

OUT/model.stablehlo is called from JAX on any platform without this package, OUT/savedmodel from
TensorFlow, OUT/model.tflite on phones, OUT/model.onnx from ONNX Runtime; OUT/MODEL_CARD.md
describes the model. See docs/export.md.
"""

from absl import flags

from classmix_jax.cli import command_line

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
OUTPUT = flags.DEFINE_string('output', '', 'Directory of the files.')
FORMAT = flags.DEFINE_list(
  'format', ['stablehlo'], "One or more of 'stablehlo', 'savedmodel', 'tflite', 'onnx'."
)
SIZE = flags.DEFINE_list(
  'size', [], "HEIGHT,WIDTH of the images; default: the run's working size or crop."
)
STEP = flags.DEFINE_string('step', 'best', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
  'network', '', "'student' or 'teacher'; default: config.eval_network."
)


def parse_size(texts: list[str]) -> tuple[int, int] | None:
  """Parses --size=HEIGHT,WIDTH; returns None if the flag is missing."""
  from classmix_jax.errors import UserError

  if not texts:
    return None
  if len(texts) != 2 or not all(text.isdecimal() and int(text) for text in texts):
    raise UserError(f'--size={",".join(texts)} must be HEIGHT,WIDTH, for example 512,1024.')
  return int(texts[0]), int(texts[1])


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.inference.export.export import default_size, export

  if not OUTPUT.value:
    raise UserError('--output is missing; for example --output=DIR.')
  run, size = command_line.existing_run(WORKDIR.value), parse_size(SIZE.value)
  (height, width), title = (size, '') if size else default_size(run)
  differences = export(
    run,
    OUTPUT.value,
    formats=FORMAT.value,
    size=(height, width),
    step=STEP.value,
    network=NETWORK.value,
  )
  for name, value in differences.items():
    print(f"{name}: logits within {value:.1e} of JAX's, relative to the largest")
  hint = f', the {title} of the run; --size=HEIGHT,WIDTH chooses another' if title else ''
  print(
    f'wrote them and MODEL_CARD.md to {OUTPUT.value}, for images of {height}x{width} (height x '
    f'width) only{hint}'
  )
