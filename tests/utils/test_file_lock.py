"""Locks on files exclude other processes and end with the process that holds them."""

import subprocess
import sys
import textwrap

import pytest

from classmix_jax.utils.file_lock import LockedError, file_lock

HOLDER = textwrap.dedent("""
    from pathlib import Path
    import sys
    from classmix_jax.utils.file_lock import file_lock
    with file_lock(Path(sys.argv[1])):
      print('held', flush=True)
      sys.stdin.read()
""")


def test_a_second_process_is_refused_or_waits(tmp_path):
  path = tmp_path / 'lock'
  command = [sys.executable, '-c', HOLDER, str(path)]
  with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
    assert holder.stdout.readline() == b'held\n'
    with pytest.raises(LockedError) as caught, file_lock(path, wait=False):
      pass
    assert caught.value.holder.startswith(f'process {holder.pid} on ')
    holder.kill()
  with file_lock(path):  # the kernel has released it
    assert path.read_text().startswith('process ')


def test_one_process_may_hold_it_again_and_again(tmp_path):
  for _ in range(2):
    with file_lock(tmp_path / 'lock', wait=False):
      pass
  assert (tmp_path / 'lock').read_text().count('process') == 1


def test_a_missing_directory_is_an_error_of_the_system(tmp_path):
  with pytest.raises(FileNotFoundError), file_lock(tmp_path / 'no' / 'lock'):
    pass
