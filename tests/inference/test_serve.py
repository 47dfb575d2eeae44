"""The server: its replies, and what it refuses without ending."""

import base64
import concurrent.futures
import contextlib
import dataclasses
import http.client
import io
import json
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zlib

import numpy as np
import pages
from PIL import Image
import pytest
import served
import tifffile
import toy

import classmix_jax
from classmix_jax.inference.as_array import as_array
from classmix_jax.inference.serve import app as application
from classmix_jax.inference.serve import serve, service, upload
from classmix_jax.utils.visualize import colorize, overlay


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  return served.write_run(tmp_path_factory.mktemp('serve'))


@pytest.fixture(scope='module')
def trained(run):
  return classmix_jax.load(run)


@pytest.fixture(scope='module')
def about(run, trained):
  return serve.describe_run(run, trained)


@pytest.fixture(scope='module')
def app(trained, about):
  return application.create_app(service.Service(trained, 10**6), about, ['gpu1'])


@pytest.fixture
def client(app):
  return app.test_client()


def encode(image, kind='PNG', **options):
  buffer = io.BytesIO()
  image.save(buffer, kind, **options)
  return buffer.getvalue()


PHOTO = toy.draw(5)[0]
PNG = encode(Image.fromarray(PHOTO))


def opened(data):
  return np.asarray(Image.open(io.BytesIO(data)))


# ------------------------------------------------------------------------ replies


def test_json(client, trained):
  reply = client.post('/predict', data=PNG)
  label, confidence = trained.predict(PHOTO)
  content = reply.json
  assert (content['width'], content['height']) == (toy.WIDTH, toy.HEIGHT)
  assert [one['name'] for one in content['classes']] == list(toy.CLASSES)
  shares = [float((label == index).mean()) for index in range(3)]
  assert [one['share'] for one in content['classes']] == pytest.approx(shares, abs=1e-6)
  assert content['mean_confidence'] == pytest.approx(float(confidence.mean()), abs=1e-5)
  assert (content['network'], content['step']) == ('teacher', 1) and content['seconds'] >= 0
  assert 'images' not in content


def test_pngs(client, trained):
  label, confidence = trained.predict(PHOTO)
  expected = {
    'label': label,
    'overlay': overlay(PHOTO, colorize(label, trained.palette)),
    'confidence': (255 * confidence).round(),
  }
  for name, pixels in expected.items():
    reply = client.post(f'/predict?output={name}', data={'image': (io.BytesIO(PNG), '../../a.png')})
    assert reply.content_type == 'image/png'
    np.testing.assert_array_equal(opened(reply.data), pixels)


def test_images_within_json(client, trained):
  images = client.post('/predict?images=image,label', data=PNG).json['images']
  photo, label = (
    opened(base64.b64decode(images[name].partition(',')[2])) for name in ('image', 'label')
  )
  np.testing.assert_array_equal(label, trained.predict(PHOTO).label)
  assert np.abs(photo - PHOTO.astype(float)).mean() < 12  # noise, as a JPEG


def test_accept_chooses_json_or_ids(client):
  for accept, expected in {
    'image/png': 'image/png', '*/*': 'application/json', 'application/json': 'application/json',
  }.items():  # fmt: skip
    assert client.post('/predict', data=PNG, headers={'Accept': accept}).content_type == expected


def test_other_addresses(client, about):
  assert client.get('/health').json == {'status': 'ok', 'network': 'teacher', 'step': 1}
  classes = client.get('/classes').json['classes']
  assert [one['id'] for one in classes] == [0, 1, 2] and len(classes[0]['color']) == 7
  page = client.get('/')
  assert str(about) in page.text and 'style="' not in page.text and 'onclick' not in page.text
  policy = page.headers['Content-Security-Policy']
  assert policy.startswith("default-src 'none'") and 'unsafe' not in policy


def test_score_of_the_run(run, trained, about):
  assert about.miou is None and about.protocol == 'paper'
  path = run / 'eval/1.json'
  path.parent.mkdir()
  result = {'step': 1, 'miou': 0.4, 'protocol': 'paper at 32x48'}
  path.write_text(json.dumps({**result, 'networks': {'teacher': {'miou': 0.4321}}}))
  described = str(serve.describe_run(run, trained))
  assert described == 'teacher, step 1, mIoU 43.21 (paper at 32x48)'


def as_gif():
  return encode(Image.fromarray(PHOTO).convert('P'), 'GIF')


