"""Text in figures in any script, by the first font that has its characters.

Synopsis:

    typeface = find_typeface(['road', 'мяч', '背景'])     # prints a hint if no font has a character
    typeface.draw(draw, (4, 0), typeface.shorten('a very long class name', 80))

DejaVu Sans, which matplotlib brings, has Latin, Greek, Cyrillic, Hebrew and Arabic. Other scripts
need a font of the system.
"""

from collections.abc import Iterable, Sequence
import functools
from pathlib import Path
import re
from typing import NamedTuple

from PIL import ImageDraw, ImageFont
import wcwidth

SIZE = 12  # pixels
LINE = 16  # height of a line in pixels
BASELINE = 12  # pixels from the upper edge of a line
MISSING = '…'  # in place of characters without a font
HINT = (
  'note: no installed font has the characters {}; in figures the ids of these classes stand for '
  "them. Install a font that has them, on Debian and Ubuntu for example 'apt install {}'."
)


class Face(NamedTuple):
  """A font, and the characters that it has among those that are needed."""

  font: ImageFont.FreeTypeFont
  characters: frozenset[str]


class Typeface(NamedTuple):
  """Fonts in the order in which they are used; a text may need several of them."""

  faces: tuple[Face, ...]

  def split(self, text: str) -> list[tuple[str, ImageFont.FreeTypeFont]]:
    """Splits a text into runs of one font; a run without a font is `MISSING`."""
    text = _one_line(text)
    for face in self.faces:
      if face.characters >= set(text):
        return [(text, face.font)]
    runs: list[tuple[str, ImageFont.FreeTypeFont]] = []
    for grapheme in wcwidth.iter_graphemes(text):
      able = [face.font for face in self.faces if face.characters >= set(grapheme)]
      part = grapheme if able else MISSING
      font = runs[-1][1] if runs and runs[-1][1] in able else [*able, self.faces[0].font][0]
      if not runs or font is not runs[-1][1]:
        runs.append((part, font))
      elif part != MISSING or not runs[-1][0].endswith(MISSING):
        runs[-1] = runs[-1][0] + part, font
    return runs

  def width(self, text: str) -> int:
    """Returns the width of a text in pixels."""
    return -int(-sum(font.getlength(run) for run, font in self.split(text)) // 1)

  def draw(self, draw: ImageDraw.ImageDraw, corner: tuple[float, float], text: str) -> None:
    """Draws a text in black; `corner` is the upper left of its line."""
    left, top = corner
    for run, font in self.split(text):
      draw.text((left, top + BASELINE), run, fill='black', font=font, anchor='ls')
      left += font.getlength(run)

  def shorten(self, text: str, width: int) -> str:
    """Returns a text, or its start and end around an ellipsis if it is wider than `width`."""
    if self.width(text) <= width:
      return text
    parts = list(wcwidth.iter_graphemes(_one_line(text)))
    for count in range(len(parts) - 1, 0, -1):
      start, end = parts[: count - count // 2], parts[len(parts) - count // 2 :]
      shorter = f'{"".join(start).rstrip()}…{"".join(end).lstrip()}'
      if self.width(shorter) <= width:
        return shorter
    return '…'

  def wrap(self, text: str, width: int) -> list[str]:
    """Breaks a text into lines of at most `width` pixels, between words; a word is never broken."""
    lines: list[str] = []
    for word in text.split():
      longer = f'{lines[-1]} {word}' if lines else word
      if lines and self.width(longer) <= width:
        lines[-1] = longer
      else:
        lines.append(word)
    return lines


def find_typeface(texts: Iterable[str]) -> Typeface:
  """Returns fonts for all characters of some texts; prints a hint once if there are none.

  Example:
    >>> typeface = find_typeface(['мяч'])
    >>> [(run, font.getname()[0]) for run, font in typeface.split('мяч')]
    [('мяч', 'DejaVu Sans')]
  """
  return _find_typeface(frozenset(''.join(map(_one_line, texts)) + ' ' + MISSING))


def _one_line(text: str) -> str:
  """Returns a text without line breaks and without characters that only select a form."""
  return ' '.join(re.sub('[\u200b-\u200f\ufe00-\ufe0f\ufeff]', '', text).split())


@functools.lru_cache(maxsize=64)
def _find_typeface(characters: frozenset[str]) -> Typeface:
  import matplotlib

  first = _open_face(Path(matplotlib.get_data_path()) / 'fonts/ttf/DejaVuSans.ttf', characters)
  assert first is not None
  faces, missing = [first], characters - first.characters
  for path in list_system_fonts() if missing else ():
    face = _open_face(path, characters)
    if face is not None and face.characters & missing:
      faces.append(face)
      missing -= face.characters
    if not missing:
      break
  if missing:
    _print_hint(''.join(sorted(missing)))
  # A font that has the whole text is taken first, so a name is not split without need.
  return Typeface(tuple(faces))


@functools.cache
def list_system_fonts() -> Sequence[Path]:
  """Returns the files of the system's fonts, regular fonts without serifs first."""
  from matplotlib.font_manager import findSystemFonts

  def rank(path: Path) -> tuple[int, str]:
    name = path.stem.lower()
    styles = ('bold', 'italic', 'oblique', 'light', 'thin', 'black', 'serif', 'mono', 'condensed')
    return sum(style in name for style in styles) - ('regular' in name), str(path)

  paths = map(Path, findSystemFonts())
  # The font of last resort, on macOS, has a box for every character.
  return sorted((path for path in paths if 'lastresort' not in path.stem.lower()), key=rank)


def _open_face(path: Path, characters: frozenset[str]) -> Face | None:
  """Returns a font with those of the characters that it has, None if there are none."""
  from matplotlib.ft2font import FT2Font

  try:
    charmap = FT2Font(str(path))
    present = frozenset(c for c in characters if charmap.get_char_index(ord(c)))
    return Face(ImageFont.truetype(str(path), SIZE), present) if present else None
  except (OSError, RuntimeError, ValueError):  # a damaged file, or a font of bitmaps
    return None


@functools.cache
def _print_hint(missing: str) -> None:
  packages = {_package(character): None for character in missing}
  shown = missing if len(missing) <= 20 else f'{missing[:20]} …'
  print(HINT.format(shown, ' '.join(packages)), flush=True)


def _package(character: str) -> str:
  """Returns Debian's package of a font that has a character."""
  if ord(character) >= 0x1F000 and wcwidth.wcwidth(character) == 2 and ord(character) < 0x20000:
    return 'fonts-symbola'  # pictographs without colours
  return 'fonts-noto-cjk' if wcwidth.wcwidth(character) == 2 else 'fonts-noto-core'
