"""Reports: what is read from a run, what the page shows, and that names cannot break it."""

import dataclasses
import html
import json
import re
from types import SimpleNamespace
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
from classmix_jax.tools.report.compare import (
  MISSING,
  check_classes,
  differences,
  remarks,
  short_names,
  warnings,
)
from classmix_jax.tools.report.confusion import most_confused
from classmix_jax.tools.report.facts import (
  describe_moments,
  display_setting,
  hide_directories,
  run_facts,
)
from classmix_jax.tools.report.page import describe_worst, page, view_captions
from classmix_jax.tools.report.runs import read_run
from classmix_jax.tools.report.write_report import report_runs


@pytest.fixture
def run(tmp_path):
  return read_run(page_runs.write_run(tmp_path / 'mine'))


def test_a_run(run):
  assert (run.name, run.labeled, run.unlabeled) == ('mine', 2, 1)
  assert run.result['step'] == 10 and run.result['miou'] == 0.4
  assert (run.place['best_step'], run.place['best_miou']) == (5, 0.5)
  assert list(run.results) == [10, 5] or list(run.results) == [5, 10]  # not the other protocol's
  assert run.curve('loss/sup') == ([5, 10], [0.2, 0.1])
  assert run.confusion() == [[3, 1], [0, 0]]


def test_a_run_that_was_not_evaluated(tmp_path):
  directory = page_runs.write_run(tmp_path / 'run')
  for file in (directory / 'eval').iterdir():
    file.unlink()
  with pytest.raises(UserError, match=f'evaluated yet; python launch/evaluate.py .*{directory}'):
    read_run(directory)


def test_scores_of_two_protocols_are_marked(tmp_path, run, capsys):
  other = read_run(page_runs.write_run(tmp_path / 'other', protocol='full at 4x6'))
  sentence = 'Scores do not compare: mine and other have different protocols.'
  assert warnings([run, other]) == [sentence] and warnings([run, run]) == []
  assert f'<p class="warning">{sentence}</p>' in page([run, other])
  path = report_runs([run.path, other.path])
  assert f'warning: {sentence}' in capsys.readouterr().out and sentence in path.read_text()


def test_scores_on_other_images_are_marked(tmp_path, run):
  other = dataclasses.replace(run, name='other', val_names=('x',))
  assert warnings([run, other]) == [
    'Scores do not compare: mine and other have different validation images.'
  ]


def test_other_labelled_images_and_unfinished_runs_are_remarked(run):
  results = {5: {**run.results[5], 'split': 'xyz'}}
  other = dataclasses.replace(run, name='other', results=results)
  assert remarks([run, other]) == [
    'Different labelled images: mine and other.',
    'other has not finished: step 5 of 10.',
  ]


def test_runs_of_other_classes_do_not_compare(run):
  other = dataclasses.replace(run, class_names=('a', 'b'))
  toy.assert_fails(lambda: check_classes([run, other]), 'has the classes a, b, and', 'road')


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


def test_settings_that_a_method_lacks_are_named(tmp_path, run):
  other = read_run(page_runs.write_run(tmp_path / 'other', method='supervised'))
  assert differences([run, other])['method.mask'] == ['class', MISSING]
  text = page([run, other])
  row = re.search('<td>config.method.mask</td>.*', text)[0]
  assert row == '<td>config.method.mask</td><td>class</td><td>no such setting</td></tr>'
  assert 'None' not in re.sub('<(script|style).*?</.*?>', '', text, flags=re.S)


@pytest.mark.parametrize('value', [None, '', [], ()])
def test_settings_that_are_not_set_have_a_dash(value):
  assert display_setting(value) == '–' and display_setting(0) == 0


@pytest.mark.parametrize(
  'text, expected',
  [
    ('--config.data.root=/home/me/street', '--config.data.root=…/street'),
    (
      '/a b/own.py:method=cutmix,labeled=/a b/x.txt',
      '…/own.py:method=cutmix,labeled=…/x.txt',
    ),
    ('~/runs/one', '…/one'),
    ('/data', '…/data'),
    ('photos/**/*.jpg', 'photos/**/*.jpg'),
    ('labeled=1/8', 'labeled=1/8'),
    ('../street', '../street'),
    ('hub:owner/name', 'hub:owner/name'),
  ],
)
def test_directories_are_hidden(text, expected):
  assert hide_directories(text) == expected


