"""Splits by hand, streams by their invariants, and sources made of sources."""

import hashlib

import numpy as np
import pytest

from classmix_jax.data.sampler import index_stream
from classmix_jax.data.source import Source, cached, concat, subset
from classmix_jax.data.splits import choose_labeled, count_of_fraction, split_hash
from classmix_jax.errors import UserError

NAMES = [f'city/{i:04d}' for i in range(20)]


def make_source(prefix: str, length: int, labels: bool = True) -> Source:
  return Source(
    tuple(f'{prefix}{i}' for i in range(length)),
    lambda i: np.full((2, 3, 3), i, np.uint8),
    (lambda i: np.full((2, 3), i + 100, np.uint8)) if labels else None,
  )


def write(tmp_path, text: str) -> str:
  path = tmp_path / 'ids.txt'
  path.write_text(text)
  return str(path)


def test_splits_of_one_seed_are_nested():
  chosen = [set(choose_labeled(NAMES, n, seed=3).tolist()) for n in range(1, 21)]
  assert [len(c) for c in chosen] == list(range(1, 21))
  assert all(a < b for a, b in zip(chosen, chosen[1:], strict=False))


def test_a_split_is_stable_sorted_and_depends_on_the_seed():
  a = choose_labeled(NAMES, 5, seed=0)
  assert a.dtype == np.int64 and a.tolist() == [1, 7, 9, 13, 17]  # never to change
  assert a.tolist() != choose_labeled(NAMES, 5, seed=1).tolist()
  assert a.tolist() == choose_labeled(NAMES, '5', seed=0).tolist()


def test_the_order_of_the_names_does_not_matter():
  mixed = NAMES[::-1]
  a = [NAMES[i] for i in choose_labeled(NAMES, 5, seed=0)]
  b = [mixed[i] for i in choose_labeled(mixed, 5, seed=0)]
  assert a == b


@pytest.mark.parametrize('labeled', [0, '', '0', 20, '20'])
def test_all_are_chosen(labeled):
  assert choose_labeled(NAMES, labeled, seed=0).tolist() == list(range(20))


@pytest.mark.parametrize(
  'text',
  [
    'city/0003\ncity/0001\n',
    '\n city/0003.png \r\n city/0001.png\n\n',
    '/data/leftImg8bit/train/0003.png /data/gtFine/0003.png\nimages/0001.jpg masks/0001.png',
    '0003\tlabels/0003\n0001\tlabels/0001',
    '\ufeffcity/0003\ncity/0001',
  ],
)
def test_a_file_of_ids(tmp_path, text):
  assert choose_labeled(NAMES, write(tmp_path, text), seed=0).tolist() == [1, 3]


def test_a_whole_name_wins_over_a_stem(tmp_path):
  names = ['a/1', 'b/1', '1', 'with space', 'v1.5']
  path = write(tmp_path, '1\nb/1\nwith space.png\nv1.5.png')
  assert choose_labeled(names, path, seed=0).tolist() == [2, 1, 4, 3]


@pytest.mark.parametrize(
  'labeled, message',
  [
    (21, 'there are 20 training examples'),
    (-1, '1 to 20'),
    ('nowhere/ids.txt', "'nowhere/ids.txt' cannot be read .No such file"),
  ],
)
def test_wrong_counts_and_paths(labeled, message):
  with pytest.raises(UserError, match=message):
    choose_labeled(NAMES, labeled, seed=0)


@pytest.mark.parametrize(
  'text, message',
  [
    ('', 'holds no ids'),
    ('\n \n', 'holds no ids'),
    (
      'a\nb\nc\nd\n0001',
      "4 examples .* 'a', 'b', 'c', ...; names look like 'city/0000', 'city/0001'",
    ),
    ('0001\ncity/0001.png', "1 examples more than once: 'city/0001'"),
  ],
)
def test_wrong_files(tmp_path, text, message):
  with pytest.raises(UserError, match=message):
    choose_labeled(NAMES, write(tmp_path, text), seed=0)


def test_an_ambiguous_stem_a_directory_and_bytes(tmp_path):
  with pytest.raises(UserError, match=r"'1' is ambiguous \('a/1', 'b/1'\)"):
    choose_labeled(['a/1', 'b/1'], write(tmp_path, '1'), seed=0)
  with pytest.raises(UserError, match='directory'):
    choose_labeled(NAMES, str(tmp_path), seed=0)
  (tmp_path / 'x.png').write_bytes(b'\x89PNG\xff')
  with pytest.raises(UserError, match='not a text file'):
    choose_labeled(NAMES, str(tmp_path / 'x.png'), seed=0)


def test_no_names_and_a_negative_seed():
  with pytest.raises(UserError, match='no training examples'):
    choose_labeled([], 0, seed=0)
  with pytest.raises(UserError, match='seed must be 0 or more'):
    choose_labeled(NAMES, 3, seed=-1)


