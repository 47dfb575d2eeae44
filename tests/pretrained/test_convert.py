"""Conversion in both directions, on networks with one block per layer; the program."""

import json
from pathlib import Path
import subprocess
import sys

import numpy as np
import pytest
import state_dicts
from state_dicts import save
import toy
from toy import assert_says

from classmix_jax.errors import UserError
from classmix_jax.pretrained import convert as program
from classmix_jax.pretrained import known_files
from classmix_jax.pretrained.convert import convert_to_directory, convert_to_file
from classmix_jax.pretrained.converted_directory import read_weights, write_weights
from classmix_jax.pretrained.load import open_weights
from classmix_jax.pretrained.state_dict_files import read_file

PROGRAM = Path(__file__).resolve().parents[2] / 'launch' / 'convert.py'
DEEPLAB = {'backbone': 'resnet_small', 'head': 'deeplab_v2_four_branches'}


@pytest.fixture(autouse=True)
def networks(monkeypatch):
  state_dicts.add_networks(monkeypatch)


def convert(tensors, tmp_path, name='x.safetensors', **options):
  """Writes tensors, converts the file into tmp_path / 'weights', returns that."""
  weights = open_weights(save(tmp_path / name, tensors))
  convert_to_directory(weights, tmp_path / 'weights', **{**DEEPLAB, **options})
  return tmp_path / 'weights'


def assert_same_bits(tensors, others):
  assert tensors.keys() == others.keys()
  for name, x in tensors.items():
    assert (x.dtype, x.shape) == (others[name].dtype, others[name].shape), name
    assert x.tobytes() == others[name].tobytes(), name


@pytest.mark.parametrize(
  'name, ending',
  [('x.safetensors', '.safetensors'), ('x.pth', '.safetensors'), ('x.safetensors', '.pth')],
)
def test_there_and_back_is_the_same_bits(name, ending, tmp_path, capsys):
  tensors = state_dicts.deeplab_v2(5)
  tensors['conv1.weight'][0, 0, 0, :3] = np.nan, -0.0, 1e-42  # bits, not values
  counters = {'bn1.num_batches_tracked': np.array(7)}
  directory = convert({**tensors, **counters}, tmp_path, name)
  assert_says(
    capsys.readouterr().out,
    f'matched {len(tensors)} of {len(tensors)} tensors',
    '1 num_batches_tracked',
  )
  save(tmp_path / f'probe{ending}', {'a': np.ones(1)})  # skips without the package
  convert_to_file(open_weights(directory), tmp_path / f'back{ending}')
  assert_same_bits(tensors, read_file(tmp_path / f'back{ending}'))


def test_the_directory_names_its_origin(tmp_path):
  directory = convert(state_dicts.deeplab_v2(7), tmp_path, 'mine.safetensors')
  described = json.loads((directory / 'weights.json').read_text())
  assert len(described.pop('sha256')) == 64
  assert described == {
    'backbone': 'resnet_small',
    'head': 'deeplab_v2_four_branches',
    'num_classes': 7,
    'preprocessing': 'caffe',
    'trained_on': '',
    'layout': 'deeplab_v2',
    'source': 'mine.safetensors',
    'matched': 93,
    'expected': 93,
  }
  tree, _ = read_weights(directory)
  assert tree['params']['head']['dilation24']['kernel'].shape == (3, 3, 2048, 7)
  assert tree['batch_stats']['backbone']['layer2_0']['bn_shortcut']['var'].shape == (512,)
  assert {path.name for path in tmp_path.iterdir()} == {'mine.safetensors', 'weights'}


@pytest.mark.parametrize('backbone, block', state_dicts.TORCHVISION)
def test_classifiers_are_left_out(backbone, block, tmp_path, capsys):
  tensors = state_dicts.torchvision(block)
  directory = convert(tensors, tmp_path, backbone=backbone)
  assert_says(
    capsys.readouterr().out,
    'unexpected   2: fc.bias, fc.weight',
    'missing      8: head.dilation12.bias, ',
    'the file has no such head: it is initialized from scratch',
  )
  tree, described = read_weights(directory)
  assert described['preprocessing'] == 'imagenet' and described['head'] == ''
  assert set(tree['params']) == {'backbone'}  # no made-up head
  np.testing.assert_array_equal(
    tree['params']['backbone']['conv1']['kernel'][4, 5, 2, 63], tensors['conv1.weight'][63, 2, 4, 5]
  )


