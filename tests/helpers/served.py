"""A run of a few steps, and a server in a thread."""

from collections.abc import Iterator
import contextlib
from pathlib import Path
import threading

import toy

ROOT = Path(__file__).resolve().parents[2]


def write_run(directory: Path) -> Path:
  return toy.write_run(directory / 'run', toy.write_folder(directory / 'data'))


@contextlib.contextmanager
def serving(app) -> Iterator[int]:
  """Yields the port of a server of the application on this machine."""
  from classmix_jax.inference.serve.serve import open_listener, open_server

  with open_listener('127.0.0.1', 0) as listener:
    server = open_server(app, listener)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    server.task_dispatcher.shutdown()
    server.trigger.pull_trigger(server.close)
