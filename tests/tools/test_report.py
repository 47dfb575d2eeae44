"""What a report tells of a run's folder, and that nothing in it breaks the page."""

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import page_runs
import pytest
import toy

from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Seen
from classmix_jax.tools.report import gallery
from classmix_jax.tools.report.charts import curves, panels
from classmix_jax.tools.report.page import page
from classmix_jax.tools.report.runs import check_comparable, differences, read_run, short_names
from classmix_jax.tools.report.write_report import report_runs


@pytest.fixture
def run(tmp_path):
  return read_run(page_runs.write_run(tmp_path / 'mine'))


def test_a_run(run):
  assert (run.name, run.labeled, run.unlabeled) == ('mine', 2, 1)
  assert run.result['step'] == 5 and run.last['step'] == 10
  assert list(run.results) == [10, 5] or list(run.results) == [5, 10]  # not the other protocol's
  assert run.curve('loss/sup') == ([5, 10], [0.2, 0.1])
  assert run.confusion() == [[3, 1], [0, 0]]


def test_a_run_that_was_not_evaluated(tmp_path):
  folder = page_runs.write_run(tmp_path / 'run')
  for file in (folder / 'eval').iterdir():
    file.unlink()
  with pytest.raises(UserError, match=f'evaluated yet; python launch/evaluate.py .*{folder}'):
    read_run(folder)


def test_runs_of_two_protocols_do_not_compare(tmp_path, run):
  other = read_run(page_runs.write_run(tmp_path / 'other', protocol='full at 4x6'))
  with pytest.raises(UserError, match='has the protocol full at 4x6, .*mine has paper at 2x3'):
    check_comparable([run, other])


def test_runs_whose_folders_share_a_name(tmp_path):
  folders = [page_runs.write_run(tmp_path / seed / 'run', protocol='full') for seed in 'ab']
  text = report_runs(folders, tmp_path / 'compare.html').read_text()
  assert '>a/run<' in text and '>b/run<' in text
  assert short_names([*folders, tmp_path / 'c']) == ['a/run', 'b/run', f'{tmp_path.name}/c']
  assert len(short_names(folders[:1] * 2)) == 2  # the same one twice


def test_what_differs(tmp_path, run):
  other = read_run(page_runs.write_run(tmp_path / 'other', method='cutmix'))
  assert differences([run, other]) == {
    'method.mask': ['class', 'cut'],
    'method.name': ['classmix', 'cutmix'],
  }


def test_curves(run):
  found = panels([run])
  assert found == {
    'loss': [('sup', [5, 10], [0.2, 0.1])],
    'mIoU in %': [('teacher', [5, 10], [50.0, 50.0])],
    'confident pixels in %': [('share', [5, 10], [20.0, 20.0])],
  }
  assert panels([run, run])['loss'][0][0] == 'mine: sup'
  svg = ElementTree.fromstring(f'<div>{curves([run])}</div>')
  assert [panel.get('aria-label') for panel in svg] == list(found)
  texts = [x.text for x in svg.iter('{http://www.w3.org/2000/svg}text')]
  assert {'loss', 'mIoU in %', 'confident pixels in %', 'teacher'} <= set(texts)


def test_page(run):
  classes = {'labelled': ([0.75, 0.25], [1.0, 0.5])}
  text = page([run], [page_runs.views()], classes, 'a note')
  assert '50.00 % mIoU' in text and 'a note' in text
  assert '<b>car' not in text and '&lt;b&gt;car &amp; Co' in text
  data = json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])
  assert data['palette'] == page_runs.PALETTE and len(data['views'][0]['runs']) == 1
  assert not re.findall(r'(?:src|href)="(?!data:|#)', text)  # nothing is fetched
  assert '>75</td>' in text and '>25</td>' in text  # confusion, in percent of the truth
  assert '75.00' in text  # frequencies


def test_gallery_shows_the_worst():
  """Of 20 images number 7 has the fewest correct pixels; it is not among the spread ones."""

  class Evaluator:
    class dataset:  # noqa: N801
      val = range(20)

    def look(self, variables, indices):
      for index in map(int, indices):
        prediction = np.full((2, 3), 9 if index == 7 else 1, np.uint8)
        yield Seen(str(index), page_runs.PHOTO, page_runs.TRUTH, prediction, prediction)

  found = gallery.gallery(Evaluator(), None)
  assert len(found) == gallery.SHOWN + gallery.WORST
  worst = [view for view in found if view.worst]
  assert worst[0].seen.name == '7' and worst[0].accuracy == 0
  assert [view.accuracy for view in found if not view.worst] == [0.6] * gallery.SHOWN


def test_without_data(tmp_path, capsys):
  """The page is written all the same, and says why there are no pictures."""
  folder = page_runs.write_run(tmp_path / 'run')
  config = json.loads((folder / 'config.json').read_text())
  from configs import folder as folder_config

  full = folder_config.get_config('method=classmix').to_dict()
  full['data']['root'] = '/home/somebody/nowhere'
  (folder / 'config.json').write_text(json.dumps({**full, 'steps': config['steps']}))
  path = report_runs([folder])
  assert '/home' not in path.read_text()
  assert path == folder / 'report.html'
  assert 'No pictures of validation images: ' in path.read_text()
  assert '/home/somebody/nowhere' in capsys.readouterr().out


def test_a_page_does_not_tell_where_it_was_made(tmp_path):
  """Of paths in the config the last part stays; the folder of the run is its name."""
  folder = page_runs.write_run(tmp_path / 'run')
  config = json.loads((folder / 'config.json').read_text())
  config['data']['root'] = '/home/somebody/street'
  (folder / 'config.json').write_text(json.dumps(config))
  other = read_run(page_runs.write_run(tmp_path / 'other'))
  text = page([read_run(folder), other], [page_runs.views()] * 2)
  assert text.count('…/street') == 2  # among the differences, and in the config
  assert '/home' not in text and str(tmp_path) not in text


def test_evaluation_of_other_classes(tmp_path):
  folder = page_runs.write_run(tmp_path / 'run')
  path = folder / 'eval/5.json'
  result = json.loads(path.read_text())
  for network in result['networks'].values():
    network['iou'] = {}
  path.write_text(json.dumps(result))
  toy.assert_fails(lambda: read_run(folder), 'eval/5.json is damaged', 'no IoU of each class')
