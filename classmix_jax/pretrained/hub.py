"""Downloads weights from the Hugging Face Hub into its cache.

Synopsis:

    path, name = download(parse_hub_name('hub:timm/resnet18.tv_in1k'))
    str(name)     # hub:timm/resnet18.tv_in1k@COMMIT:model.safetensors, which stays the same

huggingface_hub keeps the cache (HF_HOME), locks it against other processes, resumes after lost
connections and shows the progress on terminals. Without a connection the cache is used.
"""

from collections.abc import Collection, Iterator, Mapping
import contextlib
from pathlib import Path
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.pretrained.hub_name import HubName
from classmix_jax.pretrained.known_files import (
  DEFAULT_FILE,
  KNOWN_REPOSITORIES,
  find_published_digits,
)
from classmix_jax.pretrained.state_dict_files import ENDINGS, hash_file, is_file_name
from classmix_jax.workdir.resume import DISK_ERRORS

TIMEOUT = 10.0  # seconds for the list of files, as huggingface_hub's own for a file's metadata
SHOWN = 12  # names in a message


class UnreachableError(Exception):
  """The Hub cannot be reached, or its answer cannot be used.

  Attributes:
    is_intended: whether HF_HUB_OFFLINE is set.
  """

  def __init__(self, reason: str, is_intended: bool):
    super().__init__(reason)
    self.is_intended = is_intended


def download(name: HubName) -> tuple[Path, HubName]:
  """Downloads a file unless the cache has it, and checks its SHA-256.

  Args:
    name: of the file.

  Returns:
    The path in the cache, and the name with the commit and the file that were chosen.

  Raises:
    UserError: huggingface_hub is not installed; the repository, revision or file does not exist or
      needs a login; the Hub cannot be reached and the cache lacks the file; the SHA-256 differs.
  """
  api = open_hub(name)
  try:
    files = list_files(api, name)
    file = choose_file(name, files)
    path = fetch_file(api, name, file)
  except UnreachableError as error:
    files = {}
    file, path = find_cached(api, name, error)
  check_sha256(path, name, file, files.get(file, ''))
  # PATH is SNAPSHOTS/COMMIT/FILE, and FILE may have directories.
  commit = path.parents[file.count('/')].name
  return path, name._replace(revision=commit, file=file, sha256='')


def open_hub(name: HubName) -> Any:
  """Returns huggingface_hub's HfApi; raises UserError if the package is not installed."""
  try:
    from huggingface_hub import HfApi
  except ImportError:
    raise UserError(
      f"{name}: downloading it needs huggingface_hub; pip install 'classmix_jax[hub]'."
    ) from None
  return HfApi()


def list_files(api: Any, name: HubName) -> Mapping[str, str]:
  """Returns file -> SHA-256 at the revision; '' for small files, which have none on the Hub.

  Raises:
    UserError, UnreachableError: see `convert_errors`.
  """
  with convert_errors(api, name):
    info = api.model_info(
      name.repository, revision=name.revision, files_metadata=True, timeout=TIMEOUT
    )
    return {file.rfilename: file.lfs.sha256 if file.lfs else '' for file in info.siblings}


def fetch_file(api: Any, name: HubName, file: str) -> Path:
  """Returns the path of a file in the cache, which is downloaded if it is not there.

  Raises:
    UserError, UnreachableError: see `convert_errors`.
  """
  from huggingface_hub import try_to_load_from_cache

  with convert_errors(api, name):
    cached = try_to_load_from_cache(name.repository, file, revision=name.revision)
    if not isinstance(cached, str):
      print(f'downloading {name._replace(file=file)}', flush=True)
    return Path(api.hf_hub_download(name.repository, file, revision=name.revision))


def choose_file(name: HubName, files: Collection[str]) -> str:
  """Returns the file that a name means among those of its repository.

  Raises:
    UserError: there is no such file, no weights file, or a choice between several.

  Example:
    >>> choose_file(HubName('a/b'), ['config.json', 'only.pth'])
    'only.pth'
  """
  candidates = sorted(file for file in files if is_file_name(Path(file)))
  if name.file in candidates:
    return name.file
  if not candidates:
    raise UserError(
      f'{name} has no weights file ({", ".join(ENDINGS)}); it has {shorten(sorted(files))}.'
    )
  if name.file:
    raise UserError(
      f'{name._replace(file="")} has no weights file {name.file}; it has {shorten(candidates)}.'
    )
  if DEFAULT_FILE in candidates:
    return DEFAULT_FILE
  if len(candidates) > 1:
    raise UserError(
      f'{name} has several weights files: {shorten(candidates)}; choose one of them, for example '
      f'{name._replace(file=candidates[0])}.'
    )
  return candidates[0]


