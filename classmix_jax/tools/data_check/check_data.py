"""Checks the data set of a config and reports what it contains; see launch/check_data.py.

Synopsis:

    findings = check_data(config, Path('OUT'))

    OUT/report.txt           the printed report, with the names of all files
    OUT/contact_sheet.png    labelled images and their labels
    OUT/mixed.png            labelled images mixed by class masks
"""

from collections.abc import Container
import dataclasses
from pathlib import Path

from classmix_jax.config.data import check_pool, choose_split, open_dataset
from classmix_jax.config.lookup import Config
from classmix_jax.data.duplicates import EqualImages, pair_equal
from classmix_jax.data.files.checks import image_files
from classmix_jax.data.files.findings import Finding, keep_findings
from classmix_jax.data.files.unused import describe_system_files, top_directories
from classmix_jax.data.label_statistics import add_present, select_ids
from classmix_jax.data.source import Dataset, Source
from classmix_jax.data.value_check import value_warnings
from classmix_jax.errors import UserError
from classmix_jax.tools.data_check.consequences import (
  drop_consequences,
  explain_absent_classes,
)
from classmix_jax.tools.data_check.report import (
  count_findings,
  format_findings,
  format_report,
  list_warnings,
)
from classmix_jax.tools.data_check.sheets import (
  NUM_EXAMPLES,
  choose_examples,
  draw_contact_sheet,
  draw_mixed_sheet,
)
from classmix_jax.tools.data_check.survey import Part, survey
from classmix_jax.utils.atomic_write import write_atomically, write_png
from classmix_jax.utils.text import plural

MAX_NAMED_FILES = 3  # printed for each finding, after the first


def check_data(config: Config, output: Path) -> list[Finding]:
  """Reads the whole data set at the resolution of its files, and writes a report and figures.

  Masks are opened for the labelled and the validation images only.

  Args:
    config: see classmix_jax/config/defaults.py; only `data` and `method` are used.
    output: directory to write to.

  Returns:
    The findings: problems that would stop a training, train it on wrong labels, or make its scores
    too high.

  Raises:
    UserError: `output` cannot be written.

  Example: `check_data(config, Path('OUT')) == []`.
  """
  dataset, sources, findings = open_parts(config)
  names = dataset.class_names if dataset else ()
  parts = [
    survey(title, source, names, with_masks=title != 'unlabelled')
    for title, source in sources.items()
  ]
  findings += [finding for part in parts for finding in part.findings]
  add_present(findings, [raw for part in parts for raw in select_ids(part.values)])
  equal_images = pair_equal(content for part in parts for content in part.contents)
  findings += [equal_finding(equal) for equal in equal_images if equal.is_fault]
  # An image may belong to two parts, and the labels of all parts need the same option.
  findings = list({_identity(one, sources): one for one in reversed(findings)}.values())[::-1]
  findings = drop_consequences(findings)
  counted = () if explain_absent_classes(findings) else parts
  warnings = list_warnings(dataset, parts, counted) if dataset else []
  warnings += value_warnings(part.source for part in parts)
  warnings += [equal.describe() for equal in equal_images if not equal.is_fault]
  try:
    output.mkdir(parents=True, exist_ok=True)
    tables = [format_report(dataset, parts)] if dataset else []
    files = [file for part in parts for file in image_files(part.source)]
    tables += filter(None, [describe_system_files(top_directories(files))])
    figures = [
      write_sheets(dataset, part, output) for part in parts if dataset and part.title == 'labelled'
    ]
    # report.txt names all files, the terminal a few for each finding.
    full, short = (
      '\n\n'.join([*tables, *format_conclusions(warnings, findings, most), *figures])
      for most in (None, MAX_NAMED_FILES)
    )
    write_atomically(output / 'report.txt', full + '\n')
  except OSError as error:
    raise UserError(
      f'{output} cannot be written ({error.strerror}); give another --output.'
    ) from None
  print(f'\n{short}\n\nwrote {output / "report.txt"}', flush=True)
  return findings


def open_parts(config: Config) -> tuple[Dataset | None, dict[str, Source], list[Finding]]:
  """Opens a data set.

  Returns:
    The data set, or None if it cannot be opened; its parts by title; and the findings.
  """
  dataset, sources = None, {}
  with keep_findings() as findings:
    try:
      dataset = open_dataset(config, size=None)
      sources = {'val': dataset.val}
      split = choose_split(config, dataset)
      dataset = dataclasses.replace(dataset, notes=(*dataset.notes, *split.notes))
      assert split.unlabeled is not None
      sources = {'labelled': split.labeled, 'unlabelled': split.unlabeled, **sources}
      check_pool(config, split)
    except UserError as error:
      findings.append(Finding.of('', error))
  return dataset, sources, findings


def equal_finding(equal: EqualImages) -> Finding:
  """Returns the finding of images that are labelled and in the validation set, or alike."""
  return Finding(equal.other, equal.describe(), f'equal {equal.first} and {equal.other} images')


def _identity(finding: Finding, titles: Container[str]) -> tuple[str, str]:
  """Returns what equal findings have in common: the kind if they are on a whole part."""
  return ('', finding.kind) if finding.file in titles else (finding.file, finding.sentence)


def format_conclusions(warnings: list[str], findings: list[Finding], most: int | None) -> list[str]:
  """Returns the warnings and the findings as paragraphs; `most` as in `format_findings`."""
  blocks = []
  if warnings:
    blocks.append(f'{len(warnings)} {plural("warning", warnings)}\n' + '\n'.join(warnings))
  if not findings:
    return [*blocks, 'no findings']
  return [*blocks, f'{count_findings(findings)}\n{format_findings(findings, most)}']


def write_sheets(dataset: Dataset, labeled: Part, output: Path) -> str:
  """Writes the figures of the labelled images, and returns a line on each.

  A figure with too few valid images is not written.
  """
  examples = choose_examples(labeled, NUM_EXAMPLES)
  names = ', '.join(labeled.source.names[index] for index in examples)
  sheets = (
    ('contact_sheet.png', draw_contact_sheet(labeled, dataset), f'row by row {names}'),
    (
      'mixed.png',
      draw_mixed_sheet(labeled, dataset),
      'labelled images mixed by their true labels; in a training unlabelled images are mixed, '
      "by the teacher's prediction",
    ),
  )
  lines = []
  for name, sheet, caption in sheets:
    path = output / name
    path.unlink(missing_ok=True)  # written by an earlier check
    if sheet is not None:
      write_png(path, sheet)
    lines.append(f'{path}: {caption}' if sheet else f'{path}: not drawn, too few valid images')
  return '\n'.join(lines)
