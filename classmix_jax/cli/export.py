"""Exports a run's network for other programs and compares it with JAX.

    python launch/export.py --workdir=RUN --output=OUT [--format=stablehlo,onnx]

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
OUTPUTS = flags.DEFINE_list(
  'outputs', ['label', 'logits'], "One or more of 'label', 'logits', 'confidence'."
)
PRECISION = flags.DEFINE_string(
  'precision', 'float32', "'float32', 'bfloat16' (stablehlo), 'float16' or 'int8' (tflite, onnx)."
)
CALIBRATION = flags.DEFINE_string(
  'calibration', '', 'Images for int8; default: unlabelled images of the run.'
)
SCORE = flags.DEFINE_bool(
  'score', None, 'Measure the mIoU on the validation images; default: if not float32.'
)
SIZES = flags.DEFINE_list(
  'sizes', [], 'HEIGHTxWIDTH,... of the images of tflite; default: the evaluation size of the run.'
)
STEP = flags.DEFINE_string('step', 'best', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
  'network', '', "'student' or 'teacher'; default: config.eval_network."
)


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.inference.export.export import export
  from classmix_jax.inference.export.fixed_size import parse_sizes
  from classmix_jax.inference.export.summary import describe_export, describe_file

  if not OUTPUT.value:
    raise UserError('--output is missing; for example --output=DIR.')
  run, sizes = command_line.existing_run(WORKDIR.value), parse_sizes(SIZES.value)
  exported = export(
    run,
    OUTPUT.value,
    formats=FORMAT.value,
    sizes=sizes,
    outputs=OUTPUTS.value,
    precision=PRECISION.value,
    calibration=CALIBRATION.value,
    score=SCORE.value,
    step=STEP.value,
    network=NETWORK.value,
    report=lambda file: print(describe_file(file), flush=True),
  )
  print(describe_export(exported))
  print(f'wrote them and {exported.card.name} to {OUTPUT.value}')
