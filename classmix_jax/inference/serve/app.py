"""The addresses of the server, as a Flask application.

    GET  /          the page
    GET  /health    {"status": "ok", "network": ..., "step": ...}
    GET  /classes   {"classes": [{"id": 0, "name": "sky", "color": "#808080"}, ...]}
    POST /predict   an image file as body, or in a form; ?output=json|label|overlay|confidence

Errors are {"error": sentence}. No reply holds text or files of the request.

Synopsis:

    app = create_app(Service(load('RUN'), max_pixels), about, names=('gpu1',))
    app.test_client().post('/predict', data=Path('photo.jpg').read_bytes()).json
"""

from collections.abc import Collection
import traceback
from typing import Any

from flask import Flask, Request, Response, jsonify, render_template, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from classmix_jax.inference.serve.origin import is_own_host, is_same_origin
from classmix_jax.inference.serve.replies import IMAGES, About, describe, encode, list_classes
from classmix_jax.inference.serve.service import Service
from classmix_jax.inference.serve.upload import ACCEPTED, Refusal
from classmix_jax.utils.text import describe_error

MAX_BYTES = 32 * 2**20  # of a request
TOO_LARGE = (
  f'the upload is larger than {MAX_BYTES // 2**20} MB: send a smaller or compressed image.'
)
OUTPUTS = ('json', 'label', 'overlay', 'confidence')
EXTENSIONS = '.tif,.tiff,.jp2,.avif,.heic,.ppm,.pgm'  # of images whose type browsers may not know
SECURITY_HEADERS = {
  # No other site, no inline script or style; images of a reply are data URLs.
  'Content-Security-Policy': "default-src 'none'; script-src 'self'; style-src 'self'; "
  "img-src 'self' data: blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
  "frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
}


def create_app(service: Service, about: About, names: Collection[str] = ()) -> Flask:
  """Returns the application.

  Args:
    service: predicts the images.
    about: what is served.
    names: by which this machine may be called, besides its addresses and localhost.
  """
  app = Flask(__name__)
  app.config['MAX_CONTENT_LENGTH'] = MAX_BYTES
  app.json.sort_keys = False  # type: ignore[attr-defined]

  @app.before_request
  def check_origin() -> None:
    if not is_own_host(request.host, names):
      raise Refusal(
        403,
        f'this server is not called {request.host[:100]!r}: open it by its address, or localhost.',
      )
    if request.method == 'POST' and not is_same_origin(request.origin, request.host):
      raise Refusal(403, 'another web site sent this image: only the own page and programs may.')

  @app.after_request
  def add_headers(response: Response) -> Response:
    response.headers.update(SECURITY_HEADERS)
    return response

  @app.get('/')
  def page() -> str:
    return render_template(
      'page.html',
      about=about,
      accepted=ACCEPTED,
      extensions=EXTENSIONS,
      max_bytes=MAX_BYTES,
      address=request.host_url,
      max_megapixels=f'{service.max_pixels / 1e6:g}',
    )

  @app.get('/health')
  def health() -> dict[str, Any]:
    return {'status': 'ok', 'network': about.network, 'step': about.step}

  @app.get('/classes')
  def classes() -> dict[str, Any]:
    return {'classes': list_classes(about)}

  @app.post('/predict')
  def predict() -> Response:
    output, images = choose_output(request), choose_images(request)
    answer = service.answer(read_body(request))
    height, width = answer.image.shape[:2]
    print(
      f'{width}x{height}: {answer.seconds:.2f} s, mean confidence '
      f'{100 * answer.prediction.confidence.mean():.0f} %',
      flush=True,
    )
    if output == 'json':
      return jsonify(describe(answer, about, images))
    content_type, data = encode(output, answer, about)
    return Response(data, content_type=content_type)

  app.register_error_handler(Refusal, reply_to_refusal)
  app.register_error_handler(HTTPException, reply_to_http_error)
  app.register_error_handler(Exception, reply_to_bug)
  return app


def choose_output(asked: Request) -> str:
  """Returns the kind of reply: the parameter `output`, or else by the header Accept.

  Raises:
    Refusal: 400 if there is no such kind.
  """
  output = asked.args.get('output', '')
  if output in OUTPUTS:
    return output
  if output:
    raise Refusal(400, f'?output= must be one of {", ".join(OUTPUTS)}.')
  best = asked.accept_mimetypes.best_match(['application/json', 'image/png'])
  return 'label' if best == 'image/png' else 'json'


def choose_images(asked: Request) -> list[str]:
  """Returns the parameter `images`, those of a JSON reply; raises Refusal if one is unknown."""
  images = list(filter(None, asked.args.get('images', '').split(',')))
  if not set(images) <= set(IMAGES):
    raise Refusal(400, f'?images= must be some of {",".join(IMAGES)}, behind commas.')
  return images


def read_body(asked: Request) -> bytes:
  """Returns the uploaded file: the first one of a form, or else the body.

  Raises:
    Refusal: 400 if a form has no file.
    RequestEntityTooLarge: the request is larger than `MAX_BYTES`.
  """
  if asked.mimetype != 'multipart/form-data':
    return asked.get_data(cache=False)
  file = next(iter(asked.files.values()), None)
  if file is None:
    raise Refusal(400, 'the form has no file: send one, as in curl -F image=@photo.jpg.')
  return file.read()


def reply_to_refusal(error: Refusal) -> tuple[Response, int]:
  """Returns the reply to a request of the user's that is wrong."""
  print(f'refused ({error.status}): {error}', flush=True)
  return jsonify(error=str(error)), error.status


def reply_to_http_error(error: HTTPException) -> Response:
  """Returns the reply to a request that Flask refuses, with its status and headers."""
  sentence, allowed = describe_error(error), ', '.join(list_methods(error))
  if isinstance(error, RequestEntityTooLarge):
    sentence = TOO_LARGE
  elif isinstance(error, NotFound):
    sentence = 'there are GET /, GET /health, GET /classes and POST /predict only.'
  elif isinstance(error, MethodNotAllowed):
    sentence = f'this address takes {allowed} only.'
  print(f'refused ({error.code}): {sentence}', flush=True)
  response = jsonify(error=sentence)
  response.status_code = error.code or 500
  if allowed:
    response.headers['Allow'] = allowed
  return response


def list_methods(error: HTTPException) -> list[str]:
  """Returns the methods that an address takes, if another one is the error."""
  methods = (isinstance(error, MethodNotAllowed) and error.valid_methods) or ()
  return sorted({*methods} - {'OPTIONS', 'HEAD'})


def reply_to_bug(error: Exception) -> tuple[Response, int]:
  """Returns the reply to a request on which the server fails; prints the traceback."""
  traceback.print_exception(error)
  return jsonify(error='the prediction failed; the terminal of the server has the reason.'), 500
