"""Error messages that no other test provokes; `tests/helpers/provoked.py` counts them all."""

import base64
import builtins
import io
import json
import os
import shutil
import sys
import types

import jax
import numpy as np
from PIL import Image
import pytest
import toy
from toy import assert_says, save

from classmix_jax.config.check import check_config
from classmix_jax.config.load import read_config
from classmix_jax.config.model import build_method
from classmix_jax.data import device_pipeline
from classmix_jax.data.files import pairs, tfds_records
from classmix_jax.data.files.image_io import read_image
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import headline_network
from classmix_jax.inference.export import export as exporter
from classmix_jax.inference.predict_files import read_frames
from classmix_jax.pretrained import load
from classmix_jax.pretrained.converted_folder import write_weights
from classmix_jax.pretrained.state_dict_files import read_file, write_file
from classmix_jax.tools.annotations import annotation as export
from classmix_jax.tools.annotations import coco, convert, cvat, labelme
from classmix_jax.tools.annotations.class_table import read_class_table
from classmix_jax.tools.report.runs import read_run
from classmix_jax.training import distributed
from classmix_jax.workdir import layout


def told(call, *parts):
  """`call` ends with a sentence that has these parts."""
  with pytest.raises(UserError) as caught:
    call()
  assert_says(str(caught.value), *parts)


@pytest.fixture
def refused(monkeypatch):
  """Makes the system refuse to create folders and to open files for writing: root may do all."""

  def refuse(*_, **__):
    raise PermissionError(13, 'Permission denied')

  monkeypatch.setattr(os, 'mkdir', refuse)
  opened = builtins.open
  monkeypatch.setattr(
    builtins,
    'open',
    lambda file, mode='r', *rest, **options: (
      refuse() if mode[0] in 'wax' else opened(file, mode, *rest, **options)
    ),
  )


# --------------------------------------------------------------------------- configs


def test_network_of_no_method():
  told(lambda: headline_network('pupil', ()), "config.eval_network is 'pupil'", 'teacher')


@pytest.mark.parametrize(
  'field, value, parts',
  [
    ('steps', 0, ['config.steps is 0', '1 to 2,147,483,647']),
    ('optim.momentum', 1.0, ['config.optim.momentum is 1.0', 'less than 1']),
    ('method.threshold', 2.0, ['config.method.threshold is 2.0', '0 to 1']),
    ('optim.learning_rate', float('nan'), ['is nan', '0 or more']),
    ('data.crop', (24,), ['config.data.crop is (24,)', '(H, W) or ()']),
    ('data.crop', (24.0, 32.0), ['whole number, 1 or more each']),
    ('unlabeled_batch_size', 1, ['mixes pairs', 'set it to 2 or more']),
    ('steps_per_dispatch', 3, ['does not divide', 'multiple of 3']),
  ],
)
def test_numbers_out_of_range(field, value, parts):
  told(lambda: check_config(toy.config('', **{field: value})), *parts)


def test_fields_that_a_method_or_a_loss_does_not_have():
  config = toy.config('')
  config.method.thresold = 0.5
  told(lambda: build_method(config, 3), "(classmix) is 'thresold'", "mean 'threshold'?")
  config = toy.config('')
  config.labeled_loss.dise = 0.5
  told(lambda: build_method(config, 3), "config.labeled_loss is 'dise'", "mean 'dice'?")


def test_too_many_frames_for_a_device():
  device = types.SimpleNamespace(
    memory_stats=lambda: {'bytes_limit': 10**9}, __str__=lambda self: 'small'
  )
  told(lambda: device_pipeline._check_memory(6 * 10**8, device), '0.6 GB', 'has 1.0 GB', 'disk')
  device_pipeline._check_memory(5 * 10**8, device)


def test_processes_that_do_not_meet(monkeypatch):
  def fail(**_):
    raise RuntimeError('no coordinator\nat all')

  monkeypatch.setattr(jax.distributed, 'initialize', fail)
  told(lambda: distributed.connect('host:1', 2, 0), 'the processes do not connect: no coordinator')


# ------------------------------------------------------------------------------ data


def test_a_package_that_is_missing(monkeypatch):
  def needs(name):
    with tfds_records.needs_tfds('scenes'):
      raise ImportError(name=name)

  told(lambda: needs('array_record.python'), "dataset 'scenes'", 'pip install array-record')
  told(lambda: needs(None), 'pip install tensorflow-datasets')
  for module in ('tensorflow', 'tensorflow_datasets'):  # as if they were not installed
    monkeypatch.setitem(sys.modules, module, None)
  told(lambda: needs('never asked'), 'pip install tensorflow-datasets tensorflow.')


