"""Reading compiled programs: counts worked out by hand on a program written by hand."""

import json
from pathlib import Path

import compile_all
from compiled.faults import faults
from compiled.hlo import Shape, parse
from compiled.kernels import by_kind, fusion_kinds, is_collective, kernels, model
from compiled.targets import H100, Card, open_devices, text_proto
import pytest

from classmix_jax.cli import gpu_flags
from classmix_jax.methods import METHODS
from classmix_jax.models.backbones import BACKBONES

PROGRAM = (Path(__file__).parent / 'program.txt').read_text(encoding='utf-8')


@pytest.fixture
def program():
  return parse(PROGRAM)


def test_shapes_and_aliases(program):
  assert program.aliases == 2
  assert program.entry['conv'].results == (Shape('bf16', (2, 9, 9, 32)), Shape('u8', (64,)))
  assert program.entry['conv'].bytes == 2 * 2 * 81 * 32 + 64
  assert program.entry['branch'].called == ('first', 'second')


def test_bytes_and_operations_by_hand(program):
  result = {kernel.instruction.name: kernel for kernel in kernels(program)}
  # Of %a only four rows are read.
  assert result['add_fusion'].bytes == 2 * (400 + 400 + 400)
  assert result['gemm_fusion'].operations == 2 * 100 * 20 * 50
  forward = 2 * (2 * 9 * 9 * 32) * (3 * 3 * 16)
  assert result['conv'].operations == forward
  assert result['back'].operations == forward
  assert result['y'].launches == 3 and result['y'].bytes == 80
  assert 'w' in result  # the branch that moves more
  assert is_collective(result['sum'].instruction) and result['sum'].bytes == 80
  assert len(result) == 7


LOOP = """HloModule loop
%slice (p0: f32[8,100], p1: s32[]) -> f32[1,100] {
  %p0 = f32[8,100]{1,0} parameter(0)
  %p1 = s32[] parameter(1)
  ROOT %d = f32[1,100]{1,0} dynamic-slice(%p0, %p1, %p1), dynamic_slice_sizes={1,100}
}
%update (q0: f32[8,100], q1: f32[100], q2: s32[]) -> f32[8,100] {
  %q0 = f32[8,100]{1,0} parameter(0)
  %q1 = f32[100]{0} parameter(1)
  %q2 = s32[] parameter(2)
  %b = f32[1,100]{1,0} bitcast(%q1)
  ROOT %u = f32[8,100]{1,0} dynamic-update-slice(%q0, %b, %q2, %q2)
}
ENTRY %main (a: f32[8,100], r: f32[100], i: s32[]) -> f32[8,100] {
  %a = f32[8,100]{1,0} parameter(0)
  %r = f32[100]{0} parameter(1)
  %i = s32[] parameter(2)
  %s = ((f32[8,100]{1,0}, s32[]), f32[1,100]{1,0}, u32[]) fusion-start(%a, %i), calls=%slice
  %attention = (f32[2,6,50,64]{3,2,1,0}, u8[0]{0}) custom-call(%r, %k), """ + (
  """custom_call_target="__cudnn$fmhaSoftmax"
  %k = f32[2,30,6,64]{3,2,1,0} copy(%a)
  ROOT %f = f32[8,100]{1,0} fusion(%a, %r, %i), kind=kLoop, calls=%update
}
"""
)


def test_slices_and_updates_in_place_move_the_slice():
  """A slice of 100 numbers and an index are read; 100 numbers are written."""
  result = {kernel.instruction.name: kernel for kernel in kernels(parse(LOOP))}
  assert result['s'].bytes == 4 * (100 + 1 + 100)
  assert result['f'].bytes == 4 * (100 + 1 + 100)


def test_operations_of_cudnns_attention():
  """50 queries and 30 keys of 64 channels, 2 images, 6 heads: two products."""
  result = {kernel.instruction.name: kernel for kernel in kernels(parse(LOOP))}
  assert result['attention'].kind == 'attention'
  assert result['attention'].operations == 2 * (2 * 2 * 6 * 50 * 30 * 64)


def test_kinds_of_work(program):
  assert {kernel.instruction.name: kernel.kind for kernel in kernels(program)} == {
    'add_fusion': 'normalise, ReLU, residual',
    'gemm_fusion': 'products',
    'conv': 'convolutions, forward and input gradients',
    'back': 'convolutions, kernel gradients',
    'y': 'update, guard, finiteness',
    'w': 'update, guard, finiteness',
    'sum': 'collectives',
  }
  assert fusion_kinds(program) == {
    'kLoop': 1,
    'kCustom': 1,
    '__cudnn$convForward': 1,
    '__cudnn$convBackwardFilter': 1,
  }


