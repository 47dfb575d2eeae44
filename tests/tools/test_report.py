"""Reports: what is read from a run, what the page shows, and that names cannot break it."""

import dataclasses
import html
import json
import re
import xml.etree.ElementTree as ElementTree

import markupsafe
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
  directory = page_runs.write_run(tmp_path / 'run')
  for file in (directory / 'eval').iterdir():
    file.unlink()
  with pytest.raises(UserError, match=f'evaluated yet; python launch/evaluate.py .*{directory}'):
    read_run(directory)


def test_runs_of_two_protocols_do_not_compare(tmp_path, run):
  other = read_run(page_runs.write_run(tmp_path / 'other', protocol='full at 4x6'))
  with pytest.raises(UserError, match='has the protocol full at 4x6, .*mine has paper at 2x3'):
    check_comparable([run, other])


def test_runs_whose_directories_share_a_name(tmp_path):
  directories = [page_runs.write_run(tmp_path / seed / 'run', protocol='full') for seed in 'ab']
  text = report_runs(directories, tmp_path / 'compare.html').read_text()
  assert '>a/run<' in text and '>b/run<' in text
  assert short_names([*directories, tmp_path / 'c']) == ['a/run', 'b/run', f'{tmp_path.name}/c']
  assert len(short_names(directories[:1] * 2)) == 2  # the same one twice


def test_what_differs(tmp_path, run):
  other = read_run(page_runs.write_run(tmp_path / 'other', method='cutmix'))
  assert differences([run, other]) == {
    'method.mask': ['class', 'cut'],
    'method.name': ['classmix', 'cutmix'],
  }


def test_curves(run):
  assert panels([run]) == {
    'loss': [('sup', [5, 10], [0.2, 0.1])],
    'mIoU in %': [('teacher', [5, 10], [50.0, 50.0])],
    'confident pixels in %': [('share', [5, 10], [20.0, 20.0])],
    'correct confident pixels in %': [('teacher', [5, 10], [87.5, 87.5])],
  }
  assert panels([run, run])['loss'][0][0] == 'mine: sup'
  svgs = curves([run])
  assert list(svgs) == list(panels([run]))
  assert {'loss', 'step', 'sup'} <= svg_texts(svgs['loss'])
  assert {'mIoU in %', 'step', 'teacher'} <= svg_texts(svgs['mIoU in %'])


def test_names_in_a_curve_are_escaped(run):
  hostile = dataclasses.replace(run, name='</svg><script>alert(1)</script>')
  svg = curves([hostile, run])['loss']
  assert '<script' not in svg and '</svg><script>alert(1)</script>: sup' in svg_texts(svg)


def svg_texts(svg):
  texts = ElementTree.fromstring(svg).iter('{http://www.w3.org/2000/svg}text')
  return {text.text for text in texts}


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
  reliability = text[text.index('Reliability of') : text.index('a note')]
  assert '<td>0.968</td>' in reliability
  assert reliability.count('87.50') == reliability.count('62.50') == 2  # of two networks
  svg = re.search('<svg.*</svg>', reliability, re.S)[0]
  assert {'calibrated', 'student', 'teacher', 'confidence in %'} <= svg_texts(svg)


HOSTILE = '</script><img src=x onerror="alert(1)">\'&{{ 7 * 7 }}'


def test_names_cannot_break_the_page(run):
  """Every name that a user chooses stays text: of classes, runs, methods, images and settings."""
  result = {**run.result, 'network': HOSTILE, 'protocol': HOSTILE, 'devices': HOSTILE}
  iou = {HOSTILE: 0.5, 'car': None}
  result['networks'] = {HOSTILE: {'miou': 0.5, 'iou': iou, 'reliability': page_runs.RELIABILITY}}
  hostile = dataclasses.replace(
    run,
    name=HOSTILE,
    class_names=(HOSTILE, 'car'),
    config={**run.config, 'name': HOSTILE, 'method': {'name': HOSTILE}, 'x"y': HOSTILE},
    results={5: result},
  )
  view = page_runs.views()[0]
  view = view._replace(seen=view.seen._replace(name=HOSTILE))
  runs = [hostile, dataclasses.replace(hostile, name='mine')]
  text = page(runs, [[view]] * 2, {HOSTILE: ([1.0, 0.0], [1.0, 0.0])}, HOSTILE)
  markup = re.sub(r'<svg.*?</svg>', '', text, flags=re.S)
  assert '<img src=x' not in markup and '<img src=x' not in text
  assert text.count('</script>') == 2  # those of the page
  assert '49' not in re.findall(r'<h1>(.*?)</h1>', text)[0]
  assert html.unescape(re.findall(r'<h1>(.*?)</h1>', text)[0]) == f'{HOSTILE} · mine'
  assert f'aria-label="{markupsafe.escape(HOSTILE)}"' in text