KINDS = {
  'JPEG': lambda: encode(Image.fromarray(PHOTO), 'JPEG'),
  'CMYK': lambda: encode(Image.fromarray(PHOTO).convert('CMYK'), 'JPEG'),
  '16 bits': lambda: encode(Image.fromarray(PHOTO[..., 0].astype(np.uint16) * 257)),
  'RGBA': lambda: encode(Image.fromarray(PHOTO).convert('RGBA')),
  'GIF': as_gif,
  'TIFF': lambda: encode(Image.fromarray(PHOTO), 'TIFF'),
  'turned by EXIF': lambda: encode(Image.fromarray(PHOTO), 'JPEG', exif=turned()),
}


def turned():
  exif = Image.Exif()
  exif[0x0112] = 6
  return exif


@pytest.mark.parametrize('kind', KINDS)
def test_kinds_are_read_as_predict_reads_them(client, trained, tmp_path, kind):
  path = tmp_path / 'photo'
  path.write_bytes(KINDS[kind]())
  reply = client.post('/predict?output=label', data=path.read_bytes())
  label = opened(reply.data)
  np.testing.assert_array_equal(label, trained.predict(path).label)
  assert (label.shape == (toy.WIDTH, toy.HEIGHT)) == (kind == 'turned by EXIF')
  assert as_array(path).shape[:2] == label.shape


def test_compilation_is_reported_once(trained, about, capsys):
  app = application.create_app(service.Service(trained, 10**6), about)
  compiled = [
    app.test_client().post('/predict', data=PNG, content_type=kind).json['compiled']
    for kind in ('image/png', 'application/x-www-form-urlencoded')  # the second is curl's
  ]
  assert compiled == [True, False]
  assert capsys.readouterr().out.count('compiles the network for 48x32') == 1


def test_number_of_compiled_programs_is_bounded(trained, monkeypatch):
  def predict(variables, image, valid):
    return np.zeros(valid.shape, np.uint8), np.ones(valid.shape, np.float32)

  cleared = []
  predict.clear_cache = lambda: cleared.append(1)
  monkeypatch.setattr(service, 'MAX_PROGRAMS', 1)
  tested = service.Service(dataclasses.replace(trained, apply=predict), 10**6)
  wide = encode(Image.new('RGB', (70, 32)))
  compiled = [tested.answer(data).compiled for data in (PNG, wide, wide, PNG)]
  assert compiled == [True, True, False, True] and len(cleared) == 2


# ------------------------------------------------------------------------ refusals


def bomb(width=50_000, height=50_000):
  """Returns a PNG with a header of this size and few bytes."""

  def chunk(kind, content):
    check = zlib.crc32(kind + content)
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', check)

  header = struct.pack('>IIBBBBB', width, height, 8, 2, 0, 0, 0)
  rows = zlib.compress(bytes(10**6))
  return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')


def bands(count):
  """Returns a TIFF with bands of zeros, which are compressed to few bytes."""
  buffer = io.BytesIO()
  pixels = np.zeros((100, 100, count), np.uint16)
  tifffile.imwrite(
    buffer, pixels, compression='zlib', photometric='minisblack', planarconfig='contig'
  )
  return buffer.getvalue()


def animation():
  frames = [Image.new('L', (8, 8), grey) for grey in (0, 255)]
  return encode(frames[0], 'GIF', save_all=True, append_images=frames[1:])


UPLOADS = {
  'empty': (b'', 400, 'the request has no image'),
  'text': (b'no image at all', 415, 'can be identified; 15 bytes). Send PNG, JPEG'),
  'HTML': (b'\n<html><script>alert(1)</script>', 415, 'is SVG, HTML or XML, not pixels. Send PNG'),
  'SVG': (b'<svg onload="alert(1)"/>', 415, 'is SVG, HTML or XML'),
  'PDF': (b'%PDF-1.7', 415, 'is a PDF'),
  'truncated': (PNG[:-500], 415, 'the image does not decode'),
  'animation': (animation(), 415, 'the image is an animation'),
  'bomb': (bomb(), 413, 'more than 178,956,970 pixels'),
  'large': (bomb(1001, 1000), 413, '1001 x 1000 pixels, and 1 million are accepted'),
  'bands': (bands(40), 415, '40 bands of uint16, which are not RGB'),
  'no rows': (bomb(0, 0), 415, 'does not decode'),
}  # fmt: skip


@pytest.mark.parametrize('name', UPLOADS)
def test_uploads_that_are_refused(client, name):
  data, status, sentence = UPLOADS[name]
  for body in (data, {'file': (io.BytesIO(data), '../../etc/<script>.png')}):
    reply = client.post('/predict?output=overlay', data=body)
    assert reply.status_code == status and list(reply.json) == ['error']
    assert sentence in reply.json['error'] and 'script' not in reply.text
    assert reply.headers['X-Content-Type-Options'] == 'nosniff'
  assert client.post('/predict', data=PNG).status_code == 200


