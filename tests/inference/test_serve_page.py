"""The server's page in a real browser: drop, choose and paste an image, see its classes.

Needs playwright (pip) and a Chromium of the system; skipped without.
"""

import base64
import io

import chromium
from PIL import Image
import pytest
import served
import toy

import classmix_jax
from classmix_jax.inference.serve import serve
from classmix_jax.inference.serve.app import create_app
from classmix_jax.inference.serve.service import Service

DROP = """({data, name, type}) => {
  const bytes = Uint8Array.from(atob(data), one => one.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, {type}));
  document.body.dispatchEvent(new DragEvent('drop',
    {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope='module')
def browser():
  yield from chromium.open_browser()


@pytest.fixture(scope='module')
def trained(browser, tmp_path_factory):  # no run is written if there is no browser
  return classmix_jax.load(served.write_run(tmp_path_factory.mktemp('page')))


@pytest.fixture(scope='module')
def address(trained):
  about = serve.About(
    'a <b>run</b>', 'teacher', 1, 'paper', None, trained.class_names, trained.palette
  )
  with served.serving(create_app(Service(trained, 10**6), about)) as port:
    yield f'http://127.0.0.1:{port}/'


@pytest.fixture
def tab(browser, address):
  """The page; errors in the console, beside refused images, and other requests fail the test."""
  troubles = []
  context = browser.new_context(viewport={'width': 360, 'height': 800})
  tab = context.new_page()
  tab.on('pageerror', lambda error: troubles.append(str(error)))
  tab.on('console', lambda one: one.type == 'error' and troubles.append(one.text))
  tab.on(
    'request',
    lambda one: one.url.startswith((address, 'data:')) or troubles.append(one.url),
  )
  tab.goto(address)
  tab.wait_for_selector('body[data-ready=yes]')
  yield tab
  context.close()
  assert [text for text in troubles if 'status of 415' not in text] == []


def encode(seed):
  buffer = io.BytesIO()
  Image.fromarray(toy.draw(seed)[0]).save(buffer, 'PNG')
  return buffer.getvalue()


def drop(tab, data, name='../photo 1.png', kind='image/png'):
  tab.evaluate(DROP, {'data': base64.b64encode(data).decode(), 'name': name, 'type': kind})


def assert_shows(tab, trained, seed):
  """Asserts that the legend and the overlay are those of an image of `toy.draw`."""
  label, _ = trained.predict(toy.draw(seed)[0])
  shares = sorted(((label == index).mean(), index) for index in range(len(toy.CLASSES)))
  rows = tab.locator('#legend tr').all_inner_texts()
  assert [row.split()[1] for row in rows] == [
    toy.CLASSES[index] for share, index in reversed(shares) if share
  ]
  assert float(rows[0].split('\t')[1].split()[0]) == pytest.approx(100 * shares[-1][0], abs=0.51)
  assert tab.evaluate('document.getElementById("overlay").width') == toy.WIDTH
  box, image = (tab.locator(name).bounding_box() for name in ('#overlay', '#image'))
  assert box == image and box['width'] > 100


def test_drop_an_image(tab, trained):
  assert tab.locator('h1').inner_text() == 'a <b>run</b>'
  drop(tab, encode(5))
  tab.wait_for_selector('#result:not(.stale) #legend tr')
  assert_shows(tab, trained, 5)
  assert tab.locator('#summary').inner_text().startswith('../photo 1.png: 48 x 32 pixels, mean')
  with tab.expect_download() as download:
    tab.get_by_text('Download the class ids').click()
  ids = Image.open(download.value.path())
  assert ids.mode == 'P' and ids.size == (toy.WIDTH, toy.HEIGHT)
  assert tab.evaluate('document.documentElement.scrollWidth') <= 360


def test_choose_an_image_and_fade_it_by_the_keyboard(tab, trained):
  tab.locator('#file').set_input_files(
    {'name': 'b.png', 'mimeType': 'image/png', 'buffer': encode(6)}
  )
  tab.wait_for_selector('#result:not(.stale) #legend tr')
  assert_shows(tab, trained, 6)
  tab.locator('#file').focus()
  tab.keyboard.press('Tab')
  tab.keyboard.press('End')
  assert tab.locator('#percent').inner_text() == '100 %'
  assert tab.evaluate('getComputedStyle(document.getElementById("overlay")).opacity') == '1'


def pixel(tab, x, y):
  return tab.evaluate(
    '([x, y]) => [...document.getElementById("overlay").getContext("2d")'
    '.getImageData(x, y, 1, 1).data]',
    [x, y],
  )


def test_classes_are_hidden_and_shown(tab, trained):
  drop(tab, encode(5))
  tab.wait_for_selector('#result:not(.stale) #legend tr')
  label, _ = trained.predict(toy.draw(5)[0])
  index = int(label[0, 0])
  color = [*trained.palette[index], 255]
  assert pixel(tab, 0, 0) == color
  tab.get_by_label(f'{index} {toy.CLASSES[index]}').uncheck()
  assert pixel(tab, 0, 0)[3] == 0
  y, x = (int(one[0]) for one in (label != index).nonzero())
  assert pixel(tab, x, y) == [*trained.palette[label[y, x]], 255]
  tab.get_by_role('button', name='show all').click()
  assert pixel(tab, 0, 0) == color
  tab.get_by_role('button', name='hide all').click()
  assert pixel(tab, x, y)[3] == 0


def test_a_refusal_is_shown_and_the_page_stays(tab, trained):
  drop(tab, b'<svg onload="window.hacked = 1"/>', '<img src=x onerror=alert(1)>.svg', 'image/svg')
  tab.wait_for_selector('#error:not(:empty)')
  assert 'is SVG, HTML or XML' in tab.locator('#error').inner_text()
  assert tab.locator('#error *').count() == 0 and tab.locator('#result').is_hidden()
  drop(tab, encode(5))
  tab.wait_for_selector('#result:not(.stale) #legend tr')
  assert_shows(tab, trained, 5)
  assert tab.locator('#error').inner_text() == ''


def test_the_form_works_without_javascript(browser, address):
  context = browser.new_context(java_script_enabled=False)
  tab = context.new_page()
  tab.goto(address)
  tab.locator('#file').set_input_files(
    {'name': 'b.png', 'mimeType': 'image/png', 'buffer': encode(6)}
  )
  with tab.expect_response('**/predict?output=overlay') as reply:
    tab.get_by_role('button', name='Show the overlay').click()
  assert reply.value.status == 200 and reply.value.headers['content-type'] == 'image/png'
  context.close()
