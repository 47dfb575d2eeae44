"""Serves a run on a local page: drop an image, see its classes; also for other programs.

`--help` lists the flags.
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classmix_jax.cli.start import start  # noqa: E402

if __name__ == '__main__':
  start('serve')
