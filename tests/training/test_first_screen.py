"""What a training prints before its first step: a few lines, and everything with --verbose."""

import jax
import pytest
import toy

from classmix_jax.config import papers
from classmix_jax.config.setup import Schedule
from classmix_jax.training.first_screen import describe_evaluations, describe_origin
from classmix_jax.training.initial_state import initial_key
from classmix_jax.training.trainer import describe_start
from configs import ade20k, camvid, cityscapes, coco, folder, pascal_voc, scenes, tfds


@pytest.fixture(scope='module')
def start(tmp_path_factory):
  """A prepared training, its directory, and its state as shapes."""
  root = toy.write_folder(tmp_path_factory.mktemp('data'))
  run = tmp_path_factory.mktemp('runs') / 'run'
  setup, create = toy.start(toy.config(root, steps=3000, eval_every=1000), run)
  return setup, run, create.eval_shape(initial_key(setup)).replace(step=0)


def screen(start, capsys, *, verbose=False, **values):
  """Returns the printed lines of a start with other fields of the config."""
  setup, run, state = start
  setup = setup._replace(values={**setup.values, **values})
  describe_start(setup, run, state, 'paper at 32x48', {}, verbose=verbose)
  return capsys.readouterr().out.splitlines()


def test_own_data_have_five_lines(start, capsys):
  lines, model, optim = screen(start, capsys), start[0].values['model'], start[0].values['optim']
  count = sum(x.size for x in jax.tree.leaves(start[2].params))
  assert [line.split(maxsplit=1) for line in lines[:4]] == [
    ['data', '4 labelled images (split 3303ccdf), 6 unlabelled, 3 for validation'],
    [
      'network',
      f'{model["backbone"]} + {model["head"]}, {count:,} trained parameters, from scratch, '
      f'{optim["rule"]} at {optim["learning_rate"]:g}',
    ],
    [
      'training',
      'classmix, 3,000 steps of 2 labelled + 2 unlabelled crops of 24x32 (1,500 passes over the '
      'labelled images), 2 cpu devices',
    ],
    [
      'score',
      'mIoU on the validation images every 1,000 steps, paper at 32x48; the teacher '
      '(config.eval_network) at the last step counts',
    ],
  ]
  assert lines[4:] == [f'{start[1]}: starts, all settings are in settings.txt']


def test_a_paper_is_compared_only_if_the_config_claims_one(start, capsys):
  lines = screen(start, capsys, paper=papers.classmix_row().to_dict())
  assert [line for line in lines if 'differs (paper: 40000)' in line]
  assert len(lines) == 5 + 17 and not [line for line in lines if '|' in line]
  assert (start[1] / 'settings.txt').read_text().splitlines()[:17] == lines[:17]


def test_verbose_prints_all_parameters_and_settings(start, capsys):
  few, lines = screen(start, capsys), screen(start, capsys, verbose=True)
  assert lines[-5:] == few and len(lines) > 60
  text = (start[1] / 'settings.txt').read_text()
  assert all(line in text for line in lines[:-5]) and 'differs' not in text


@pytest.mark.parametrize(
  'module, arguments, claims',
  [
    (cityscapes, '', True),
    (pascal_voc, '', True),
    (pascal_voc, 'method=unimatch_v2', True),
    (ade20k, 'method=unimatch_v2', True),
    (coco, 'method=unimatch_v2', True),
    (ade20k, '', False),
    (camvid, '', False),
    (folder, '', False),
    (scenes, '', False),
    (tfds, '', False),
  ],
)
def test_configs_that_claim_a_paper(module, arguments, claims):
  assert bool(module.get_config(arguments).paper) == claims


@pytest.mark.parametrize(
  'eval_every, text',
  [
    (0, 'after the last step'),
    (3000, 'after the last step'),
    (1000, 'every 1,000 steps'),
    (2000, 'every 2,000 steps and after the last one'),
  ],
)
def test_evaluations(eval_every, text):
  assert describe_evaluations(Schedule(3000, eval_every, 500, 250)) == text


def test_the_origin_names_a_preprocessing_that_the_weights_do_not_expect():
  settings = {
    'pre-training': 'COCO',
    'weights': 'x.pth, matched 8 of 9 tensors',
    'preprocessing': 'imagenet',
  }
  assert describe_origin(settings) == 'pretrained on COCO (x.pth)'
  settings['preprocessing'] = 'imagenet, but the weights are caffe'
  assert describe_origin(settings).endswith('; preprocessing imagenet, but the weights are caffe')