FORM = {'content_type': 'multipart/form-data'}


def test_decoded_bytes_are_limited(client, monkeypatch):
  data = encode(Image.fromarray(PHOTO[..., 0].astype(np.uint16)))
  monkeypatch.setattr(upload, 'MAX_DECODED', 3000)
  reply = client.post('/predict', data=data)
  assert reply.status_code == 413 and '1 band of uint16' in reply.json['error']


OWN, OTHER = 'http://localhost', 'http://attacker.example'
REQUESTS = {
  'wrong method': (('GET', '/predict'), {}, 405, 'takes POST only'),
  'unknown method': (('BREW', '/'), {}, 405, 'takes GET only'),
  'wrong address': (('GET', '/../../etc/passwd'), {}, 404, 'POST /predict only'),
  'out of static': (('GET', '/static/../app.py'), {}, 404, 'POST /predict only'),
  'wrong output': (('POST', '/predict?output=<b>'), {}, 400, 'one of json, label, overlay'),
  'wrong images': (('POST', '/predict?images=x'), {}, 400, 'some of label,overlay'),
  'a form without file': (('POST', '/predict'), {'data': {'a': 'b'}, **FORM}, 400, 'no file'),
  'another site': (('POST', '/predict'), {'headers': {'Origin': OTHER}}, 403, 'another web site'),
  'a sandboxed page': (('POST', '/predict'), {'headers': {'Origin': 'null'}}, 403, 'another web'),
  'a port beside': (('POST', '/predict'), {'headers': {'Origin': f'{OWN}:1'}}, 403, 'another web'),
  'rebound name': (('GET', '/'), {'base_url': OTHER}, 403, "not called 'attacker.example'"),
}  # fmt: skip


@pytest.mark.parametrize('name', REQUESTS)
def test_requests_that_are_refused(client, name):
  (method, path), options, status, sentence = REQUESTS[name]
  reply = client.open(path, method=method, **{'data': PNG if method == 'POST' else None, **options})
  assert reply.status_code == status and list(reply.json) == ['error']
  assert sentence in reply.json['error'] and 'Access-Control-Allow-Origin' not in reply.headers


@pytest.mark.parametrize(
  'base', ['http://localhost:80', 'http://127.0.0.1:8', 'http://gpu1', 'http://[::1]:8']
)
def test_own_names_are_admitted(client, base):
  origin = base.removesuffix(':80')
  reply = client.post('/predict', data=PNG, base_url=base, headers={'Origin': origin})
  assert reply.status_code == 200


def test_too_large(client, monkeypatch, app):
  monkeypatch.setitem(app.config, 'MAX_CONTENT_LENGTH', 1000)
  for body in (bytes(1001), {'image': (io.BytesIO(bytes(1001)), 'a.png')}):
    reply = client.post('/predict', data=body)
    assert reply.status_code == 413 and 'larger than 32 MB' in reply.json['error']


def test_errors_of_the_program_stay_in_the_terminal(client, monkeypatch, capsys):
  def fail(*_):
    raise RuntimeError('secret')

  monkeypatch.setattr(service, 'read_upload', fail)
  reply = client.post('/predict', data=PNG)
  assert reply.status_code == 500 and 'secret' not in reply.text
  assert 'RuntimeError: secret' in capsys.readouterr().err


def test_exhausted_memory_is_a_refusal(client, monkeypatch):
  def fail(*_):
    raise MemoryError

  monkeypatch.setattr(service.Service, '_predict', fail)
  reply = client.post('/predict', data=PNG)
  assert reply.status_code == 413 and 'has 48 x 32 pixels' in reply.json['error']


# ---------------------------------------------------------------------- the server


@pytest.fixture(scope='module')
def port(app):
  with served.serving(app) as port:
    yield port


def connect(port):
  return contextlib.closing(http.client.HTTPConnection('127.0.0.1', port, timeout=60))


def test_a_large_upload_is_refused_before_it_is_sent(port):
  with connect(port) as connection:
    connection.putrequest('POST', '/predict')
    connection.putheader('Content-Length', str(10**12))
    connection.endheaders()
    reply = connection.getresponse()
    assert reply.status == 413 and 'larger than 32 MB' in json.load(reply)['error']