@pytest.mark.parametrize('write', [exporter.savedmodel, exporter.tflite])
def test_exporting_where_tensorflow_is_missing(write, monkeypatch, tmp_path):
  monkeypatch.delattr('classmix_jax.inference.export.tensorflow', raising=False)
  monkeypatch.setitem(sys.modules, 'classmix_jax.inference.export.tensorflow', None)
  told(lambda: write(None, (2, 2), tmp_path), 'pip install tensorflow')


def test_files_that_may_not_be_read(tmp_path, monkeypatch):
  path = save(tmp_path / 'x.png', np.zeros((2, 3)))

  def refuse(*_, **__):
    raise PermissionError(13, 'Permission denied')

  monkeypatch.setattr(Image, 'open', refuse)
  told(lambda: read_image(path), path, 'may not be read', 'permissions')


@pytest.mark.parametrize(
  'kind, parts',
  [
    ('loop', ['Too many levels of symbolic links', 'replace the file']),
    ('folder', ['is a folder', 'rename or remove']),
    ('pipe', ['is no regular file']),
  ],
)
def test_what_is_no_file(tmp_path, kind, parts):
  path = tmp_path / 'x.png'
  {'loop': lambda: path.symlink_to('x.png'), 'folder': path.mkdir, 'pipe': lambda: os.mkfifo(path)}[
    kind
  ]()
  told(lambda: read_image(path), path, *parts)


@pytest.mark.parametrize('name', [b'a\nb.png', b'\xff.png'])
def test_names_that_no_list_can_hold(tmp_path, name):
  (tmp_path / os.fsdecode(name)).touch()
  told(lambda: pairs.find_images(tmp_path), 'control characters, or in another encoding')


def test_folders_that_link_to_themselves_are_read_once(tmp_path):
  for name in ('a', 'b'):
    save(tmp_path / name / 'x.png', np.zeros((2, 3)))
  (tmp_path / 'a/up').symlink_to('..')
  (tmp_path / 'a/self').symlink_to('.')
  (tmp_path / 'a/other').symlink_to('../b')
  (tmp_path / 'b/other').symlink_to('../a')
  assert list(pairs.find_images(tmp_path / 'a')) == ['other/x', 'x']


def test_list_that_is_no_text(tmp_path):
  (tmp_path / 'train.txt').write_bytes(b'\xff\xfe')
  told(lambda: pairs.read_list(tmp_path / 'train.txt'), 'train.txt', 'not text in UTF-8')
  told(lambda: pairs.read_list(tmp_path / 'no.txt'), 'no.txt', 'No such file')


def test_file_that_is_no_video(tmp_path, monkeypatch):
  class FFmpegError(Exception):
    pass

  def refuse(name):
    raise FFmpegError('moov atom not found')

  monkeypatch.setitem(
    sys.modules,
    'av',
    types.SimpleNamespace(open=refuse, error=types.SimpleNamespace(FFmpegError=FFmpegError)),
  )
  told(
    lambda: next(read_frames(tmp_path / 'x.mp4')), 'x.mp4 cannot be read as a video', 'moov atom'
  )


# ---------------------------------------------------------------------------- labels


def test_class_table_that_is_no_text(tmp_path):
  (tmp_path / 'x.txt').write_bytes(b'\xff')
  told(lambda: read_class_table(str(tmp_path / 'x.txt')), 'x.txt', 'UTF-8')


def test_identity_that_is_no_number():
  told(lambda: coco.number({'id': 1.5}, 'id'), "{'id': 1.5} has id = 1.5", 'an integer')


def test_category_that_the_file_lacks():
  told(
    lambda: coco.category_name({'id': 3, 'category_id': 9}, {1: 'car'}),
    'annotation 3 has the category_id 9',
    "not in 'categories'",
  )


def test_panoptic_picture_of_another_size(tmp_path):
  save(tmp_path / 'a.png', np.zeros((2, 3, 3)))
  annotation = {'file_name': 'a.png', 'segments_info': []}
  told(
    lambda: coco.segments(tmp_path / 'x.json', annotation, {}, (5, 6)),
    'a.png is (3, 2), expected is (6, 5)',
  )


def test_stencil_in_colours():
  file = io.BytesIO()
  Image.new('RGB', (2, 2)).save(file, 'PNG')
  shape = {'mask': base64.b64encode(file.getvalue()).decode()}
  stencil = labelme.stencil(((0, 0), (1, 1)), shape)
  told(lambda: stencil.paint(Image.new('L', (4, 4)), 1), 'a picture in colours', 'grey')


