"""The files that a builder downloads: which are missing, and whether their hosts answer.

Synopsis:

    urls = find_missing_urls(builder.url_infos, Path('DIR/downloads'), Path('DIR/downloads/manual'))
    check_connection('oxford_iiit_pet', urls, hint='put images.tar.gz into DIR/downloads/manual')
"""

from collections.abc import Iterable, Mapping
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from classmix_jax.errors import UserError

TIMEOUT = 10  # seconds to wait for a host


def find_missing_urls(
  url_infos: Mapping[str, Any], downloads: Path, manual_dir: Path
) -> tuple[str, ...]:
  """Returns the addresses of the files that are neither downloaded nor in `manual_dir`.

  Args:
    url_infos: address -> TFDS's description of the file, which has its `filename`.
    downloads: TFDS's directory of downloads; a file *.INFO beside each has its address.
    manual_dir: directory of files that were downloaded by hand.

  Example: `find_missing_urls(builder.url_infos, Path('downloads'), Path('downloads/manual'))`.
  """
  present: set[str] = set()
  for path in downloads.rglob('*.INFO'):
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
      present.update(json.loads(path.read_text(encoding='utf-8'))['urls'])
  return tuple(
    url
    for url, info in url_infos.items()
    if url not in present and not (info.filename and (manual_dir / info.filename).is_file())
  )


def check_connection(name: str, urls: Iterable[str], hint: str) -> None:
  """Raises UserError if none of the hosts of some addresses answers.

  TFDS itself tries an address again for minutes.

  Args:
    name: the builder, for the message.
    urls: addresses; other kinds than http and https are not checked.
    hint: the remedy beside a network.

  Example: `check_connection('oxford_iiit_pet', [], '')` checks nothing.
  """
  import requests  # of TFDS, which is optional

  by_host = {urlsplit(url).netloc: url for url in urls if url.startswith(('http://', 'https://'))}
  reason = None
  for host, url in by_host.items():
    try:
      requests.head(url, timeout=TIMEOUT)
      return
    except requests.exceptions.RequestException:
      reason = f'{host} does not answer'
  if reason:
    raise UserError(f'{name} cannot be downloaded ({reason}): connect to the network, or {hint}.')
