"""Makes the modules of benchmarks/ importable."""

from pathlib import Path
import sys

sys.path.append(str(Path(__file__).resolve().parents[2] / 'benchmarks'))
