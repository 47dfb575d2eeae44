"""Fonts that have the characters of a text, and texts without a font."""

from pathlib import Path

import pytest

from classmix_jax.utils import fonts
from classmix_jax.utils.fonts import find_typeface


@pytest.mark.parametrize('text', ['road', 'Straße (naß)', 'мяч — название', 'ουρανός', 'شارع'])
def test_dejavu_has_the_scripts_of_europe(text):
  (run,) = find_typeface([text]).split(text)
  assert run[0] == text and run[1].getname()[0] == 'DejaVu Sans'


@pytest.fixture
def without_system_fonts(monkeypatch):
  """A machine with no further font."""
  monkeypatch.setattr(fonts, 'list_system_fonts', tuple)
  fonts._find_typeface.cache_clear()
  fonts._print_hint.cache_clear()
  yield
  fonts._find_typeface.cache_clear()


def test_characters_without_a_font(without_system_fonts, capsys):
  typeface = find_typeface(['0 背景', '1 car (汽车) b'])
  assert [run for run, _ in typeface.split('0 背景')] == ['0 …']
  assert [run for run, _ in typeface.split('1 car (汽车) b')] == ['1 car (…) b']
  note = capsys.readouterr().out
  assert note.count('\n') == 1 and '景汽背车' in note and 'fonts-noto-cjk' in note
  find_typeface(['背景 汽车'])
  assert capsys.readouterr().out == ''  # once is enough


def test_a_name_takes_one_font_if_one_has_all_of_it(monkeypatch):
  """DejaVu Sans has no U+2312 and DejaVu Sans Mono has no Hebrew."""
  directory = Path(find_typeface('a').faces[0].font.path).parent
  files = directory / 'missing.ttf', directory / 'DejaVuSansMono.ttf'
  monkeypatch.setattr(fonts, 'list_system_fonts', lambda: files)
  fonts._find_typeface.cache_clear()
  typeface = find_typeface(['a \u2312', 'א\u2312'])
  runs = [(run, font.getname()[0]) for run, font in typeface.split('a \u2312')]
  assert runs == [('a \u2312', 'DejaVu Sans Mono')]
  runs = [(run, font.getname()[0]) for run, font in typeface.split('א\u2312')]
  assert runs == [('א', 'DejaVu Sans'), ('\u2312', 'DejaVu Sans Mono')]
  fonts._find_typeface.cache_clear()


def test_long_names_lose_their_middle():
  typeface = find_typeface(['species number 17'])
  shorter = typeface.shorten('species number 17', 80)
  assert typeface.width(shorter) <= 80 and shorter.startswith('spe') and shorter.endswith(' 17')
  assert typeface.shorten('sky', 80) == 'sky'


def test_lines_break_between_words():
  typeface = find_typeface(['prediction of the student'])
  width = typeface.width('prediction of')
  assert typeface.wrap('prediction of the student', width) == ['prediction of', 'the student']
  assert typeface.wrap('prediction of', 5) == ['prediction', 'of']
