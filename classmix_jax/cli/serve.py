"""Serves a run on a local page: drop an image, see its classes; also for other programs.

    python launch/serve.py --workdir=RUN
    python launch/serve.py --workdir=RUN --port=8080 --network=student --step=latest

Needs `pip install 'classmix_jax[serve]'`. Programs send an image file to /predict and get JSON or
PNG, see docs/serve.md. Only this machine reaches the page unless --host says otherwise. Ctrl-C ends
the server.
"""

from absl import flags

from classmix_jax.cli import command_line

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
PORT = flags.DEFINE_integer('port', 8000, 'Port of the page; 0 takes any free one.')
HOST = flags.DEFINE_string(
  'host', '127.0.0.1', 'Name or address of this machine; 0.0.0.0 admits the whole network.'
)
STEP = flags.DEFINE_string('step', 'best', "Checkpoint: 'latest', 'best' or a step.")
NETWORK = flags.DEFINE_string(
  'network', '', "'student' or 'teacher'; default: config.eval_network."
)
MAX_MEGAPIXELS = flags.DEFINE_float(
  'max_megapixels', 24.0, 'Millions of pixels that an image may have.', lower_bound=0.001
)


def main() -> None:
  from classmix_jax.inference.serve.serve import serve

  serve(
    command_line.existing_run(WORKDIR.value),
    port=PORT.value,
    host=HOST.value,
    step=STEP.value,
    network=NETWORK.value,
    max_megapixels=MAX_MEGAPIXELS.value,
  )