def test_split_hash():
  assert split_hash(['b', 'a']) == hashlib.sha256(b'a\nb').hexdigest()[:8]
  assert split_hash(['a']) != split_hash(['a', 'b'])


def test_every_epoch_is_a_permutation():
  epochs = index_stream(0, 0, 7, 0, 70).reshape(10, 7)
  assert epochs.dtype == np.int64
  assert (np.sort(epochs, axis=1) == np.arange(7)).all()
  assert len({tuple(e) for e in epochs.tolist()}) > 5


def test_a_stream_can_start_anywhere():
  whole = index_stream(5, 1, 7, 0, 40)
  for start in range(40):
    for stop in (start, start + 1, 40):
      np.testing.assert_array_equal(index_stream(5, 1, 7, start, stop), whole[start:stop])


def test_streams_and_seeds_differ():
  streams = [index_stream(*key, 50, 0, 50).tolist() for key in [(0, 0), (0, 1), (1, 0), (1, 1)]]
  assert len({tuple(s) for s in streams}) == 4
  assert index_stream(0, 0, 5, 0, 10).tolist() == [0, 3, 1, 2, 4, 4, 1, 2, 0, 3]  # and so on


def test_wrong_windows():
  with pytest.raises(UserError, match='no examples'):
    index_stream(0, 0, 0, 0, 1)
  with pytest.raises(ValueError, match='start <= stop'):
    index_stream(0, 0, 5, 3, 2)


def test_subset_and_concat():
  a, b = make_source('a', 3), make_source('b', 2)
  both = subset(concat(a, b), np.array([4, 0]))
  assert both.names == ('b1', 'a0') and len(both) == 2
  assert both.read_image(0)[0, 0, 0] == 1 and both.read_label(1)[0, 0] == 100
  assert concat(a, make_source('c', 1, labels=False)).read_label is None
  assert subset(make_source('c', 2, labels=False), [0]).read_label is None
  assert concat(a, a).names == ('a0', 'a1', 'a2', 'a0#2', 'a1#2', 'a2#2')


def test_cached_reads_once_until_it_is_full():
  reads = []

  def read(i):
    reads.append(i)
    return np.full((2, 3, 3), i, np.uint8)

  source = cached(Source(('a', 'b', 'c'), read), cache_gb=2 * 18e-9)  # two images of 18 bytes
  assert source.read_label is None
  for i in (0, 1, 2, 0, 1, 2):
    assert (source.read_image(i) == i).all()
  assert reads == [0, 1, 2, 2]
  with pytest.raises(ValueError, match='read-only'):
    source.read_image(0)[0] = 1


def test_cached_keeps_image_and_label_apart_and_no_errors():
  source = cached(make_source('a', 3), cache_gb=1.0)
  assert source.read_image(1)[0, 0, 0] == 1 and source.read_label(1)[0, 0] == 101
  plain = make_source('a', 3)
  assert cached(plain, 0) is plain

  def fail(i):
    raise UserError(f'file {i}')

  broken = cached(Source(('a',), fail), 1.0)
  for _ in range(2):
    with pytest.raises(UserError, match='file 0'):
      broken.read_image(0)


@pytest.mark.parametrize(
  ('length', 'counts'),
  [
    (2975, {'1/30': 100, '1/16': 186, '1/8': 372, '1/4': 744, '1/2': 1488}),
    (10582, {'1/100': 106, '1/50': 212, '1/20': 529, '1/8': 1323, '1/4': 2646}),
    (1464, {'1/16': 92, '1/8': 183, '1/4': 366, '1/2': 732, '1/1': 1464}),
    (30, {'1/30': 1, '1/100': 1, '3/4': 23}),
  ],
)
def test_fractions_are_the_counts_of_the_literature(length, counts):
  assert {text: count_of_fraction(text, length) for text in counts} == counts


def test_fractions_are_nested():
  names = [f'{i:04d}' for i in range(2975)]
  previous = set()
  for fraction in ('1/30', '1/16', '1/8', '1/4', '1/2', '1/1'):
    chosen = set(choose_labeled(names, fraction, seed=3).tolist())
    assert previous < chosen
    previous = chosen
  assert choose_labeled(names, '1/8', 3).tolist() == choose_labeled(names, 372, 3).tolist()


@pytest.mark.parametrize('fraction', ['3/2', '0/4', '1/0'])
def test_wrong_fractions(fraction):
  with pytest.raises(UserError, match=f"'{fraction}'.*'1/8'"):
    choose_labeled(['a', 'b'], fraction, seed=0)


def test_published_lists_of_cityscapes(tmp_path):
  names = ['aachen/aachen_000000_000019', 'aachen/aachen_000001_000019', 'ulm/ulm_000000_000019']
  (tmp_path / 'list.txt').write_text(
    'leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png '
    'gtFine/train/ulm/ulm_000000_000019_gtFine_labelTrainIds.png\n'
    'aachen_000000_000019_leftImg8bit.png\n'
  )
  assert choose_labeled(names, str(tmp_path / 'list.txt'), seed=0).tolist() == [0, 2]