def shorten(names: Collection[str]) -> str:
  """Joins names for a message, at most SHOWN of them."""
  rest = len(names) - SHOWN
  return ', '.join(list(names)[:SHOWN]) + (f' and {rest} more' if rest > 0 else '') or 'no files'


def find_cached(api: Any, name: HubName, error: UnreachableError) -> tuple[str, Path]:
  """Returns the file that a name means, and its path in the cache.

  Args:
    api: see `open_hub`.
    name: of the file.
    error: the reason for not using the Hub.

  Raises:
    UserError: the cache has no such file.
  """
  from huggingface_hub import snapshot_download
  from huggingface_hub.errors import LocalEntryNotFoundError

  try:
    snapshot = Path(
      snapshot_download(name.repository, revision=name.revision, local_files_only=True)
    )
    files = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob('*')]
    file = choose_file(name, files)
  except (LocalEntryNotFoundError, UserError):
    raise UserError(explain_offline(api, name, error)) from None
  if not error.is_intended:
    print(f'warning: {api.endpoint} cannot be reached ({error}); {name} is taken from the cache.')
  return file, snapshot / file


def explain_offline(api: Any, name: HubName, error: UnreachableError) -> str:
  """Returns the sentence for a file that is neither on the Hub within reach nor in the cache."""
  from huggingface_hub import constants

  file = name.file or DEFAULT_FILE
  url = f'{api.endpoint}/{name.repository}/resolve/{name.revision}/{file}'
  return (
    f'{name}: {api.endpoint} cannot be reached ({error}) and the cache {constants.HF_HUB_CACHE} '
    f'does not have the file; fetch {url} on another machine and give its path, '
    '--config.model.pretrained=PATH.'
  )


def check_sha256(path: Path, name: HubName, file: str, stated: str) -> None:
  """Checks the content of a file.

  Args:
    path: of the file.
    name: its name, which may have the digits.
    file: its path in the repository, which may be a published file.
    stated: the SHA-256 according to the Hub, or ''.

  Raises:
    UserError: the SHA-256 differs from one of these.
  """
  sha256 = hash_file(path)
  expectations = {
    'in its name': name.sha256,
    'of the published file': find_published_digits(name.repository, file),
    'on the Hub': stated,
  }
  for origin, digits in expectations.items():
    if not sha256.startswith(digits):
      raise UserError(
        f'{name}: the SHA-256 of {path} is {sha256}, but {digits} {origin}; delete '
        f'{path.resolve()} to download it again, or choose another revision or file.'
      )


@contextlib.contextmanager
def convert_errors(api: Any, name: HubName) -> Iterator[None]:
  """Converts the exceptions of huggingface_hub.

  Raises:
    UserError: the repository or revision does not exist, or needs a login.
    UnreachableError: anything else went wrong on the way to the Hub.
    OSError: the cache cannot be written.
  """
  from huggingface_hub import errors

  page = f'{api.endpoint}/{name.repository}'
  try:
    yield
  except errors.GatedRepoError:  # a RepositoryNotFoundError, too
    raise UserError(
      f'{name} is gated: accept its licence on {page}, log in with `hf auth login` or set '
      'HF_TOKEN, and start again.'
    ) from None
  except errors.RepositoryNotFoundError:
    raise UserError(
      f'{name}: {page} does not exist, or is private and needs `hf auth login`; known '
      f'repositories are {", ".join(KNOWN_REPOSITORIES)}.'
    ) from None
  except errors.RevisionNotFoundError:
    revisions = shorten(list_revisions(api, name))
    raise UserError(
      f'{name}: {page} has no revision {name.revision}; it has {revisions}.'
    ) from None
  # The network's exceptions are httpx's in huggingface_hub 1 and httpx2's in 2; a proxy may answer
  # with anything.
  except Exception as error:
    if getattr(error, 'errno', None) in DISK_ERRORS:
      raise
    reason = (str(error.__cause__ or error).splitlines() or [type(error).__name__])[0]
    raise UnreachableError(reason, isinstance(error, errors.OfflineModeIsEnabled)) from error


def list_revisions(api: Any, name: HubName) -> list[str]:
  """Returns the branches and tags of a repository; raises UnreachableError."""
  with convert_errors(api, name):
    refs = api.list_repo_refs(name.repository)
    return [ref.name for ref in (*refs.branches, *refs.tags)]
