"""What the docs hold, for test_docs.py and test_doc_commands.py.

Commands stand in fenced blocks, one a line, or between backticks in the text. Words in capitals
(DIR, RUN, OUT) are files and folders of the reader. What needs more than this repository says so:
behind a command, `# needs Cityscapes` is about it; on a line of its own, about the rest of the
block.

Synopsis:

    for command in commands(page):
      command.words, command.needs     # ['python', 'launch/main.py', ...], 'Cityscapes'
"""

from collections.abc import Iterator
import contextlib
import importlib.util
from pathlib import Path
import re
import shlex
import sys
from typing import NamedTuple
from unittest import mock

from absl import flags

from classmix_jax.config.flags import define_config

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
  *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md', 'CHANGELOG.md')),
  *sorted((ROOT / 'docs').rglob('*.md')),
  ROOT / 'benchmarks/README.md',
]
PROGRAMS = ('python', 'make', 'pip', 'tensorboard', 'git', 'source', 'classmix-jax')
# What a reader writes instead of a word that is no file.
CHOICES = {'METHOD': 'classmix', 'NAME': 'cutmix', 'SEED': '1', 'STEPS': '2000'}
_FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_NEEDS = re.compile(r'# needs (.+)$')
_SETTING = re.compile(r'[A-Z_]+=')


class Command(NamedTuple):
  """A command of a page: its words, its line as it is written, and what it needs or ''."""

  words: list[str]
  text: str
  needs: str

  @property
  def program(self) -> str:
    """The file that python runs, else the program."""
    return self.words[1] if self.words[0] == 'python' else self.words[0]


def name_of(page: Path) -> str:
  return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[str]:
  """The fenced blocks of a page in these languages."""
  for language, text in _FENCE.findall(page.read_text(encoding='utf-8')):
    if language in languages:
      yield text


def commands(page: Path) -> list[Command]:
  """The commands in the fenced blocks of a page, in order."""
  found = []
  for block in blocks(page, '', 'sh', 'bash'):
    rest = ''
    for line in block.replace('\\\n', ' ').splitlines():
      command = command_of(line, rest)
      if line.lstrip().startswith('#'):
        rest = command.needs
      elif command.words and command.words[0] in PROGRAMS:
        found.append(command)
  return found


def text_of(page: Path) -> str:
  """The text outside of fenced blocks; of coming_from.md not what it says of other projects."""
  text = _FENCE.sub('', page.read_text(encoding='utf-8'))
  return re.sub(r'^\|[^|]*', '', text, flags=re.M) if page.name == 'coming_from.md' else text


def inline_commands(page: Path) -> list[Command]:
  """The commands between backticks, but for those that are cut short by dots."""
  text = text_of(page)
  spans = re.findall(r'`((?:python|make) [^`]+)`', text)
  return [command_of(span) for span in spans if '...' not in span]


def command_of(line: str, needs: str = '') -> Command:
  own = _NEEDS.search(line)
  return Command(words_of(line), line, own[1] if own else needs)


def words_of(line: str) -> list[str]:
  """The words of a shell's line without settings such as A=1 in front; [] where it is none."""
  for word, choice in CHOICES.items():
    line = re.sub(rf'\b{word}\b', choice, line)
  try:
    words = shlex.split(line, comments=True)
  except ValueError:  # an apostrophe in what a program printed
    return []
  while words and _SETTING.match(words[0]):
    words = words[1:]
  return words


# ------------------------------------------------------------------- real flags


def own_flags(program: str) -> flags.FlagValues:
  """The flags that a program of this repository defines, as a table of their own."""
  before = set(flags.FLAGS)
  started = re.search(r"start\('(.+)'\)", (ROOT / program).read_text(encoding='utf-8'))[1]
  module = f'classmix_jax.cli.{started.replace("-", "_")}'
  sys.modules.pop(module, None)
  importlib.import_module(module)
  own = flags.FlagValues()
  for name in set(flags.FLAGS) - before:
    flag = flags.FLAGS[name]
    delattr(flags.FLAGS, name)
    if name == 'config':  # it looks for overrides in the table that it was defined in
      define_config('', own)
    elif name not in own:
      own[name] = flag
  return own


def parse(command: Command) -> None:
  """Parses a command of launch/ as the program would; raises what it would end with."""
  from classmix_jax.cli import command_line
  from classmix_jax.config.flags import load_without_overrides

  own, arguments = own_flags(command.program), command.words[1:]
  with mock.patch.object(sys, 'argv', arguments):
    if 'config' in own:
      config = load_without_overrides(arguments)
      command_line.check_overrides(arguments, config or {})
    rest = own(arguments)
  if len(rest) > 1:
    raise flags.Error(f'{rest[1:]} is not understood')


# ------------------------------------------------------- the code of extending.md


@contextlib.contextmanager
def tutorial() -> Iterator[dict]:
  """Runs the blocks of docs/extending.md and adds one line to each of seven tables."""
  from classmix_jax.datasets import DATASETS
  from classmix_jax.evaluation.protocols import PROTOCOLS
  from classmix_jax.masks import MASKS
  from classmix_jax.methods import METHODS
  from classmix_jax.models.backbones import BACKBONES
  from classmix_jax.models.heads import HEADS
  from classmix_jax.pretrained import LAYOUTS

  page, names = ROOT / 'docs' / 'extending.md', {'__name__': 'tutorial'}
  for block in blocks(page, 'python'):
    exec(compile(block, str(page), 'exec'), names)
  lines = (
    (MASKS, 'stripe', 'stripe_mask'),
    (METHODS, 'entropy', 'EntropyMinimization'),
    (BACKBONES, 'patches', 'Patches'),
    (HEADS, 'linear', 'Linear'),
    (DATASETS, 'checkers', 'load_checkers'),
    (PROTOCOLS, 'upside_down', 'UPSIDE_DOWN'),
    (LAYOUTS, 'patches', 'PATCHES'),
  )
  with contextlib.ExitStack() as stack:
    for table, key, name in lines:
      stack.enter_context(mock.patch.dict(table, {key: names[name]}))
    yield names