def test_the_headline_is_that_of_the_terminal(run):
  """All numbers are of the last step; the best is named beside it."""
  text = html.unescape(page([run]))
  assert (
    'headline: mIoU 40.00, teacher (fixed by config.eval_network before the run), step 10, the '
    "last step; step 5 had 50.00, the best on the run's validation images"
  ) in text
  facts = run_facts([run])
  assert facts['headline network'] == ['teacher (chosen by config.eval_network)']
  assert facts['its mIoU in %'] == ['40.00 at step 10, the last step']
  assert facts['its best mIoU in %'] == ['50.00 at step 5']
  assert facts['mIoU in % of other networks'] == ['student 40.00']
  assert describe_moments([run], headline=True) == 'The teacher at step 10, the last step.'
  assert 'python launch/main.py --config=…/own.py' in text and 'jax 0.0.1' in text


def test_facts_that_a_run_lacks_have_a_dash(tmp_path, run):
  """A supervised run has no teacher, and its best step is the last."""
  student = {'student': run.result['networks']['student']}
  result = {**run.results[10], 'network': 'student', 'networks': student}
  other = dataclasses.replace(run, name='other', results={10: result})
  facts = run_facts([other, run])
  assert facts['mIoU in % of other networks'] == ['–', 'student 40.00']
  assert facts['its best mIoU in %'] == ['–', '50.00 at step 5']
  assert describe_moments([other, run]) == (
    'other: at step 10, the last and best step; mine: at step 10, the last step.'
  )


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
  text = page([run], [page_runs.views()], classes, ['a note'])
  assert '40.00 % mIoU' in text and 'a note' in text and '40.0 % of pixels wrong' in text
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
  words = dict.fromkeys(('network', 'network_rule', 'protocol', 'devices', 'split'), HOSTILE)
  result = {**run.result, **words}
  iou = {HOSTILE: 0.5, 'car': None}
  result['networks'] = {HOSTILE: {'miou': 0.5, 'iou': iou, 'reliability': page_runs.RELIABILITY}}
  hostile = dataclasses.replace(
    run,
    name=HOSTILE,
    class_names=(HOSTILE, 'car'),
    config={**run.config, 'name': HOSTILE, 'method': {'name': HOSTILE}, 'x"y': HOSTILE},
    started={'arguments': [f'--config={HOSTILE}'], 'versions': {HOSTILE: HOSTILE}},
    results={10: result},
  )
  view = page_runs.views().views[0]
  view = view._replace(seen=view.seen._replace(name=HOSTILE))
  runs = [hostile, dataclasses.replace(hostile, name='mine', val_names=(HOSTILE,))]
  classes = {HOSTILE: ([1.0, 0.0], [1.0, 0.0])}
  text = page(runs, [gallery.Gallery([view], 1, 1)] * 2, classes, [HOSTILE])
  markup = re.sub(r'<svg.*?</svg>', '', text, flags=re.S)
  assert '<img src=x' not in markup and '<img src=x' not in text
  assert text.count('</script>') == 2  # those of the page
  assert '49' not in re.findall(r'<h1>(.*?)</h1>', text)[0]
  assert html.unescape(re.findall(r'<h1>(.*?)</h1>', text)[0]) == f'{HOSTILE} · mine'
  assert f'aria-label="{markupsafe.escape(HOSTILE)}"' in text


def test_a_missing_confusion_matrix_is_named(tmp_path):
  directory = page_runs.write_run(tmp_path / 'run')
  path = directory / 'eval' / '10-confusion.csv'
  path.write_text('truth,road,car\nroad,3\n')
  with pytest.raises(UserError, match='10-confusion.csv is damaged: expected 2 rows'):
    read_run(directory).confusion()
  path.unlink()
  with pytest.raises(UserError, match='10-confusion.csv cannot be read .*--step=10'):
    read_run(directory).confusion()


