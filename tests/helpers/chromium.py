"""A headless Chromium of the system, for tests of pages."""

import shutil

import pytest

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


def open_browser():
  """Yields a browser; skips the test without playwright (pip) or a Chromium."""
  api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed')
  program = next(filter(None, map(shutil.which, BROWSERS)), None)
  if program is None:
    pytest.skip('there is no Chromium')
  with api.sync_playwright() as playwright:
    opened = playwright.chromium.launch(executable_path=program, args=['--no-sandbox'])
    yield opened
    opened.close()
