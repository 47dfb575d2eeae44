"""The page in a real browser: it draws, answers to clicks and keys, and fits a phone.

Needs playwright (pip) and a Chromium of the system; skipped without.
"""

import chromium
import page_runs
import pytest

from classmix_jax.tools.report.page import page
from classmix_jax.tools.report.runs import read_run

TINTED = [round(100 + 0.6 * (color - 100)) for color in page_runs.PALETTE[0]]


@pytest.fixture(scope='module')
def browser():
  yield from chromium.open_browser()


@pytest.fixture
def opened(browser, tmp_path):
  """Opens a page of some runs; errors in the console and requests fail the test."""
  troubles, contexts = [], []

  def visit(runs, galleries, width=1000):
    path = tmp_path / 'report.html'
    path.write_text(page(runs, galleries), encoding='utf-8')
    contexts.append(browser.new_context(viewport={'width': width, 'height': 800}))
    tab = contexts[-1].new_page()
    tab.on('pageerror', lambda error: troubles.append(str(error)))
    tab.on(
      'request',
      lambda request: request.url.startswith(('data:', 'file:')) or troubles.append(request.url),
    )
    tab.goto(path.as_uri())
    tab.wait_for_selector('body[data-ready=yes]')
    return tab

  yield visit
  for context in contexts:
    context.close()
  assert troubles == []


def pixel(tab, x, y):
  return tab.evaluate(
    '([x, y]) => [...document.querySelector("canvas").getContext("2d")'
    '.getImageData(x, y, 1, 1).data.slice(0, 3)]',
    [x, y],
  )


def near(color, expected, tolerance=3):  # the photo is a JPEG
  return all(abs(a - b) <= tolerance for a, b in zip(color, expected, strict=True))


@pytest.fixture
def run(tmp_path):
  return read_run(page_runs.write_run(tmp_path / 'mine'))


def test_layers_classes_and_opacity(opened, run):
  tab = opened([run], [page_runs.views()])
  assert near(pixel(tab, 0, 0), TINTED)  # the prediction at 60 %
  tab.locator('[name=opacity]').fill('100')
  assert pixel(tab, 0, 0) == page_runs.PALETTE[0] and pixel(tab, 1, 0) == page_runs.PALETTE[1]
  tab.get_by_label('truth').check()
  assert pixel(tab, 1, 0) == page_runs.PALETTE[0]
  assert near(pixel(tab, 1, 1), [100] * 3)  # void
  tab.get_by_label('error').check()
  assert pixel(tab, 0, 0) == [40, 160, 90] and pixel(tab, 1, 0) == [220, 30, 40]
  tab.get_by_role('radio', name='confidence').check()  # a chart has the word, too
  assert pixel(tab, 0, 0) == [204, 51, 90]  # sure by 0.2
  tab.get_by_label('prediction').check()
  tab.locator('[name=class][value="0"]').uncheck()
  assert near(pixel(tab, 0, 0), [100] * 3) and pixel(tab, 1, 0) == page_runs.PALETTE[1]
  tab.get_by_role('button', name='none').click()
  assert near(pixel(tab, 1, 0), [100] * 3)


def test_a_keyboard_is_enough(opened, run):
  tab = opened([run], [page_runs.views()])
  tab.locator('[name=layer]:checked').focus()
  tab.keyboard.press('ArrowLeft')  # from prediction to truth
  assert tab.locator('[name=layer]:checked').get_attribute('value') == 'truth'
  tab.keyboard.press('Tab')
  tab.keyboard.press('End')
  assert pixel(tab, 1, 0) == page_runs.PALETTE[0]


def test_runs_side_by_side(opened, tmp_path, run):
  other = read_run(page_runs.write_run(tmp_path / 'other', method='cutmix'))
  tab = opened([run, other], [page_runs.views(), page_runs.views(page_runs.TRUTH)])
  tab.locator('[name=opacity]').fill('100')
  assert pixel(tab, 1, 0) == page_runs.PALETTE[1]
  tab.get_by_label('other').check()
  assert pixel(tab, 1, 0) == page_runs.PALETTE[0]
  assert 'cutmix' in tab.locator('table', has_text='config.method.name').first.inner_text()


def test_fits_a_phone(opened, run):
  tab = opened([run], [page_runs.views()], width=360)
  assert tab.evaluate('document.documentElement.scrollWidth') <= 360
