"""Trains a table of runs from one config: methods x labelled counts x seeds.

    python launch/table.py --config=configs/camvid.py --config.data.root=CamVid \\
        --methods=supervised,classmix --labeled=46,92 --seeds=0,1 --output=OUT \\
        [--dry-run] [--jobs=2]

Writes OUT/table.md, table.csv and table.png. The same command again resumes: finished
cells are never run again, a failed one does not stop the others. --dry-run lists the cells and how
long they take, and times a few steps of every method that has not run yet, on random images.
--config.method.FIELD is passed on to the methods that have it. A method may carry options of its
own, for an ablation, and fields of the config:

    --methods='classmix,classmix:jitter=0:blur=False,"classmix:config.data.crop=(96,96)"'
"""

from collections.abc import Sequence
import json
from pathlib import Path
import sys

from absl import flags

from classmix_jax.cli import command_line
from classmix_jax.config.flags import OVERRIDE, config_file, define_config

CONFIG = define_config('A config, by name or path, without a colon.')
METHODS_WANTED = flags.DEFINE_list(
  'methods', [], 'Names of METHODS, with options; default: supervised,classmix.'
)
LABELED = flags.DEFINE_list('labeled', [], "Counts, fractions or files; default: the config's.")
SEEDS = flags.DEFINE_list('seeds', ['0'], 'Seeds.')
OUTPUT = flags.DEFINE_string('output', '', 'Directory of the table; default: runs/<config>-table.')
JOBS = flags.DEFINE_integer(
  'jobs', 1, 'Trainings at once, each on its share of the cores.', lower_bound=1
)
FIELD = 'config.'  # with which options of a cell begin that are not the method's
DRY_RUN = flags.DEFINE_bool('dry-run', False, 'Only print the grid and how long it takes.')


def methods() -> list[str]:
  """Returns the methods of the table; by default the baseline and the default method."""
  from classmix_jax.methods import BASELINE, DEFAULT

  return METHODS_WANTED.value or [BASELINE, DEFAULT]


def overrides() -> list[str]:
  return [argument for argument in sys.argv[1:] if argument.startswith(OVERRIDE)]


def collect_overrides(method: str) -> list[str]:
  """Returns the overrides of a cell, without common ones for options that its method lacks."""
  from classmix_jax.methods import hyper_parameters

  name, *options = method.split(':')
  prefix, known = f'{OVERRIDE}method.', hyper_parameters(name)

  def field(argument):
    return argument.removeprefix(prefix).partition('=')[0]

  common = [
    argument
    for argument in overrides()
    if not argument.startswith(prefix) or field(argument) in known
  ]
  return common + [
    f'--{option}' if option.startswith(FIELD) else prefix + option for option in options
  ]


def check_option(config, method: str, option: str) -> None:
  """Raises UserError for an option of a method, or a field of the config, that does not exist."""
  from classmix_jax.config.lookup import lookup
  from classmix_jax.methods import hyper_parameters

  path = option.partition('=')[0]
  if not path.startswith(FIELD):
    lookup(hyper_parameters(method), path, f'--methods: an option of {method}')
    return
  for name in path.removeprefix(FIELD).split('.'):
    config = lookup(config, name, f'--methods: a part of {path}')


def check(config) -> None:
  """Raises UserError for unknown methods or options, invalid seeds, or a --config.seed."""
  from classmix_jax.config.lookup import lookup
  from classmix_jax.errors import UserError
  from classmix_jax.methods import METHODS

  for method in methods():
    name, *options = method.split(':')
    lookup(METHODS, name, '--methods')
    for option in options:
      check_option(config, name, option)
  for seed in SEEDS.value:
    if not seed.isdecimal():
      raise UserError(f'--seeds has {seed!r}; give numbers, e.g. --seeds=0,1,2.')
  for field, flag in (('seed', 'seeds'), ('data.labeled', 'labeled'), ('method.name', 'methods')):
    if any(argument.startswith(f'{OVERRIDE}{field}=') for argument in overrides()):
      raise UserError(f'--config.{field} belongs to each cell: use --{flag}.')


def check_same_table(directory: Path, description: dict) -> None:
  """Raises UserError if the directory holds the cells of another config."""
  from classmix_jax.errors import UserError
  from classmix_jax.utils.atomic_write import write_atomically

  path = directory / 'table.json'
  if path.exists():
    before = json.loads(path.read_text(encoding='utf-8'))
    if before != description:
      raise UserError(
        f'{directory} holds a table of {before}, and now it is {description}: use another --output.'
      )
  directory.mkdir(parents=True, exist_ok=True)
  write_atomically(path, json.dumps(description, indent=2) + '\n')


def command(program: str, file: str, cell) -> list[str]:
  """Returns what starts a program for a cell, without the program's own flags."""
  return [
    sys.executable,
    '-m',
    'classmix_jax.cli',
    program,
    f'--config={file}:method={cell.method.partition(":")[0]},labeled={cell.labeled}',
    *collect_overrides(cell.method),
    f'--config.seed={cell.seed}',
  ]


def dry_run(file: str, results: Sequence) -> None:
  """Prints the grid with its estimated time."""
  from classmix_jax.tools.sweep.grid import plan, seconds_per_step
  from classmix_jax.tools.sweep.scheduler import shares_of_cores
  from classmix_jax.tools.sweep.step_times import step_times

  speeds = seconds_per_step(results)
  waiting = [
    result.cell for result in results if not result.finished and result.cell.method not in speeds
  ]

  def timing(cell, path) -> list[str]:
    return [*command('time-steps', file, cell), f'--output={path}']

  speeds |= step_times(waiting, timing, shares_of_cores(JOBS.value)[0])
  print(plan(results, speeds, JOBS.value), flush=True)


def write_table(directory: Path, results: Sequence, dataset: str) -> None:
  """Writes table.md, table.csv and table.png, and prints the first."""
  from classmix_jax.tools.sweep.table import markdown, plot, published_for, summarize, table_csv
  from classmix_jax.utils.atomic_write import write_atomically

  rows = summarize(results)
  text = markdown(rows, published_for(dataset, {row.method for row in rows}))
  write_atomically(directory / 'table.md', text)
  write_atomically(directory / 'table.csv', table_csv(results))
  plot(rows, directory / 'table.png')
  print(f'{text}wrote {directory}/table.md, table.csv and table.png', flush=True)


def main() -> None:
  from classmix_jax.errors import UserError
  from classmix_jax.tools.sweep.grid import grid, plan, read, seconds_per_step
  from classmix_jax.tools.sweep.scheduler import run_cells

  config = command_line.required(CONFIG.value)
  check(config)
  file = config_file()
  directory = Path(OUTPUT.value or Path('runs') / f'{config.name}-table').expanduser().absolute()
  labeled = LABELED.value or [str(config.data.labeled)]
  cells = grid(directory, methods(), labeled, list(map(int, SEEDS.value)), config.steps)
  results = [read(cell) for cell in cells]
  if DRY_RUN.value:
    dry_run(file, results)
    return
  print(plan(results, seconds_per_step(results), JOBS.value), flush=True)
  check_same_table(directory, {'config': file, 'overrides': sorted(overrides())})

  def training(cell) -> list[str]:
    return [*command('train', file, cell), f'--workdir={cell.run}']

  failed = run_cells(cells, training, JOBS.value)
  write_table(directory, [read(cell) for cell in cells], config.data.name)
  if failed:
    raise UserError(
      '; '.join(
        f'{cell.method}, {cell.labeled} labelled, seed {cell.seed} failed: {line} (see '
        f'{cell.run / "log.txt"})'
        for cell, line in failed.items()
      )
    )
