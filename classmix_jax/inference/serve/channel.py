"""Replies of waitress itself as JSON: it refuses large bodies before Flask has the request."""

import json

from waitress.channel import HTTPChannel
from waitress.task import ErrorTask
from waitress.utilities import RequestEntityTooLarge

from classmix_jax.inference.serve.app import SECURITY_HEADERS, TOO_LARGE


class JsonErrorTask(ErrorTask):
  """Sends {"error": sentence}, with the status that waitress chooses."""

  def execute(self) -> None:
    error = self.request.error
    too_large = isinstance(error, RequestEntityTooLarge)
    sentence = TOO_LARGE if too_large else f'the request is malformed: {error.reason}.'
    body = json.dumps({'error': sentence}).encode()
    self.status = f'{error.code} {error.reason}'
    self.response_headers += [('Content-Type', 'application/json'), *SECURITY_HEADERS.items()]
    self.content_length = len(body)
    self.set_close_on_finish()
    self.write(body)


class Channel(HTTPChannel):
  """Connection whose errors are JSON."""

  error_task_class = JsonErrorTask
