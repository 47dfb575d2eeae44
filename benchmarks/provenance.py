"""Returns date, machine and versions of a measurement, for every file of results/.

Synopsis:

    {'ms': 12.5, **provenance('jax', 'flax')}
"""

import importlib.metadata
import os
from pathlib import Path
import platform
import subprocess
import time

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str | None:
  """Returns the commit of this tree, with '+' where files differ from it; None without git."""

  def git(*words):
    return subprocess.run(
      ['git', '-C', str(ROOT), *words], capture_output=True, text=True, check=True
    ).stdout.strip()

  try:
    return git('rev-parse', '--short=10', 'HEAD') + '+' * bool(
      git('status', '--porcelain', '--untracked-files=no', '--', ':!benchmarks/results')
    )
  except (OSError, subprocess.CalledProcessError):
    return None


def provenance(*packages: str) -> dict:
  """Returns date, commit, processor, cores, and the versions of Python and of `packages`."""
  return {
    'date': time.strftime('%Y-%m-%d'),
    'commit': commit(),
    'processor': platform.machine(),
    'cores': len(os.sched_getaffinity(0)),
    'versions': {
      'python': platform.python_version(),
      **{name: importlib.metadata.version(name) for name in packages},
    },
  }
