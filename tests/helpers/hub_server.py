"""A local server with the routes of the Hugging Face Hub that downloads use.

Synopsis:

    with serve(Repository('org/name', {'model.safetensors': b'...'})) as server:
      server.url          # HF_ENDPOINT
      server.requests     # ['GET /api/models/org/name/revision/main', ...]

Routes: GET /api/models/NAME/revision/REVISION, GET /api/models/NAME/refs, and HEAD or GET
/NAME/resolve/REVISION/FILE, with ranges.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import hashlib
import http.server
import json
import re
import threading
from urllib.parse import unquote, urlsplit

COMMIT = '0123456789abcdef0123456789abcdef01234567'


@dataclasses.dataclass
class Repository:
  """A model repository with one commit.

  Attributes:
    name: 'ORG/NAME'.
    files: path -> content.
    commit: of the branch main and the tag v1.
    gated: whether files need a login.
    drops: connections to end after half of the content that is due.
  """

  name: str
  files: Mapping[str, bytes]
  commit: str = COMMIT
  gated: bool = False
  drops: int = 0


class Server(http.server.ThreadingHTTPServer):
  """Serves repositories and lists the requests."""

  def __init__(self, *repositories):
    super().__init__(('127.0.0.1', 0), Handler)
    self.repositories = {repository.name: repository for repository in repositories}
    self.requests = []
    self.url = f'http://127.0.0.1:{self.server_port}'

  def count(self, text):
    """Returns the number of requests with a text in 'METHOD PATH [RANGE]'."""
    return sum(text in request for request in self.requests)


class Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.0'  # one request a connection, so that a stopped server is unreachable

  def log_message(self, *arguments):
    pass

  def do_HEAD(self):
    self.do_GET()

  def do_GET(self):
    path = unquote(urlsplit(self.path).path)
    self.server.requests.append(f'{self.command} {path} {self.headers.get("Range", "")}'.strip())
    api = re.fullmatch(r'/api/models/([^/]+/[^/]+)/(refs|revision/(.+))', path)
    resolve = re.fullmatch(r'/([^/]+/[^/]+)/resolve/([^/]+)/(.+)', path)
    match = api or resolve
    repository = self.server.repositories.get(match[1]) if match else None
    if repository is None:
      # The Hub hides private repositories behind the same status.
      self.refuse(401, 'RepoNotFound')
    elif api and api[2] == 'refs':
      self.answer(json.dumps(describe_refs(repository)).encode())
    elif match[3 if api else 2] not in ('main', 'v1', repository.commit):
      self.refuse(404, 'RevisionNotFound')
    elif api:
      self.answer(json.dumps(describe(repository)).encode())
    elif resolve[3] not in repository.files:
      self.refuse(404, 'EntryNotFound', {'X-Repo-Commit': repository.commit})
    elif repository.gated:
      self.refuse(401, 'GatedRepo')
    else:
      self.send_file(repository, repository.files[resolve[3]])

  def refuse(self, status, code, headers=()):
    self.answer(b'', status, {'X-Error-Code': code, **dict(headers)})

  def answer(self, content, status=200, headers=(), length=None):
    self.send_response(status)
    for name, value in {**dict(headers), 'Content-Length': length or len(content)}.items():
      self.send_header(name, str(value))
    self.end_headers()
    if self.command == 'GET':
      self.wfile.write(content)

  def send_file(self, repository, content):
    sha256 = hashlib.sha256(content).hexdigest()
    headers = {
      'X-Repo-Commit': repository.commit,
      'ETag': f'"{sha256}"',
      'X-Linked-Etag': f'"{sha256}"',
      'X-Linked-Size': len(content),
      'Accept-Ranges': 'bytes',
    }
    given = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
    start = int(given[1]) if given else 0
    rest = content[start:]
    if given:
      headers['Content-Range'] = f'bytes {start}-{len(content) - 1}/{len(content)}'
    if self.command == 'GET' and repository.drops:
      repository.drops -= 1
      self.answer(rest[: len(rest) // 2], 206 if given else 200, headers, length=len(rest))
    else:
      self.answer(rest, 206 if given else 200, headers)


def describe(repository):
  files = [
    {
      'rfilename': name,
      'size': len(content),
      'blobId': 40 * '0',
      'lfs': {
        'sha256': hashlib.sha256(content).hexdigest(),
        'size': len(content),
        'pointerSize': 134,
      },
    }
    for name, content in repository.files.items()
  ]
  return {
    'id': repository.name,
    'sha': repository.commit,
    'siblings': files,
    'private': False,
    'downloads': 0,
    'likes': 0,
    'tags': [],
  }


def describe_refs(repository):
  def ref(kind, name):
    return {'name': name, 'ref': f'refs/{kind}/{name}', 'targetCommit': repository.commit}

  return {'branches': [ref('heads', 'main')], 'converts': [], 'tags': [ref('tags', 'v1')]}


@contextlib.contextmanager
def serve(*repositories: Repository) -> Iterator[Server]:
  """Serves repositories on a free port until the end of the block."""
  server = Server(*repositories)
  thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
  thread.start()
  try:
    yield server
  finally:
    server.shutdown()
    thread.join()
    server.server_close()
