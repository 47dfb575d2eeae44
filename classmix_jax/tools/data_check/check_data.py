"""Checks the data set of a config and shows it; the program launch/check_data.py.

Synopsis:

    findings = check_data(config, Path('OUT'))

    OUT/report.txt           what is printed, with the name of every file
    OUT/contact_sheet.png    labelled images and their labels
    OUT/mixed.png            what ClassMix makes of them
"""

from pathlib import Path

from classmix_jax.config.data import check_pool, choose_split, open_dataset
from classmix_jax.config.lookup import Config
from classmix_jax.data.files.findings import Finding, keep_findings
from classmix_jax.data.source import Dataset, Source
from classmix_jax.errors import UserError
from classmix_jax.tools.data_check.report import report, told, warnings
from classmix_jax.tools.data_check.sheets import EXAMPLES, contact_sheet, mixed_sheet, shown
from classmix_jax.tools.data_check.survey import Part, survey
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.text import plural

NAMED = 3  # further files of a finding that are printed


def check_data(config: Config, output: Path) -> list[Finding]:
  """Reads the whole data set at the resolution of its files, tells and draws what it holds.

  Masks are opened for the labelled and the validation images only.

  Args:
    config: see classmix_jax/config/defaults.py; only `data` and `method` matter.
    output: folder to write to.

  Returns:
    The findings: what would stop a training, or make it learn nonsense.

  Raises:
    UserError: `output` cannot be written.

  Example: `check_data(config, Path('OUT')) == []`.
  """
  dataset, sources, findings = open_parts(config)
  parts = [
    survey(title, source, dataset.class_names, with_masks=title != 'unlabelled')
    for title, source in sources.items()
  ]
  findings += [finding for part in parts for finding in part.findings]
  findings = list(dict.fromkeys(findings))  # an image may be part of two
  try:
    output.mkdir(parents=True, exist_ok=True)
    tables = [report(dataset, parts)] if dataset else []
    drawn = [draw(dataset, part, output) for part in parts if part.title == 'labelled']
    full, short = (
      '\n\n'.join([*tables, *conclusions(dataset, parts, findings, most), *drawn])
      for most in (None, NAMED)
    )
    write_atomically(output / 'report.txt', full + '\n')
  except OSError as error:
    raise UserError(
      f'{output} cannot be written ({error.strerror}); give another --output.'
    ) from None
  print(f'\n{short}\n\nwrote {output / "report.txt"}', flush=True)
  return findings


def open_parts(config: Config) -> tuple[Dataset | None, dict[str, Source], list[Finding]]:
  """Returns the data set, its parts by title, and what was wrong; None where it does not open."""
  dataset, sources = None, {}
  with keep_findings() as findings:
    try:
      dataset = open_dataset(config, size=None)
      sources = {'val': dataset.val}
      split = choose_split(config, dataset)
      sources = {'labelled': split.labeled, 'unlabelled': split.unlabeled, **sources}
      check_pool(config, split)
    except UserError as error:
      findings.append(Finding('', str(error)))
  return dataset, sources, findings


def conclusions(
  dataset: Dataset | None, parts: list[Part], findings: list[Finding], most: int | None
) -> list[str]:
  """Returns the warnings and the findings as paragraphs, `most` as in `told`."""
  warned = warnings(dataset, parts) if dataset else []
  blocks = [f'{len(warned)} {plural("warning", warned)}\n' + '\n'.join(warned)] if warned else []
  if not findings:
    return [*blocks, 'no findings']
  return [*blocks, f'{len(findings)} {plural("finding", findings)}\n{told(findings, most)}']


def draw(dataset: Dataset, labeled: Part, output: Path) -> str:
  """Writes both pictures as far as there is something to show; says what they show."""
  names = ', '.join(labeled.source.names[index] for index in shown(labeled, EXAMPLES))
  sheets = (
    ('contact_sheet.png', contact_sheet(labeled, dataset), f'row by row {names}'),
    (
      'mixed.png',
      mixed_sheet(labeled, dataset),
      'labelled images mixed by their true labels; in a training unlabelled images are mixed, '
      "by the teacher's prediction",
    ),
  )
  lines = []
  for name, sheet, words in sheets:
    path = output / name
    path.unlink(missing_ok=True)  # of an earlier check
    if sheet is not None:
      write_png(path, sheet)
    lines.append(f'{path}: {words}' if sheet else f'{path}: not drawn, too few sound images')
  return '\n'.join(lines)