def test_a_head_for_other_classes_is_reported_and_left_out(tmp_path, capsys):
  directory = convert(state_dicts.deeplab_v2(5), tmp_path, num_classes=3)
  assert_says(
    capsys.readouterr().out,
    'wrong shape  8: layer5.conv2d_list.0.bias [5], expected [3], ',
    '[5, 2048, 3, 3], expected [3, 2048, 3, 3]',
    'the head is for 5 classes, not for 3: it is initialized from scratch',
  )
  assert set(read_weights(directory)[0]['params']) == {'backbone'}


def rename(tensors, name):
  tensors[name + '_'] = tensors.pop(name)


def remove(tensors, name):
  del tensors[name]


def reshape(tensors, name):
  tensors[name] = tensors[name][..., None]


@pytest.mark.parametrize('name', ['layer3.0.bn2.running_var', 'layer5.conv2d_list.1.weight'])
@pytest.mark.parametrize(
  'change, kind',
  [(rename, 'missing      1: '), (remove, 'missing      1: '), (reshape, 'wrong shape  1: ')],
)
def test_one_tensor_that_does_not_fit_is_enough(name, change, kind, tmp_path, capsys):
  tensors = state_dicts.deeplab_v2()
  change(tensors, name)
  with pytest.raises(UserError, match='does not contain exactly this network.*--partial'):
    convert(tensors, tmp_path)
  assert_says(capsys.readouterr().out, kind + name)
  assert not (tmp_path / 'weights').exists()


def test_a_partial_file_may_be_asked_for(tmp_path):
  tensors = state_dicts.deeplab_v2()
  remove(tensors, 'layer3.0.conv2.weight')
  directory = convert(tensors, tmp_path, partial=True)
  assert 'conv2' not in read_weights(directory)[0]['params']['backbone']['layer3_0']


@pytest.mark.parametrize('change', ['fewer', 'more'])
def test_another_backbone_is_refused_even_so(change, tmp_path):
  tensors = state_dicts.deeplab_v2()
  if change == 'fewer':
    tensors = {name: x for name, x in tensors.items() if not name.startswith('layer3')}
  else:  # all of the network is there, but the file has another block
    tensors.update({name.replace('layer3.0', 'layer3.1'): x for name, x in tensors.items()})
  with pytest.raises(UserError, match='contains another network: .* of the backbone matches'):
    convert(tensors, tmp_path, partial=True)


def test_an_existing_directory_is_kept(tmp_path):
  (tmp_path / 'weights').mkdir()
  (tmp_path / 'weights' / 'thesis.txt').touch()
  with pytest.raises(UserError, match='weights exists; remove it'):
    convert(state_dicts.deeplab_v2(), tmp_path)


