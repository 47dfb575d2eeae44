"""Distinguishes names of classes from other text: file names, sentences, tables, markup."""

from collections.abc import Sequence
import re
import unicodedata

from classmix_jax.errors import UserError

MAX_LENGTH = 120  # of ADE20K's names the longest has 102 characters
MAX_WORDS = 8  # between commas
FILE_NAME = re.compile(
  r'\.(png|jpe?g|bmp|tiff?|webp|gif|heic|avif|npy|npz|mat|json|xml|txt|csv|tsv|ya?ml|md|py|mp4|avi'
  r'|mov|zip|gz|pdf|docx?|xlsx?|html?)$',
  re.IGNORECASE,
)
SENTENCE = re.compile(r'\w+\W+\w+\W+\w+.*[.!?:]($|\s+\w+\s+\w)')
CELLS = re.compile(
  r'^\W?\d+\W?\s*[,;:=\t|]|[,;:=\t|]\s*[\d.]*\d\W?$|\d\s*:\s|\s;'  # '0,road', 'road: 0.5'
  r'|\s\d+[\s,]+\d+\W?$|\s0\.\d+\W?$'  # 'road 128 64', 'road 0.5'
  r'|[-=]>|→|[,;:，；：]$|\s[-–—]$'
)
REMARK = re.compile(r'^\w+:(\s+\w+){3}')  # 'note: masks have 8 bits'
JOINERS = '\u200c\u200d'  # characters without a width that Persian and Hindi are written with


def check_name(name: str, where: str) -> None:
  """Raises UserError if a text cannot be the name of a class.

  Args:
    name: without spaces at its ends.
    where: file and line, for messages.

  Example: `check_name('road/street', 'classes.txt, line 1') is None`.
  """
  flaw = find_flaw(name)
  if flaw:
    text = name if len(name) <= 60 else f'{name[:57]}...'
    raise UserError(
      f"{where} is '{text}', {flaw}; expected is the name of a class, as in 'road', 'road 128 64 "
      "128' or '0,road'."
    )


def find_flaw(name: str) -> str:
  """Returns in words why a text is no name of a class, '' if it may be one.

  Example:
    >>> find_flaw('traffic light (red)'), find_flaw('img/0001.png'), find_flaw('12')
    ('', 'a file name', 'a number without a name')
  """
  if not name:
    return 'an empty name'
  if any(unicodedata.category(letter) == 'Cc' for letter in name):
    return 'which has control characters'
  if len(name) > MAX_LENGTH:
    return f'text of {len(name)} characters'
  if FILE_NAME.search(name) or '://' in name:
    return 'a file name'
  if re.fullmatch(r'[-+\d\s.,;:]*\d[-+\d\s.,;:]*', name):
    return 'a number without a name'
  if not any(letter.isalnum() or unicodedata.category(letter) == 'So' for letter in name):
    return 'which has no letters'
  if name[0] in '{[<' and name[-1] in '{[,:' or re.search(r'[{}=|]|</|^<[!?]', name):
    return 'a piece of markup or code'
  if any(name.count(pair[0]) != name.count(pair[1]) for pair in ('()', '[]')):
    return 'which has an unpaired bracket'
  if unicodedata.category(name[0]) == 'No':  # '①', '½'
    return 'a row of a table'
  if (
    SENTENCE.match(name)
    or REMARK.match(name)
    or max(len(part.split()) for part in name.split(',')) > MAX_WORDS
  ):
    return 'a sentence'
  return 'a row of a table' if CELLS.search(name) else ''


def clean_name(name: str) -> str:
  """Returns a name with single blanks, composed letters and no characters without a width.

  Example: `clean_name('a\\u0308\\u200b  b') == 'ä b'`.
  """
  text = ' '.join(unicodedata.normalize('NFC', name).split())
  return ''.join(
    letter for letter in text if unicodedata.category(letter) != 'Cf' or letter in JOINERS
  )


def are_file_names(names: Sequence[str]) -> bool:
  """Returns whether all names have four digits in a row, as in 'frame_0001' or '2007_000032'.

  Example: `are_file_names(['2007_000032', '2007_000039'])`.
  """
  return bool(names) and all(re.search(r'\d{4}', name) for name in names)


def match_names(names: Sequence[str], others: Sequence[str]) -> dict[str, int]:
  """Returns name -> index of the same name among others; names without one are left out.

  Letters may differ in case, and words may be joined by blanks, '_' or '-', unless this makes two
  names the same.

  Example:
    >>> match_names(['car', 'Traffic_Light', 'bus'], ['traffic light', 'car'])
    {'car': 1, 'Traffic_Light': 0}
  """
  result = {name: others.index(name) for name in names if name in others}
  rest = [name for name in names if name not in result]
  free = [index for index in range(len(others)) if index not in result.values()]
  spellings = [spell_loosely(name) for name in rest]
  places = [spell_loosely(others[index]) for index in free]
  for name, spelling in zip(rest, spellings, strict=True):
    if spellings.count(spelling) == places.count(spelling) == 1:
      result[name] = free[places.index(spelling)]
  return {name: result[name] for name in names if name in result}


def spell_loosely(name: str) -> str:
  """Returns the words of a name in small letters, joined by blanks.

  Example:
    >>> spell_loosely('Traffic-Light'), spell_loosely('_background_')
    ('traffic light', 'background')
  """
  text = unicodedata.normalize('NFKC', name).casefold()
  return ' '.join(re.split(r'[\s_-]+', text)).strip() or text
