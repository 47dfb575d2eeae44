"""Writes an HTML page about one training run, or about several side by side.

    python launch/report.py --workdir=RUN
    python launch/report.py --workdir=RUN --compare=OTHER,THIRD [--output=FILE.html]

Curves, IoU and confusion of classes, validation images with errors and confidence, what the method
learned from, and all settings. A training writes RUN/report.html at its end by itself.
"""

from pathlib import Path

from absl import flags

from classmix_jax.cli import command_line

WORKDIR = flags.DEFINE_string('workdir', '', 'Folder of the run.')
COMPARE = flags.DEFINE_list('compare', [], 'Folders of other runs, to stand beside it.')
OUTPUT = flags.DEFINE_string(
  'output', '', 'The file; default: RUN/report.html, or RUN/compare.html with --compare.'
)
ROOT = flags.DEFINE_string('root', '', "Folder of the data set; default: the run's own.")


def main() -> None:
  from classmix_jax.tools.report.write_report import report_runs

  folders = [command_line.existing_run(folder) for folder in (WORKDIR.value, *COMPARE.value)]
  output = Path(OUTPUT.value).expanduser() if OUTPUT.value else None
  report_runs(folders, output, ROOT.value)
