"""Reads the documentation: its pages, their code blocks and their commands.

Commands are in fenced blocks, one a line, or between backticks in the text. Words in capitals
(DIR, RUN, OUT) are the reader's files and directories. `# needs Cityscapes` marks what cannot run
with the repository alone: at the end of a command for that command, on a line of its own for the
rest of the block.
"""

from collections.abc import Iterator
import contextlib
import importlib
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
# Values for placeholders that are not files.
CHOICES = {'METHOD': 'classmix', 'NAME': 'cutmix', 'SEED': '1', 'STEPS': '2000'}
FENCE = re.compile(r'^```(\w*)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Command(NamedTuple):
  """A command of a page: its words, its line, and what it needs besides the repository, or ''."""

  words: list[str]
  text: str
  needs: str

  @property
  def program(self) -> str:
    """The file that python runs, or the first word."""
    return self.words[1] if self.words[0] == 'python' else self.words[0]


def name_of(page: Path) -> str:
  return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
  """Returns the fenced blocks of a page in these languages."""
  text = page.read_text(encoding='utf-8')
  return [block for language, block in FENCE.findall(text) if language in languages]


def text_of(page: Path) -> str:
  """Returns the text outside of fenced blocks."""
  text = FENCE.sub('', page.read_text(encoding='utf-8'))
  if page.name == 'coming_from.md':  # the first column of its tables is about other projects
    text = re.sub(r'^\|[^|]*', '', text, flags=re.MULTILINE)
  return text


def commands(page: Path) -> list[Command]:
  """Returns the commands of a page: those of its blocks in order, then those of its text."""
  result = []
  for block in blocks(page, '', 'sh', 'bash'):
    needs = ''
    for line in block.replace('\\\n', ' ').splitlines():
      command = parse_line(line, needs)
      if line.lstrip().startswith('#'):
        needs = command.needs
      elif command.words and command.words[0] in PROGRAMS:
        result.append(command)
  spans = re.findall(r'`((?:python|make) [^`]+)`', text_of(page))
  return result + [parse_line(span) for span in spans if '...' not in span]


def parse_line(line: str, needs: str = '') -> Command:
  """Splits a line of a shell; settings such as A=1 in front are dropped."""
  marked = re.search(r'# needs (.+)$', line)
  for placeholder, value in CHOICES.items():
    line = re.sub(rf'\b{placeholder}\b', value, line)
  try:
    words = shlex.split(line, comments=True)
  except ValueError:  # an apostrophe in the output of a program
    words = []
  while words and re.match(r'[A-Z_]+=', words[0]):
    words = words[1:]
  return Command(words, line, marked[1] if marked else needs)


def program_flags(program: str) -> flags.FlagValues:
  """Returns the flags that a program of launch/ defines, without registering them."""
  registered = set(flags.FLAGS)
  body = re.search(r"start\('(.+)'\)", (ROOT / program).read_text(encoding='utf-8'))[1]
  module = f'classmix_jax.cli.{body.replace("-", "_")}'
  sys.modules.pop(module, None)
  importlib.import_module(module)
  sys.modules.pop(module)  # its flags are removed below; the next import defines them again
  result = flags.FlagValues()
  for name in set(flags.FLAGS) - registered:
    flag = flags.FLAGS[name]
    delattr(flags.FLAGS, name)
    if name == 'config':  # it looks for overrides among the flags that it was defined with
      define_config('', result)
    elif name not in result:
      result[name] = flag
  return result


def parse_flags(command: Command) -> None:
  """Parses a command of launch/ as the program does; raises the program's errors."""
  from classmix_jax.cli import command_line
  from classmix_jax.config.flags import load_without_overrides

  values, arguments = program_flags(command.program), command.words[1:]
  with mock.patch.object(sys, 'argv', arguments):
    if 'config' in values:
      config = load_without_overrides(arguments)
      command_line.check_overrides(arguments, config or {})
    rest = values(arguments)
  if len(rest) > 1:
    raise flags.Error(f'unexpected arguments: {rest[1:]}')


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
    (HEADS, 'pixelwise', 'Pixelwise'),
    (DATASETS, 'checkers', 'load_checkers'),
    (PROTOCOLS, 'upside_down', 'UPSIDE_DOWN'),
    (LAYOUTS, 'patches', 'PATCHES'),
  )
  with contextlib.ExitStack() as stack:
    for table, key, name in lines:
      stack.enter_context(mock.patch.dict(table, {key: names[name]}))
    yield names
