"""Exports a run's network for other programs, and verifies the exported copy.

`--help` lists the flags.
"""

from pathlib import Path
import sys

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from classmix_jax.cli.start import start  # noqa: E402

if __name__ == '__main__':
  start('export')