def test_a_missing_confusion_matrix_is_named(tmp_path):
  directory = page_runs.write_run(tmp_path / 'run')
  path = directory / 'eval' / '5-confusion.csv'
  path.write_text('truth,road,car\nroad,3\n')
  with pytest.raises(UserError, match='5-confusion.csv is damaged: expected 2 rows'):
    read_run(directory).confusion()
  path.unlink()
  with pytest.raises(UserError, match='5-confusion.csv cannot be read .*--step=best'):
    read_run(directory).confusion()


def test_gallery_shows_the_worst():
  """Of 20 images number 7 has the fewest correct pixels; it is not among the spread ones."""

  class Evaluator:
    class dataset:  # noqa: N801
      val = range(20)

    def look(self, variables, indices):
      for index in map(int, indices):
        prediction = np.full((2, 3), 9 if index == 7 else 1, np.uint8)
        yield Seen(str(index), page_runs.PHOTO, page_runs.TRUTH, prediction, prediction)

  views = gallery.gallery(Evaluator(), None)
  assert len(views) == gallery.NUM_SPREAD + gallery.NUM_WORST
  worst = [view for view in views if view.worst]
  assert worst[0].seen.name == '7' and worst[0].accuracy == 0
  assert [view.accuracy for view in views if not view.worst] == [0.6] * gallery.NUM_SPREAD


def test_without_data(tmp_path, capsys):
  """The page is written without images, and its note gives the reason."""
  directory = page_runs.write_run(tmp_path / 'run')
  config = json.loads((directory / 'config.json').read_text())
  from configs import folder as folder_config

  full = folder_config.get_config('method=classmix').to_dict()
  full['data']['root'] = '/home/user/nowhere'
  (directory / 'config.json').write_text(json.dumps({**full, 'steps': config['steps']}))
  path = report_runs([directory])
  assert '/home' not in path.read_text()
  assert path == directory / 'report.html'
  assert 'No validation images: ' in path.read_text()
  assert '/home/user/nowhere' in capsys.readouterr().out


def test_a_page_contains_no_path_of_its_machine(tmp_path):
  """Of paths in the config the last part stays; the directory of the run is its name."""
  directory = page_runs.write_run(tmp_path / 'run')
  config = json.loads((directory / 'config.json').read_text())
  config['data']['root'] = '/home/user/street'
  (directory / 'config.json').write_text(json.dumps(config))
  other = read_run(page_runs.write_run(tmp_path / 'other'))
  text = page([read_run(directory), other], [page_runs.views()] * 2)
  assert text.count('…/street') == 2  # among the differences, and in the config
  assert '/home' not in text and str(tmp_path) not in text


def test_evaluation_of_other_classes(tmp_path):
  directory = page_runs.write_run(tmp_path / 'run')
  path = directory / 'eval/5.json'
  result = json.loads(path.read_text())
  for network in result['networks'].values():
    network['iou'] = {}
  path.write_text(json.dumps(result))
  toy.assert_fails(lambda: read_run(directory), 'eval/5.json is damaged', 'no IoU of each class')


def test_evaluation_without_reliability(tmp_path):
  directory = page_runs.write_run(tmp_path / 'run')
  path = directory / 'eval/5.json'
  result = json.loads(path.read_text())
  result['networks']['student']['reliability']['curve'] = [[0.5, 0.5]]
  path.write_text(json.dumps(result))
  toy.assert_fails(lambda: read_run(directory), 'eval/5.json is damaged', 'no reliability')
