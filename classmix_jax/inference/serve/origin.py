"""Rules against other web sites that send requests through the user's browser.

A site whose name resolves to this machine (DNS rebinding) shows in the header Host, a form or a
script of another site in the header Origin.
"""

from collections.abc import Collection
import contextlib
import ipaddress
from urllib.parse import urlsplit

LOOPBACK_NAME = 'localhost'


def host_name(host: str) -> str:
  """Returns the name or address in a header Host, without the port; '' if it is malformed.

  Example:
    >>> host_name('LocalHost:8000'), host_name('[::1]:80'), host_name('a b@c')
    ('localhost', '::1', '')
  """
  with contextlib.suppress(ValueError):
    parts = urlsplit(f'//{host}')
    if parts.netloc == host and '@' not in host and parts.port != 0:
      return parts.hostname or ''
  return ''


def is_address(name: str) -> bool:
  """Returns whether a name is an IP address, which no site can have as its name.

  Example:
    >>> is_address('127.0.0.1'), is_address('::1'), is_address('attacker.example')
    (True, True, False)
  """
  try:
    ipaddress.ip_address(name)
  except ValueError:
    return False
  return True


def is_own_host(host: str, names: Collection[str]) -> bool:
  """Returns whether a header Host has an address, localhost or one of the names.

  Example:
    >>> is_own_host('10.0.0.2:8000', []), is_own_host('gpu1', ['gpu1']), is_own_host('x.org', [])
    (True, True, False)
  """
  name = host_name(host)
  return is_address(name) or name in (LOOPBACK_NAME, *names)


def is_same_origin(origin: str | None, host: str) -> bool:
  """Returns whether a header Origin is the page's own; programs send none.

  Example:
    >>> is_same_origin('http://localhost:80', 'localhost:80'), is_same_origin(None, 'localhost')
    (True, True)
    >>> is_same_origin('null', 'localhost'), is_same_origin('http://localhost:8001', 'localhost')
    (False, False)
  """
  return origin is None or origin.lower().partition('://')[2] == host.lower()
