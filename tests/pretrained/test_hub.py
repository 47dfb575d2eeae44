"""Downloads from a local server that speaks the Hub's routes."""

import concurrent.futures
import hashlib
import io
import os
from pathlib import Path
import re
import subprocess
import sys

from hub_server import COMMIT, Repository, serve
from huggingface_hub import constants
import numpy as np
import pytest
import state_dicts
from toy import assert_says

from classmix_jax.errors import UserError
from classmix_jax.pretrained import hub, known_files, load
from classmix_jax.pretrained.hub_name import parse_hub_name
from classmix_jax.training.prepare import open_initial_weights
from classmix_jax.workdir import run_files

CONTENT = np.random.default_rng(0).bytes(100_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = 'org/weights'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  """Points huggingface_hub, which reads its environment when it is imported, to a new cache."""
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', False)
  return tmp_path / 'cache'


@pytest.fixture
def start(monkeypatch):
  """Returns a function that serves one repository until the end of the test."""
  servers = []

  def start(name=NAME, files=None, **options):
    files = {'README.md': b'#', 'model.safetensors': CONTENT} if files is None else files
    servers.append(serve(Repository(name, files, **options)))
    server = servers[-1].__enter__()
    monkeypatch.setattr(constants, 'ENDPOINT', server.url)
    template = f'{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}'
    monkeypatch.setattr(constants, 'HUGGINGFACE_CO_URL_TEMPLATE', template)
    return server

  yield start
  for server in servers:
    server.__exit__(None, None, None)


def stop(server):
  server.shutdown()
  server.server_close()


def download(text=f'hub:{NAME}'):
  return hub.download(parse_hub_name(text))


def message(text=f'hub:{NAME}'):
  with pytest.raises(UserError) as caught:
    download(text)
  return str(caught.value)


def test_a_file_is_downloaded_once(start, cache):
  server = start()
  path, name = download()
  assert path.read_bytes() == CONTENT and path.is_relative_to(cache)
  assert str(name) == f'hub:{NAME}@{COMMIT}:model.safetensors'
  assert download() == (path, name)
  assert download(str(name)) == (path, name)
  assert server.count('GET /org/weights/resolve') == 1


def test_revisions_and_directories(start):
  start(files={'a/b/x.pth': CONTENT, 'model.safetensors': b''})
  path, name = download(f'hub:{NAME}@v1:a/b/x.pth')
  assert path.read_bytes() == CONTENT
  assert str(name) == f'hub:{NAME}@{COMMIT}:a/b/x.pth'


def test_a_lost_connection_is_resumed(start, monkeypatch):
  monkeypatch.setattr(constants, 'DOWNLOAD_CHUNK_SIZE', 1000)  # whole chunks are kept
  server = start(drops=2)
  path, _ = download()
  assert path.read_bytes() == CONTENT
  gets = [request for request in server.requests if request.startswith('GET /org')]
  positions = [int(*re.findall(r'bytes=(\d+)-', request)) for request in gets[1:]]
  assert len(gets) == 3 and 0 < positions[0] < positions[1] < len(CONTENT)


def test_several_processes_download_once(start):
  server = start()
  with concurrent.futures.ThreadPoolExecutor(4) as pool:
    paths = {path for path, _ in pool.map(download, 4 * [f'hub:{NAME}'])}
  assert len(paths) == 1 and server.count('GET /org/weights/resolve') == 1


@pytest.mark.parametrize('text', [f'hub:{NAME}', f'hub:{NAME}@{COMMIT}:model.safetensors'])
def test_the_cache_serves_without_a_connection(start, capsys, text):
  server = start()
  expected = download()
  stop(server)
  assert download(text) == expected
  assert_says(capsys.readouterr().out, f'warning: {server.url} cannot be reached', 'from the cache')


def test_offline_mode_uses_the_cache_silently(start, capsys, monkeypatch):
  server = start()
  expected = download()
  capsys.readouterr()
  requests = len(server.requests)
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  assert download() == expected
  assert len(server.requests) == requests and not capsys.readouterr().out


@pytest.mark.parametrize('offline', [False, True])
def test_the_sentence_without_a_connection(start, cache, monkeypatch, offline):
  server = start()
  stop(server)
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', offline)
  sentence = message(f'hub:{NAME}@v1')
  assert_says(
    sentence,
    f'{server.url} cannot be reached (',
    f'the cache {cache} does not have the file',
    f'fetch {server.url}/org/weights/resolve/v1/model.safetensors on another machine',
    '--config.model.pretrained=PATH',
  )
  assert ('HF_HUB_OFFLINE' in sentence) == offline and '\n' not in sentence


def test_the_only_weights_file(start):
  start(files={'config.json': b'{}', 'some.bin': CONTENT})
  assert download()[1].file == 'some.bin'


def test_several_weights_files(start):
  start(files={'b.pth': b'', 'a.safetensors': b'', 'config.json': b''})
  assert_says(
    message(),
    f'hub:{NAME} has several weights files: a.safetensors, b.pth; choose one of them',
    f'hub:{NAME}:a.safetensors',
  )


def test_no_weights_file(start):
  start(files={'config.json': b'{}', 'README.md': b''})
  assert_says(message(), 'no weights file (.pth, ', 'it has README.md, config.json.')
  assert_says(message(f'hub:{NAME}:x.pth'), 'it has README.md, config.json.')


def test_a_missing_file(start):
  start()
  for file in ('x.pth', 'README.md'):
    assert_says(message(f'hub:{NAME}:{file}'), f'no weights file {file}; it has model.safetensors.')


def test_a_missing_revision(start):
  start()
  assert_says(message(f'hub:{NAME}@v2'), 'has no revision v2; it has main, v1.')


def test_a_missing_repository(start):
  server = start()
  assert_says(
    message('hub:org/other'),
    f'{server.url}/org/other does not exist, or is private and needs `hf auth login`',
    'timm/resnet18.tv_in1k',
  )


def test_a_gated_repository(start):
  server = start(gated=True)
  assert_says(message(), f'is gated: accept its licence on {server.url}/{NAME}', 'HF_TOKEN')


def test_a_pin_must_match(start):
  start()
  assert download(f'hub:{NAME}#sha256={SHA256}')[1].sha256 == ''
  assert_says(
    message(f'hub:{NAME}#sha256=00000000'),
    SHA256,
    'but 00000000 in its name; delete ',
  )


def test_a_corrupt_file_is_refused(start):
  start()
  path, _ = download()
  blob = path.resolve()
  blob.write_bytes(CONTENT[:-1] + b'?')
  assert_says(message(), f'but {SHA256} on the Hub; delete {blob} to download it again')
  blob.unlink()
  assert download()[0].read_bytes() == CONTENT


def test_published_files_must_match(start, monkeypatch):
  start(files={'resnet50-0676ba61.pth': CONTENT})
  assert_says(message(), SHA256, 'but 0676ba61 of the published file')


def test_known_repositories_may_be_pinned(start, monkeypatch):
  start()
  known = known_files.KnownRepository('ImageNet', '00000000')
  monkeypatch.setitem(known_files.KNOWN_REPOSITORIES, NAME, known)
  assert_says(message(), SHA256, 'but 00000000 of the published file')


def test_the_extra_is_named(monkeypatch):
  monkeypatch.setitem(sys.modules, 'huggingface_hub', None)
  assert_says(message(), "downloading it needs huggingface_hub; pip install 'classmix_jax[hub]'")


def test_the_environment_and_the_exit_status(start, tmp_path):
  server = start(gated=True)
  program = Path(__file__).resolve().parents[2] / 'launch' / 'convert.py'
  flags = (f'--input=hub:{NAME}', f'--output={tmp_path / "weights"}', '--backbone=resnet18')
  ended = subprocess.run(
    [sys.executable, program, *flags],
    env={**os.environ, 'HF_ENDPOINT': server.url, 'HF_HOME': str(tmp_path)},
    capture_output=True,
    text=True,
  )
  assert ended.returncode == 2
  assert_says(ended.stderr, f'error: hub:{NAME} is gated: accept its licence on {server.url}')
  assert not (tmp_path / 'weights').exists()


def resnet():
  from safetensors.numpy import save

  return save(state_dicts.torchvision())


def test_a_file_of_the_hub_is_like_any_other(start, tmp_path):
  content = resnet()
  start('timm/resnet18.tv_in1k', {'model.safetensors': content})
  weights, preprocessing = open_initial_weights('hub:resnet18', tmp_path / 'run')
  (tmp_path / 'x.safetensors').write_bytes(content)
  same = load.open_weights(tmp_path / 'x.safetensors')
  assert weights.name == f'hub:timm/resnet18.tv_in1k@{COMMIT}:model.safetensors'
  assert (weights.trained_on, weights.layout_name) == ('ImageNet', 'torchvision')
  assert weights.sha256 == same.sha256 and preprocessing == same.preprocessing == 'imagenet'
  assert all(np.array_equal(weights.tensors[name], same.tensors[name]) for name in same.tensors)


def test_a_second_start_of_a_run_uses_the_same_commit(start, tmp_path):
  server = start('timm/resnet18.tv_in1k', {'model.safetensors': resnet()})
  weights, _ = open_initial_weights('hub:resnet18', tmp_path)
  run_files.write_pretrained(
    tmp_path,
    {'name': weights.name, 'sha256': weights.sha256}
    | dict.fromkeys(('trained_on', 'preprocessing', 'matched'), ''),
  )
  changed = Repository('timm/resnet18.tv_in1k', {'model.safetensors': b'?'}, 40 * 'f')
  server.repositories[changed.name] = changed
  # The new commit has another file under the branch main; the old commit is in the cache.
  with pytest.raises(UserError, match='has no revision'):
    open_initial_weights('hub:resnet18', tmp_path)
  stop(server)
  again, _ = open_initial_weights('hub:resnet18', tmp_path)
  assert (again.name, again.sha256) == (weights.name, weights.sha256)


def test_no_progress_in_a_log_file(start, capfd, monkeypatch):
  start()
  monkeypatch.setattr(sys, 'stderr', io.StringIO())
  download()
  out, err = capfd.readouterr()
  assert not sys.stderr.getvalue() and not err
  assert out == f'downloading hub:{NAME}:model.safetensors\n'
  download()
  assert not ''.join(capfd.readouterr())
