"""Serves a run on a local page and to programs; the program launch/serve.py.

Synopsis:

    serve(Path('RUN'), port=8000)    # until Ctrl-C
"""

import contextlib
import errno
import importlib
import logging
import os
from pathlib import Path
import socket
from typing import TYPE_CHECKING, Any

import jax

from classmix_jax.config.load import read_config
from classmix_jax.errors import UserError
from classmix_jax.inference.predictor import Predictor, load
from classmix_jax.inference.serve.origin import is_address
from classmix_jax.inference.serve.replies import About
from classmix_jax.inference.serve.service import Service
from classmix_jax.utils.text import listed
from classmix_jax.workdir import run_files

if TYPE_CHECKING:
  from flask import Flask

THREADS = 8  # images that wait for the device; the bodies of further ones stay on the disk
CONNECTIONS = 100
TAKEN = (errno.EADDRINUSE, errno.EACCES)  # another program's, or the system's
PORTS = 100  # that are tried to propose a free one
MAX_NAMES = 12  # classes of the first screen


def serve(
  run: Path,
  *,
  port: int = 8000,
  host: str = '127.0.0.1',
  step: str = 'best',
  network: str = '',
  max_megapixels: float = 24.0,
) -> None:
  """Serves a run until Ctrl-C; the program launch/serve.py.

  Args:
    run: directory of the run.
    port: of the address; 0 takes any free one.
    host: name or address of this machine; '0.0.0.0' admits all machines of the network.
    step: 'latest', 'best' or a step.
    network: e.g. 'teacher'; '' takes the config's `eval_network`.
    max_megapixels: of an image, in millions of pixels.

  Raises:
    UserError: Flask or waitress is not installed, the address is not free, or the run, the
      checkpoint or the network does not exist.
  """
  check_installed()
  from classmix_jax.inference.serve.app import MAX_BYTES, create_app

  with open_listener(host, port) as listener:
    predictor = load(run, step=step, network=network)
    about = describe_run(run, predictor)
    service = Service(predictor, int(max_megapixels * 1e6))
    app = create_app(service, about, {host.lower(), socket.gethostname().lower()})
    server = open_server(app, listener)
    limits = f'{MAX_BYTES // 2**20} MB and {max_megapixels:g} million pixels'
    with contextlib.suppress(KeyboardInterrupt):
      print_start(run, about, limits, host, listener.getsockname()[1])
      server.run()  # returns after Ctrl-C, seconds later if an image is being predicted
  print('ended.', flush=True)
  if service.is_busy():
    os._exit(0)  # XLA aborts if Python ends while another thread compiles (jaxlib 0.10 and 0.11)


def print_start(run: Path, about: About, limits: str, host: str, port: int) -> None:
  """Prints the first screen: what is served, where, and how it ends."""
  address = describe_address(host, port)
  print(f'{run}: {about}')
  print(f'{len(about.class_names)} classes: {listed(about.class_names, MAX_NAMES)}')
  print(f'images of any size up to {limits}, one at a time on {jax.devices()[0].device_kind}')
  print(f'page: {address}')
  print(f'for programs: curl --data-binary @photo.jpg {address}predict')
  if not is_loopback(host):
    print(
      f'warning: --host={host} admits every machine that reaches this one, without a password; '
      'the default is this machine alone.'
    )
  print('Ctrl-C ends it.', flush=True)


def check_installed() -> None:
  """Raises UserError if the libraries of the server are not installed."""
  try:
    importlib.import_module('flask')
    importlib.import_module('waitress')
  except ImportError as error:
    raise UserError(
      f"the server needs Flask and waitress ({error}): pip install 'classmix_jax[serve]'."
    ) from None


def describe_run(run: Path, predictor: Predictor) -> About:
  """Returns what is served, with the score of the run's own evaluation if there is one."""
  result = run_files.read_results(run).get(predictor.step, {})
  network = result.get('networks', {}).get(predictor.network, {})
  return About(
    run=run.name,
    network=predictor.network,
    step=predictor.step,
    protocol=result.get('protocol') or read_config(run)['eval']['protocol'],
    miou=network.get('miou'),
    class_names=predictor.class_names,
    palette=predictor.palette,
  )


def open_listener(host: str, port: int) -> socket.socket:
  """Returns a socket that listens on an address.

  Raises:
    UserError: the port is taken, or the host is no name or address of this machine.
  """
  if not 0 <= port <= 65535:
    raise UserError(f'--port={port} must be from 0, which takes any free one, to 65535.')
  try:
    return bind(host, port)
  except OSError as error:
    free = None if error.errno not in TAKEN else find_free_port(host, port)
    if free:
      raise UserError(
        f'--port={port} of {host} cannot be opened ({error.strerror}): --port={free} is free.'
      ) from None
    raise UserError(
      f'--host={host} --port={port} cannot be opened ({error.strerror}); expected is a name or an '
      'address of this machine, for example 127.0.0.1, or 0.0.0.0 for all of its addresses.'
    ) from None


def bind(host: str, port: int) -> socket.socket:
  """Returns a listening socket, of IPv6 if the host is such an address; raises OSError."""
  family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
  return socket.create_server((host, port), family=family)


def find_free_port(host: str, port: int) -> int | None:
  """Returns a free port above this one, or None if there is none near it."""
  for other in range(max(port, 1023) + 1, min(max(port, 1023) + PORTS, 65536)):
    try:
      bind(host, other).close()
    except OSError:
      continue
    return other
  return None


def is_loopback(host: str) -> bool:
  """Returns whether only this machine reaches the host.

  Example:
    >>> is_loopback('127.0.0.1'), is_loopback('localhost'), is_loopback('0.0.0.0')
    (True, True, False)
  """
  return host in ('localhost', '::1') or (is_address(host) and host.startswith('127.'))


def describe_address(host: str, port: int) -> str:
  """Returns the address of the page, on this machine if the host is all of its addresses.

  Example:
    >>> describe_address('0.0.0.0', 80), describe_address('::1', 80)
    ('http://127.0.0.1:80/', 'http://[::1]:80/')
  """
  host = {'0.0.0.0': '127.0.0.1', '::': '::1', '': '127.0.0.1'}.get(host, host)
  return f'http://[{host}]:{port}/' if ':' in host else f'http://{host}:{port}/'


def open_server(app: 'Flask', listener: socket.socket) -> Any:
  """Returns a waitress server of the application; its `run()` returns after Ctrl-C."""
  import waitress

  from classmix_jax.inference.serve.app import MAX_BYTES
  from classmix_jax.inference.serve.channel import Channel

  logging.getLogger('waitress').setLevel(logging.ERROR)  # it warns of images that wait
  server = waitress.create_server(
    app,
    sockets=[listener],
    threads=THREADS,
    connection_limit=CONNECTIONS,
    max_request_body_size=MAX_BYTES + 1,  # waitress refuses bodies of this size, too
    ident='classmix_jax',
  )
  server.channel_class = Channel
  return server
