"""Writes one HTML page about a run, or about several side by side, for any browser, offline.

    python launch/report.py --workdir=RUN
    python launch/report.py --workdir=RUN --compare=OTHER,THIRD [--output=FILE.html]

It shows curves, IoU and confusion of classes, validation images with errors and confidence,
training images, and all settings. Every training run writes RUN/report.html at its end.
"""

from pathlib import Path

from absl import flags

from classmix_jax.cli import command_line

WORKDIR = flags.DEFINE_string('workdir', '', 'Directory of the run.')
COMPARE = flags.DEFINE_list('compare', [], 'Directories of other runs to compare it with.')
OUTPUT = flags.DEFINE_string(
  'output', '', 'The file; default: RUN/report.html, or RUN/compare.html with --compare.'
)
ROOT = flags.DEFINE_string('root', '', "Directory of the data set; default: the run's.")


def main() -> None:
  from classmix_jax.tools.report.write_report import report_runs

  directories = [
    command_line.existing_run(directory) for directory in (WORKDIR.value, *COMPARE.value)
  ]
  output = Path(OUTPUT.value).expanduser() if OUTPUT.value else None
  report_runs(directories, output, ROOT.value)
