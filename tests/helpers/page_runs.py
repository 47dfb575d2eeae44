"""Runs and galleries made up for the report's tests: two classes, images of 2x3 pixels."""

import json

import numpy as np
import toy

from classmix_jax.evaluation.evaluator import Seen
from classmix_jax.tools.report.gallery import Gallery, GalleryView

NAMES, PALETTE = ['road', '<b>car & Co</b>'], [[10, 20, 30], [200, 100, 0]]
COMPLETE = {'labels_first': 0, 'labeled_loss.balance': 0.0}  # open in configs/folder.py
RELIABILITY = {
  'threshold': 0.968,
  'precision': 0.875,
  'share': 0.625,
  'calibration_error': 0.05,
  'curve': [[0.525, 0.25, 0.375], [0.975, 0.875, 0.625]],
}
TRUTH = np.array([[0, 0, 1], [1, 255, 1]], np.uint8)
PREDICTION = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
PHOTO = np.full((2, 3, 3), 100, np.uint8)


def result(step, miou):
  networks = {
    name: {
      'miou': miou,
      'iou': dict(zip(NAMES, (miou, None), strict=True)),
      'reliability': RELIABILITY,
    }
    for name in ('student', 'teacher')
  }
  return {
    'step': step,
    'network': 'teacher',
    'network_rule': 'config.eval_network',
    'protocol': 'paper at 2x3',
    'images': 4,
    'pixels': 20,
    'split': 'abc',
    'devices': '1 x cpu',
    **networks['teacher'],
    'networks': networks,
  }


def write_run(directory, miou=0.5, protocol='paper at 2x3', method='classmix'):
  """Writes what a report reads; step 10 scores less than step 5."""
  (directory / 'splits').mkdir(parents=True)
  (directory / 'eval').mkdir()
  config = toy.config('/nowhere', f'method={method}', steps=10, **COMPLETE, **{'data.crop': ()})
  (directory / 'config.json').write_text(json.dumps(config.to_dict()))
  (directory / 'classes.json').write_text(json.dumps({'names': NAMES, 'palette': PALETTE}))
  (directory / 'splits' / 'labeled.txt').write_text('a\nb\n')
  (directory / 'splits' / 'unlabeled.txt').write_text('c\n')
  (directory / 'splits' / 'val.txt').write_text('street/1\n')
  started = {'arguments': ['--config=/home/me/own.py'], 'versions': {'jax': '0.0.1'}}
  (directory / 'started.json').write_text(json.dumps(started))
  for step, score in ((5, miou), (10, miou - 0.1)):
    actual = {**result(step, score), 'protocol': protocol}
    (directory / 'eval' / f'{step}.json').write_text(json.dumps(actual))
  (directory / 'eval' / '5-full-at-4x6.json').write_text('{}')
  for step, row in ((5, '2,2'), (10, '3,1')):
    (directory / 'eval' / f'{step}-confusion.csv').write_text(
      f'truth,road,<b>car & Co</b>\nroad,{row}\n<b>car & Co</b>,0,0\n'
    )
  rows = [
    {
      'step': step,
      'loss/sup': 1 / step,
      'confident_share': 0.2,
      'eval/miou_teacher': miou,
      'eval/reliability_teacher': 0.875,
    }
    for step in (5, 10)
  ]
  (directory / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)) + '\n')
  return directory


def views(prediction=PREDICTION):
  seen = Seen('street/1', PHOTO, TRUTH, prediction, np.full((2, 3), 0.2, np.float32))
  return Gallery([GalleryView(seen, 0.4)], 1, 1)