def test_a_crash_leaves_no_half_directory(tmp_path, monkeypatch):
  tree = {'params': {'a': np.ones(2)}, 'batch_stats': {}}
  with monkeypatch.context() as patch:
    patch.setattr('classmix_jax.pretrained.converted_directory.write_atomically', lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
      write_weights(tmp_path / 'weights', tree, {'source': 'x'})
  assert not (tmp_path / 'weights').exists()
  write_weights(tmp_path / 'weights', tree, {'source': 'x'})  # the rest is cleared away
  assert [path.name for path in tmp_path.iterdir()] == ['weights']


def test_known_files_by_content_and_by_name(tmp_path, monkeypatch, capsys):
  path = save(tmp_path / 'renamed.safetensors', state_dicts.torchvision())
  unknown = open_weights(path)
  assert (unknown.trained_on, unknown.preprocessing) == ('', 'imagenet')
  entry = known_files.KnownFile('published.safetensors', 'COCO', 'torchvision', 'classmix_voc')
  monkeypatch.setitem(known_files.KNOWN_FILES, unknown.sha256[:8], entry)
  weights = open_weights(path)
  assert (weights.trained_on, weights.preprocessing, weights.warning) == (
    'COCO',
    'classmix_voc',
    '',
  )
  damaged = save(tmp_path / 'published.safetensors', state_dicts.torchvision(state_dicts.basic))
  weights = open_weights(damaged)
  assert weights.trained_on == 'COCO'
  assert_says(
    weights.warning,
    'published.safetensors is not the published file',
    'damaged?',
    weights.sha256[:8],
    unknown.sha256[:8],
  )


@pytest.mark.parametrize(
  'dataset, expected',
  [
    ('cityscapes', ('Cityscapes', 'classmix_cityscapes')),
    ('pascal_voc', ('PASCAL VOC', 'classmix_voc')),
    ('other', ('', 'caffe')),
  ],
)
@pytest.mark.parametrize('prefix', ['', 'module.'])
def test_checkpoints_of_the_original(dataset, expected, prefix, tmp_path):
  torch = pytest.importorskip('torch', reason=state_dicts.NEEDED)
  student = state_dicts.deeplab_v2(5)
  networks = {'model': student, 'ema_model': {name: x + 1 for name, x in student.items()}}
  torch.save(
    {
      'iteration': 40000,
      'config': {'dataset': dataset},
      **{
        key: {prefix + name: torch.from_numpy(x) for name, x in tensors.items()}
        for key, tensors in networks.items()
      },
    },
    tmp_path / 'best_model.pth',
  )
  for key, network in (('model', ''), ('model', 'student'), ('ema_model', 'teacher')):
    weights = open_weights(tmp_path / 'best_model.pth', network=network)
    assert (weights.trained_on, weights.preprocessing) == expected
    assert_same_bits(networks[key], weights.tensors)


@pytest.mark.parametrize(
  'options, sentence',
  [
    ({'layout': 'keras'}, '--layout=keras is not known; there are deeplab_v2, torchvision'),
    ({'preprocessing': 'rgb'}, '--preprocessing=rgb is not known; there are plain, imagenet'),
    ({'network': 'teacher'}, 'contains a single network'),
  ],
)
def test_mistakes_in_options(options, sentence, tmp_path):
  with pytest.raises(UserError, match=sentence):
    open_weights(save(tmp_path / 'x.safetensors', state_dicts.torchvision()), **options)


def test_unknown_names_are_an_error(tmp_path):
  path = save(tmp_path / 'x.safetensors', {'encoder.weight': np.ones(2)})
  with pytest.raises(UserError, match='tensors like encoder.weight, which belong to none'):
    open_weights(path)
  with pytest.raises(UserError, match='neither the directory of a run or of converted weights'):
    open_weights(tmp_path)


def test_every_network_of_the_tables_can_be_named():
  """In every layout, all arrays have different names."""
  for backbone in ('tiny', 'resnet_small', 'resnet_basic', 'dinov2_small_reg4'):
    for head in program.HEADS:
      if head.startswith('dpt') and not backbone.startswith('dinov2'):  # four levels of one size
        continue
      paths = [path for path, _ in state_dicts.leaves(program.compute_shapes(backbone, head, 3))]
      for layout in program.LAYOUTS.values():
        assert len({layout.tensor_name(path) for path in set(paths)}) == len(paths)


def run_program(*arguments):
  return subprocess.run(
    [sys.executable, str(PROGRAM), *map(str, arguments)],
    capture_output=True,
    text=True,
    timeout=300,
  )


def test_the_program_there_and_back_and_refused(tmp_path):
  layout = program.LAYOUTS['torchvision']
  tensors = state_dicts.in_layout(layout, program.compute_shapes('tiny', '', 1))
  path, directory = tmp_path / 'x.safetensors', tmp_path / 'weights'
  save(path, {**tensors, 'fc.bias': np.ones(10, np.float32)})
  options = ['--backbone=tiny', '--layout=torchvision']
  ended = run_program(f'--input={path}', f'--output={directory}', *options)
  assert ended.returncode == 0, ended.stderr
  assert_says(ended.stdout, f'matched {len(tensors)} of {len(tensors)} tensors', '1: fc.bias')
  ended = run_program(f'--input={directory}', f'--output={tmp_path / "back.safetensors"}')
  assert ended.returncode == 0, ended.stderr
  assert_same_bits(tensors, read_file(tmp_path / 'back.safetensors'))

  rename(tensors, 'conv_merge.weight')
  save(path, tensors)
  ended = run_program(f'--input={path}', f'--output={tmp_path / "other"}', *options)
  assert ended.returncode == 2 and not (tmp_path / 'other').exists()
  assert_says(
    ended.stdout, 'missing      1: conv_merge.weight', 'unexpected   1: conv_merge.weight_'
  )
  assert_says(ended.stderr, 'error: --input=x.safetensors does not contain exactly this network')
  assert 'Traceback' not in ended.stderr


def test_weights_that_cannot_be_written(tmp_path, monkeypatch):
  toy.deny_writing(monkeypatch)
  toy.assert_fails(
    lambda: write_weights(tmp_path / 'new' / 'x', {}, {}), '--output=', 'cannot be written'
  )
