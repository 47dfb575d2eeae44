"""Findings with single files are grouped by kind, whatever numbers their sentences have."""

import pytest
from toy import save

from classmix_jax.data.files.findings import (
  Finding,
  count_kinds,
  group_findings,
  raise_findings,
)
from classmix_jax.data.files.image_io import read_image
from classmix_jax.errors import UserError
from classmix_jax.tools.data_check.report import count_findings, format_findings


def damaged(path, size):
  """The error of a PNG that ends after some bytes."""
  save(path, [[[0, 1, 2]] * 90] * 90)
  path.write_bytes(path.read_bytes()[:size])
  with pytest.raises(UserError) as error:
    read_image(path)
  return Finding.of(path, error.value)


def test_numbers_in_sentences_do_not_split_a_kind(tmp_path):
  findings = [damaged(tmp_path / f'{size}.png', size) for size in (60, 61, 62, 63, 64)]
  assert len({finding.sentence.replace(finding.file, '') for finding in findings}) == 5
  (group,) = group_findings([*findings, findings[0]])
  assert group.kind == 'damaged files' and group.files == tuple(f.file for f in findings)
  assert count_findings(findings) == '1 finding in 5 files'
  lines = format_findings(findings, most=2).splitlines()
  assert lines == [
    f'1. {findings[0].sentence}',
    f'   in 5 files, likewise {findings[1].file}',
    f'   likewise {findings[2].file}',
    '   and 2 more, named in report.txt',
  ]


def test_the_first_kind_is_raised_with_the_number_of_each():
  findings = [
    Finding('a', 'a is X 1.', 'x'),
    Finding('b', 'b is X 2.', 'x'),
    Finding('c', 'c.', ''),
  ]
  assert count_kinds(group_findings(findings)) == '2 x x, 1 x others'
  with pytest.raises(UserError) as error:
    raise_findings(findings, 9, 'masks')
  assert str(error.value) == (
    'a is X 1. In all 3 of 9 masks need attention (2 x x, 1 x others): a, b, c.'
  )
  assert error.value.kind == 'x'
  assert count_findings(findings) == '2 findings in 3 files'
