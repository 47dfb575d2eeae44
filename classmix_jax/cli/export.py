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


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.inference.export.export import export

  if not OUTPUT.value:
    raise UserError('--output is missing; for example --output=DIR.')
  if SIZE.value and (len(SIZE.value) != 2 or not all(map(str.isdecimal, SIZE.value))):
    raise UserError(f'--size={",".join(SIZE.value)} must be HEIGHT,WIDTH, for example 512,1024.')
  differences = export(
    command_line.existing_run(WORKDIR.value),
    OUTPUT.value,
    formats=FORMAT.value,
    size=(int(SIZE.value[0]), int(SIZE.value[1])) if SIZE.value else None,
    step=STEP.value,
    network=NETWORK.value,
  )
  for name, value in differences.items():
    print(f"{name}: logits within {value:.1e} of JAX's, relative to the largest")
  print(f'wrote them and MODEL_CARD.md to {OUTPUT.value}')