class OfWrongPixels:
  """An evaluator of images of 1x10 pixels, of which a given number are predicted wrongly."""

  class Images(list):
    @property
    def names(self):
      return [str(index) for index in self]

  def __init__(self, wrong, unknown=(), size=(1, 10)):
    self.dataset = SimpleNamespace(val=self.Images(range(len(wrong))))
    self.wrong, self.unknown, self.sizes = wrong, unknown, [size] * len(wrong)

  def look(self, variables, indices):
    for index in map(int, indices):
      truth = np.full((1, 10), 255 if index in self.unknown else 0, np.uint8)
      prediction = (np.arange(10) < self.wrong[index]).astype(np.uint8)[None]
      yield Seen(str(index), np.zeros((1, 10, 3), np.uint8), truth, prediction, prediction / 2)


def ranked(shown):
  return {view.seen.name: (view.rank, view.wrong) for view in shown.views if view.rank}


def test_the_worst_are_those_of_all_images():
  """Of 60 images four are bad; two of them would be among the images that are spread."""
  wrong = [0] * 60
  wrong[0], wrong[17], wrong[33], wrong[59], wrong[5] = 4, 9, 10, 6, 1
  shown = gallery.gallery(OfWrongPixels(wrong), None)
  assert ranked(shown) == {'33': (1, 1.0), '17': (2, 0.9), '59': (3, 0.6), '0': (4, 0.4)}
  names = [view.seen.name for view in shown.views]
  assert len(set(names)) == len(names) == 12 and names[8:] == ['33', '17', '59', '0']
  assert (shown.ranked, shown.total) == (60, 60)
  assert describe_worst(shown, ['run']) == (
    'The last 4 images have the largest fraction of wrong pixels of all 60 validation images.'
  )


def test_good_images_are_never_the_worst():
  """Neither the better two of three images, nor images without mistakes or known pixels."""
  assert ranked(gallery.gallery(OfWrongPixels([1, 3, 2]), None)) == {'1': (1, 0.3)}
  assert ranked(gallery.gallery(OfWrongPixels([0] * 9), None)) == {}
  shown = gallery.gallery(OfWrongPixels([9, 1, 0, 0], unknown=[0]), None)
  assert ranked(shown) == {'1': (1, 0.1)} and len(shown.views) == 4
  assert view_captions([SimpleNamespace(name='run')], [shown]) == [
    'no known pixels',
    '0.0 % of pixels wrong',
    '0.0 % of pixels wrong',
    '10.0 % of pixels wrong, number 1 of the worst',
  ]


def test_few_images():
  assert gallery.gallery(OfWrongPixels([5]), None).views[0].rank == 0
  assert [view.rank for view in gallery.gallery(OfWrongPixels([5, 6]), None).views] == [0, 0]


def test_large_images_are_ranked_by_a_sample():
  shown = gallery.gallery(OfWrongPixels([1] * 500, size=(512, 1024)), None)
  assert (shown.ranked, shown.total) == (64, 500)
  assert 'of 64 of the 500 validation images in the predictions of a.' in describe_worst(
    shown, ['a', 'b']
  )


def test_captions_of_several_runs():
  first = gallery.gallery(OfWrongPixels([1, 2, 5]), None)
  names = [view.seen.name for view in first.views]
  second = gallery.gallery(OfWrongPixels([3, 3]), None, names)
  runs = [SimpleNamespace(name=name) for name in 'ab']
  assert view_captions(runs, [first, second]) == [
    'a: 10.0 % of pixels wrong; b: 30.0 % of pixels wrong',
    'a: 20.0 % of pixels wrong; b: 30.0 % of pixels wrong',
    'a: 50.0 % of pixels wrong, number 1 of the worst',
  ]


def test_most_confused_pairs():
  counts = [[90, 10, 0], [0, 0, 0], [4, 36, 60]]
  assert most_confused(counts) == [(2, 1, 36, 0.36), (0, 1, 10, 0.1), (2, 0, 4, 0.04)]
  assert most_confused(counts, most=1) == [(2, 1, 36, 0.36)] and most_confused([[5]]) == []


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
