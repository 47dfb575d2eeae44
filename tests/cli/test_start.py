"""The command `classmix-jax`: its programs, and configs by name."""

import importlib.metadata
from pathlib import Path
import re
import subprocess
import sys
import tomllib

import pytest

from classmix_jax.cli import command_line, start
from classmix_jax.cli.versions import describe_versions
from classmix_jax.utils.versions import installed_version

ROOT = Path(__file__).resolve().parents[2]


def launch(*arguments, cwd):
  return subprocess.run(
    [sys.executable, '-m', 'classmix_jax.cli', *arguments],
    cwd=cwd,
    env={'PYTHONPATH': str(ROOT), 'PATH': '', 'JAX_PLATFORMS': 'cpu', 'HOME': str(cwd)},
    capture_output=True,
    text=True,
    timeout=120,
  )


def test_help_lists_every_program(tmp_path):
  ended = launch('--help', cwd=tmp_path)
  assert ended.returncode == 0 and not ended.stderr
  listed = re.findall(r'^  ([\w-]+) +(.+)$', ended.stdout, re.MULTILINE)
  assert tuple(name for name, _ in listed) == start.PROGRAMS
  assert '  train            Trains a network, or continues a training run.\n' in ended.stdout


@pytest.mark.parametrize('program', start.PROGRAMS)
def test_summary_is_one_short_sentence(program):
  text = start.summary(program)
  assert text.endswith('.') and len(text) <= 90, text


def test_programs_of_launch_are_programs_of_the_command():
  started = {
    match[1]
    for path in (ROOT / 'launch').glob('*.py')
    for match in re.finditer(r"^  start\('([\w-]+)'\)$", path.read_text(), re.MULTILINE)
  }
  assert started == {*start.PROGRAMS} - {'time-steps'}


@pytest.mark.parametrize('arguments', [(), ('trian',), ('--steps=3',)])
def test_unknown_program_prints_usage_and_ends_with_status_2(arguments, tmp_path):
  ended = launch(*arguments, cwd=tmp_path)
  assert ended.returncode == 2 and ended.stderr == start.usage() + '\n' and not ended.stdout


def test_flags_of_a_program(tmp_path):
  ended = launch('predict', '--help', cwd=tmp_path)
  assert ended.returncode == 0 and '--input: An image' in ended.stdout


def test_versions():
  lines = dict(line.split(' ', 1) for line in describe_versions().splitlines())
  assert lines['jax'] == importlib.metadata.version('jax') and lines['devices'] == '8 x cpu'
  assert lines['python'].startswith(f'{sys.version_info.major}.{sys.version_info.minor}.')
  assert installed_version('no-such-package') is None


# ----------------------------------------------------------------- configs by name


def test_configs_by_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'camvid').mkdir()  # a data set, not a config
  scenes, camvid = (str(ROOT / 'configs' / name) for name in ('scenes.py', 'camvid.py'))
  for value, expected in {
    'scenes': scenes,
    'configs/scenes.py': scenes,
    'camvid:labeled=46': f'{camvid}:labeled=46',
    'nothing': 'nothing',
    'other/scenes.py': 'other/scenes.py',
  }.items():
    assert command_line.find_config(value) == expected


def test_a_file_of_the_working_directory_comes_first(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'scenes.py').touch()
  assert command_line.find_config('scenes.py:labeled=3') == 'scenes.py:labeled=3'


def test_both_forms_of_the_flag():
  path = f'--config={ROOT / "configs" / "scenes.py"}'
  assert command_line.find_configs(['x', '--config', 'scenes', '--config.steps=2']) == [
    'x',
    path,
    '--config.steps=2',
  ]
  assert command_line.find_configs(['x', '--config=scenes']) == ['x', path]
  assert command_line.find_configs(['x', '--config']) == ['x', '--config']


def test_names_are_the_files_of_configs():
  names = {path.stem for path in (ROOT / 'configs').glob('*.py')} - {'__init__'}
  assert command_line.config_names() == sorted(names) and 'scenes' in names


# ------------------------------------------------------------------- the package


def test_package_data_exists():
  tables = tomllib.loads((ROOT / 'pyproject.toml').read_text())['tool']['setuptools']
  for package, patterns in tables['package-data'].items():
    for pattern in patterns:
      assert list((ROOT / package.replace('.', '/')).glob(pattern)), f'{package}: {pattern}'


def test_every_directory_of_modules_is_a_package():
  """`find_packages` of setup.py skips directories without `__init__.py`."""
  for path in (ROOT / 'classmix_jax').rglob('*.py'):
    assert (path.parent / '__init__.py').exists(), path
