"""Checks a data set before training: reports its content and its errors, and draws examples.

    python launch/check_data.py --config=configs/folder.py --config.data.root=DIR --output=OUT

Writes OUT/report.txt (which is also printed), OUT/contact_sheet.png and OUT/mixed.png. Ends
with status 0 and 'no findings', or with status 2 if an error would stop a training run.
"""

from pathlib import Path

from absl import flags

from classmix_jax.cli import command_line
from classmix_jax.config.flags import define_config

CONFIG = define_config('Config of the data set.')
OUTPUT = flags.DEFINE_string(
  'output', '', 'Directory of the report and the images; default: runs/check-<config name>.'
)


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.tools.data_check.check_data import check_data
  from classmix_jax.tools.data_check.report import count_findings

  config = command_line.required(CONFIG.value)
  output = Path(OUTPUT.value or Path('runs') / f'check-{config.name}').expanduser()
  findings = check_data(config, output)
  if findings:
    raise UserError(f'{count_findings(findings)}, see above and {output / "report.txt"}.')