def test_roofline(program):
  card = Card(bandwidth=1e6, operations=1e9, launch=0.0)
  product = [kernel for kernel in kernels(program) if kernel.kind == 'products']
  bytes_moved = 2 * (100 * 50 + 50 * 20 + 100 * 20)
  assert model(product, card).ms == pytest.approx(1000 * bytes_moved / 1e6)
  dear = Card(bandwidth=1e9, operations=1e6, launch=0.0)
  assert model(product, dear).ms == pytest.approx(1000 * 200_000 / 1e6)
  assert model(product, dear, half=False).ms == pytest.approx(2 * 1000 * 200_000 / 1e6)
  groups = by_kind(list(kernels(program)), card)
  assert sum(group.launches for group in groups.values()) == 9
  assert next(iter(groups)) == 'convolutions, forward and input gradients'


def test_a_sound_program_has_no_faults(program):
  assert list(faults(program, largest_kernel=3, donated=2)) == []


@pytest.mark.parametrize(
  'line, word',
  [
    ('%s = (f32[350208]{0}, s32[350208]{0}) sort(%g, %h), dimensions={0}', 'sort of 350,208'),
    ('%s = f32[8192]{0} scatter(%g, %h, %i), to_apply=%second', 'scatter of 8,192'),
    ('%s = f32[9]{0} select-and-scatter(%g, %h, %i), window={size=3}', 'max-pooling'),
    (
      '%s = (f32[5,5,1,8]{3,2,1,0}, u8[0]{0}) custom-call(%g, %h), window={size=20x26 stride=2x2}, '
      'dim_labels=b01f_01io->b01f, custom_call_target="__cudnn$convForward"',
      'window of 26',
    ),
  ],
)
def test_faults_are_found(line, word):
  text = PROGRAM.replace('  %sum = f32[10]', f'  {line}\n  %sum = f32[10]')
  (sentence,) = faults(parse(text), largest_kernel=3, donated=2)
  assert word in sentence


def test_small_sorts_are_no_faults():
  text = PROGRAM.replace(
    '  %sum = f32[10]', '  %s = f32[2,19]{1,0} sort(%g), dimensions={1}\n  %sum = f32[10]'
  )
  assert list(faults(parse(text), largest_kernel=3, donated=2)) == []


def test_state_that_is_copied_is_a_fault(program):
  (sentence,) = faults(program, largest_kernel=3, donated=5)
  assert sentence.startswith('3 of 5 arrays')


def test_target_is_written_as_protobuf():
  text = text_proto(H100)
  assert 'dnn_version_info { major: 9 minor: 10 patch: 0 }' in text
  assert 'feature_extension: ACCELERATED_FEATURES' in text and 'platform_name: "CUDA"' in text


@pytest.mark.parametrize(
  'topology, words',
  [
    ('x9', ['known are h100, v5e, v6e']),
    pytest.param(
      'h100',
      ["pip install '.[aot]'"],
      marks=pytest.mark.skipif(
        gpu_flags.has_cuda(), reason='the plugin for NVIDIA GPUs is installed'
      ),
    ),
  ],
)
def test_what_cannot_be_compiled_for(topology, words):
  with pytest.raises(SystemExit) as error:
    open_devices(topology)
  assert all(word in str(error.value) for word in words)


def test_every_backbone_and_method_is_compiled():
  names = {(one.topology, one.backbone, one.method) for one in compile_all.programs()}
  for backbone in [name for name in BACKBONES if not name.startswith('dinov2')]:
    assert {('h100', backbone, 'supervised'), ('h100', backbone, 'classmix')} <= names
  for topology in ('h100', 'v5e:2x2'):
    assert {(topology, f'dinov2_{size}', 'unimatch_v2') for size in ('small', 'base')} <= names
  assert {('h100', 'tiny', method) for method in METHODS} <= names
  assert {('v5e:2x2', 'resnet101', 'classmix'), ('v5e:2x2', 'tiny', 'classmix')} <= names


def test_rows_have_names_of_their_own_and_stay_when_others_are_compiled(tmp_path):
  names = [one.name for one in compile_all.programs()]
  assert len(set(names)) == len(names)
  path = tmp_path / 'rows.json'

  def row(name, temp):
    return {'name': name, 'temp': temp}

  compile_all.write(path, [row(names[3], 1), row(names[1], 2)])
  compile_all.write(path, [row(names[3], 4), row(names[0], 5)])
  assert json.loads(path.read_text())['rows'] == [
    row(names[0], 5),
    row(names[1], 2),
    row(names[3], 4),
  ]


def test_the_row_of_an_abort_has_the_reason():
  fatal = 'F0000 triton_tiling_propagation.cc:703] Check failed: size == dim (8385 vs. 257)'
  assert compile_all.last_words(f'compiling\n{fatal}\n*** SIGABRT\n') == fatal
  assert compile_all.last_words('a\nb\n\n') == 'b'
  assert compile_all.last_words('') == ''


@pytest.mark.slow
@pytest.mark.skipif(not gpu_flags.has_cuda(), reason="needs pip install '.[aot]'")
def test_resnet18_compiles_for_an_h100():
  row = compile_all.measure(compile_all.Program('h100', 'resnet18', 'classmix', size='64,96'))
  assert row['faults'] == [] and row['kernels'] > 500 and row['teraflop'] > 0
