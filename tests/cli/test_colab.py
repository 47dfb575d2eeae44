"""Runs the notebook on a CPU, with a stand-in for Google Drive."""

import os
from pathlib import Path
import shutil
import subprocess

import pytest

ROOT = Path(__file__).resolve().parents[2]


def write_repository(directory):
  """Commits this working tree, as the notebook clones it."""

  def git(*words, cwd=directory):
    return subprocess.run(
      ['git', *words], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout

  names = git('ls-files', '--cached', '--others', '--exclude-standard', '-z', cwd=ROOT)
  for name in filter(None, names.split('\0')):
    if (ROOT / name).exists():
      (directory / name).parent.mkdir(parents=True, exist_ok=True)
      shutil.copy(ROOT / name, directory / name)
  git('init', '--quiet')
  git('add', '--all', '--force')
  git('-c', 'user.name=test', '-c', 'user.email=test@example.org', 'commit', '--quiet', '-m', 'x')
  return directory


def set_parameters(notebook, **values):
  (cell,) = [cell for cell in notebook.cells if 'parameters' in cell.metadata.get('tags', ())]
  names = [line.split(' = ')[0] for line in cell.source.splitlines() if ' = ' in line]
  assert set(names) == set(values)
  cell.source = '\n'.join(f'{name} = {value!r}' for name, value in values.items())


def read_output(cell):
  return ''.join(output.get('text', '') for output in cell.get('outputs', ()))


@pytest.mark.slow
def test_every_cell(tmp_path, monkeypatch):
  nbformat = pytest.importorskip('nbformat', reason='nbformat is not installed')
  nbclient = pytest.importorskip('nbclient', reason='nbclient is not installed')
  pytest.importorskip('ipykernel', reason='ipykernel is not installed')
  if not (ROOT / '.git').exists():
    pytest.skip('this is no clone')
  colab = tmp_path / 'modules' / 'google' / 'colab'
  colab.mkdir(parents=True)
  (colab / '__init__.py').touch()
  (colab / 'drive.py').write_text(
    'import os\ndef mount(directory): os.makedirs(directory + "/MyDrive")\n'
  )
  monkeypatch.setenv('PYTHONPATH', str(colab.parents[1]))
  monkeypatch.setenv('XLA_FLAGS', '')
  (tmp_path / 'repository').mkdir()
  (tmp_path / 'content').mkdir()
  notebook = nbformat.read(ROOT / 'launch' / 'colab.ipynb', as_version=4)
  nbformat.validate(notebook)
  set_parameters(
    notebook,
    SOURCE=f'file://{write_repository(tmp_path / "repository")}',
    STEPS=4,
    DRIVE=str(tmp_path / 'drive'),
    OWN=str(tmp_path / 'own'),
  )
  nbclient.NotebookClient(
    notebook, timeout=900, resources={'metadata': {'path': str(tmp_path / 'content')}}
  ).execute()
  text = ''.join(map(read_output, notebook.cells))
  assert 'jax 0.' in text and 'tensorflow-cpu 2.' in text and 'cpu:0' in text
  assert 'resumes after step 4' in text
  runs = tmp_path / 'drive' / 'MyDrive' / 'classmix_jax'
  for made in (
    'scenes/report.html',
    'own/report.html',
    'own/eval/4.json',
    'scenes/eval/5.json',
    'predictions/0_overlay.png',
  ):
    assert (runs / made).exists(), os.listdir(runs)
  shown = [
    output
    for cell in notebook.cells
    for output in cell.get('outputs', ())
    if output.output_type == 'display_data'
  ]
  assert sum('srcdoc' in output.data.get('text/html', '') for output in shown) == 2
  assert sum('image/png' in output.data for output in shown) == 4


def test_no_output_is_kept():
  """The committed notebook has no outputs."""
  nbformat = pytest.importorskip('nbformat', reason='nbformat is not installed')
  notebook = nbformat.read(ROOT / 'launch' / 'colab.ipynb', as_version=4)
  assert not any(cell.get('outputs') or cell.get('execution_count') for cell in notebook.cells)