def test_malformed_requests(port):
  for text in (b'\0\xff\r\n\r\n', b'GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n'):
    with socket.create_connection(('127.0.0.1', port), timeout=60) as connection:
      connection.sendall(text)
      assert b' 400 ' in connection.recv(1000)


def test_images_at_once(port, trained, monkeypatch):
  """They wait for each other, and each gets its own reply."""
  running = []
  predict = service.Service._predict

  def count(self, image):
    running.append(1)
    assert len(running) == 1
    try:
      return predict(self, image)
    finally:
      running.pop()

  monkeypatch.setattr(service.Service, '_predict', count)

  def post(seed):
    with connect(port) as connection:
      body = encode(Image.fromarray(toy.draw(seed)[0]))
      connection.request('POST', '/predict?output=label', body)
      return opened(connection.getresponse().read())

  with concurrent.futures.ThreadPoolExecutor(12) as pool:
    labels = list(pool.map(post, range(12)))
  for seed, label in enumerate(labels):
    np.testing.assert_array_equal(label, trained.predict(toy.draw(seed)[0]).label)


@pytest.mark.skipif(not shutil.which('curl'), reason='curl is not installed')
def test_examples_of_the_documentation(port, trained, tmp_path, monkeypatch, capsys):
  """The commands and the Python of docs/serve.md run on a photo."""
  page = pages.ROOT / 'docs/serve.md'
  monkeypatch.chdir(tmp_path)
  Image.fromarray(PHOTO).save('photo.jpg')
  (commands,), (program,) = (
    [block.replace(':8000', f':{port}') for block in pages.blocks(page, language)]
    for language in ('sh', 'python')
  )
  subprocess.run(['sh', '-e', '-c', commands], check=True, capture_output=True)
  names = {}
  exec(compile(program, str(page), 'exec'), names)
  label, _ = trained.predict('photo.jpg')
  np.testing.assert_array_equal(names['label'], label)
  np.testing.assert_array_equal(np.asarray(Image.open('ids.png')), label)
  assert Image.open('overlay.png').mode == 'RGB'
  assert json.loads((tmp_path / 'classes.json').read_text())['classes'][1]['name'] == 'box'
  content = json.loads((tmp_path / 'prediction.json').read_text())
  example = json.loads(pages.blocks(page, 'json')[0])
  assert content.keys() == example.keys() and content['classes'] == names['reply']['classes']
  assert capsys.readouterr().out.count(' %\n') >= 3


def test_a_taken_port(port):
  with pytest.raises(classmix_jax.errors.UserError) as error:
    serve.open_listener('127.0.0.1', port)
  free = int(str(error.value).split('--port=')[2].split()[0])
  serve.open_listener('127.0.0.1', free).close()
  toy.assert_fails(lambda: serve.open_listener('192.0.2.1', 0), '--host=192.0.2.1')
  toy.assert_fails(lambda: serve.open_listener('127.0.0.1', 70000), '--port=70000 must be')


def test_missing_libraries(monkeypatch):
  monkeypatch.setitem(sys.modules, 'waitress', None)
  toy.assert_fails(serve.check_installed, "pip install 'classmix_jax[serve]'")


@pytest.mark.parametrize('host, warns', [('127.0.0.1', False), ('0.0.0.0', True)])
def test_first_screen(run, trained, monkeypatch, capsys, host, warns):
  class Server:
    def run(self):
      print('runs')

  monkeypatch.setattr(serve, 'load', lambda *_, **__: trained)
  monkeypatch.setattr(serve, 'open_server', lambda *_: Server())
  serve.serve(run, port=0, host=host, max_megapixels=2.5)
  lines = capsys.readouterr().out.splitlines()
  assert lines[0].startswith(f'{run}: teacher, step 1')
  assert lines[1] == '3 classes: ground, box, ball'
  toy.assert_says(lines[2], '32 MB', '2.5 million pixels', 'one at a time on cpu')
  assert lines[3].startswith('page: http://127.0.0.1:') and not lines[3].endswith(':0/')
  assert lines[4] == f'for programs: curl --data-binary @photo.jpg {lines[3][6:]}predict'
  assert any(line.startswith('warning: --host=0.0.0.0') for line in lines) == warns
  assert lines[-3:] == ['Ctrl-C ends it.', 'runs', 'ended.']


@pytest.mark.slow
def test_ctrl_c(run):
  program = served.ROOT / 'launch/serve.py'
  arguments = [sys.executable, program, f'--workdir={run}', '--port=0']
  with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
    assert process.stdout is not None
    while 'Ctrl-C' not in process.stdout.readline():
      assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0 and process.stdout.read() == 'ended.\n'