def test_annotation_files_that_cannot_be_read(tmp_path):
  told(lambda: export.read_json(tmp_path / 'no.json'), 'cannot be read (No such file')
  told(lambda: cvat.parse_xml(tmp_path / 'no.xml'), 'no.xml cannot be read', '--input')


def test_masks_and_classes_that_cannot_be_written(tmp_path, refused):
  told(
    lambda: convert.write_classes(tmp_path / 'new/classes.txt', 'ab', [None] * 2, False),
    'new/classes.txt cannot be written (Permission denied)',
    '--output',
  )
  palette = [0] * 768
  told(
    lambda: convert.save_mask(np.zeros((2, 2), np.uint8), palette, tmp_path / 'new/a.png'),
    'new/a.png cannot be written (Permission denied)',
    '--output',
  )


# --------------------------------------------------------------------------- weights


def test_weights_that_cannot_be_written(tmp_path, refused):
  told(lambda: write_file(tmp_path / 'new/x.safetensors', {}), 'cannot be written')
  told(lambda: write_weights(tmp_path / 'new' / 'x', {}, {}), '--output=', 'cannot be written')


def test_a_tensor_alone_is_no_state_dict(tmp_path):
  torch = pytest.importorskip('torch')
  torch.save(torch.ones(2), tmp_path / 'x.pth')
  told(lambda: read_file(tmp_path / 'x.pth'), 'holds one ndarray', 'a state dict')


# ------------------------------------------------------------------------------ runs


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
  """The folder of a run, without its arrays."""
  run = tmp_path_factory.mktemp('run')
  layout.open_run(run, toy.config('DATA').to_dict())
  classes = {'names': toy.CLASSES, 'palette': [[0, 0, 0], [1, 1, 1], [2, 2, 2]]}
  (run / 'classes.json').write_text(json.dumps(classes))
  layout.write_split(run, ['a'], ['b'])
  return run


def test_network_that_a_run_does_not_have(finished, monkeypatch):
  monkeypatch.setattr(load, 'load_networks', lambda *_: (3, {'student': {}, 'teacher': {}}))
  told(lambda: load.open_weights(finished, network='fused'), 'has no fused', 'student, teacher')


def test_export_of_a_run_of_many_sizes(finished, tmp_path):
  run = shutil.copytree(finished, tmp_path / 'run')
  config = json.loads((run / 'config.json').read_text())
  config['data']['crop'] = []
  (run / 'config.json').write_text(json.dumps(config))
  told(lambda: exporter.export(run, tmp_path / 'out'), 'many sizes', '--size=HEIGHT,WIDTH')


@pytest.mark.parametrize(
  'name, change, parts',
  [
    ('config.json', lambda x: [x], ['no JSON object']),
    ('config.json', lambda x: x.pop('steps') and x, ["steps is 'None'"]),
    ('config.json', lambda x: {**x, 'eval': 3}, ["eval is '3'"]),
    ('config.json', lambda x: x['optim'].pop('rule') and x, ["optim.rule is 'None'"]),
    ('config.json', lambda x: {**x, 'log_every': 1.5}, ["log_every is '1.5'"]),
    ('config.json', lambda x: {**x, 'method': {'name': 'x'}}, ["method.name is 'x'"]),
    ('config.json', lambda x: {**x, 'seed': -1}, ['config.seed is -1']),
    ('config.json', lambda x: {**x, 'a.b': 1}, ["'a.b' is no name of a field"]),
    ('classes.json', lambda x: {**x, 'palette': x['palette'][1:]}, ['as many names as colours']),
    ('classes.json', lambda x: {**x, 'names': [1, 2, 3]}, ['as many names as colours']),
  ],
)
def test_damaged_files_of_a_run(finished, tmp_path, name, change, parts):
  run = shutil.copytree(finished, tmp_path / 'run')
  content = json.loads((run / name).read_text())
  (run / name).write_text(json.dumps(change(content)))
  reader = read_config if name == 'config.json' else layout.read_classes
  told(lambda: reader(run), run / name, 'is damaged', *parts)


def test_split_that_cannot_be_read(finished, tmp_path):
  told(lambda: layout.read_split(tmp_path, 'labeled'), 'labeled.txt cannot be read')


def test_evaluation_of_other_classes(finished, tmp_path):
  run = shutil.copytree(finished, tmp_path / 'run')
  result = {
    'step': 1,
    'images': 1,
    'pixels': 1,
    'miou': 0.5,
    'protocol': '',
    'split': '',
    'network': 'student',
    'devices': '',
    'networks': {'student': {'miou': 0.5, 'iou': {}}},
  }
  (run / 'eval').mkdir()
  (run / 'eval/1.json').write_text(json.dumps(result))
  told(lambda: read_run(run), 'eval/1.json is damaged', 'no IoU of each class')
