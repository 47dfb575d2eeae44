"""Prepares Cityscapes from its archives with the TFDS `cityscapes/semantic_segmentation`.

Preparing unpacks the archives temporarily and needs TensorFlow, but no network. The prepared files
are read without TensorFlow.

Synopsis:

    missing_archives(Path('Cityscapes'))                         # [] if both exist
    train, val = open_pairs(Path('Cityscapes'), Path('CACHE'))   # Pairs
"""

from collections.abc import Iterator
import functools
from pathlib import Path
import stat
import tempfile
import zipfile

from classmix_jax.data.files.archives import check_growth
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.data.files.tfds_prepare import Builder, needs_tfds, open_prepared, prepare
from classmix_jax.data.files.tfds_records import record_names, record_pairs
from classmix_jax.datasets.cityscapes.folders import IMAGE, LABEL_ID
from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed

ARCHIVES = ('leftImg8bit_trainvaltest.zip', 'gtFine_trainvaltest.zip')
MAX_GROWTH = 20  # PNGs hardly shrink in an archive, but the JSON files of polygons do


def missing_archives(base: Path) -> list[Path]:
  """Returns the paths of missing archives."""
  return [base / archive for archive in ARCHIVES if not (base / archive).is_file()]


def is_prepared(cache: Path) -> bool:
  """Returns whether `cache` has prepared files, without importing TFDS."""
  return any(cache.glob('cityscapes/semantic_segmentation/*/dataset_info.json'))


def open_pairs(base: Path, cache: Path) -> tuple[Pairs, Pairs]:
  """Returns training and validation pairs; prepares missing ones in `cache` first.

  Raises:
    UserError: an archive is incomplete, the cache is damaged or cannot be written, or a package
      is missing.

  Example: `train, val = open_pairs(Path('Cityscapes'), Path('CACHE'))`.
  """
  with needs_tfds('cityscapes'):
    import tensorflow_datasets as tfds  # here, because it takes seconds and is optional

    make_builder = functools.partial(
      tfds.builder_cls('cityscapes'), config='semantic_segmentation', data_dir=str(cache)
    )
    builder = open_prepared(
      make_builder, functools.partial(_prepare, base, cache), cache, 'config.data.tfds_dir'
    )
  return _pairs(builder, 'train'), _pairs(builder, 'validation')


def _prepare(base: Path, cache: Path, builder: Builder) -> None:
  check_archives(base)
  cache.mkdir(parents=True, exist_ok=True)
  with tempfile.TemporaryDirectory(prefix='unpacked_', dir=cache) as unpacked:
    prepare(
      builder,
      f'Preparing {" and ".join(ARCHIVES)} in {builder.data_dir} (once; takes a while)',
      'Prepared Cityscapes',
      manual_dir=str(base),
      extract_dir=unpacked,
    )


def _pairs(builder: Builder, split: str) -> Pairs:
  stems = record_names(builder, split, 'image_id')
  names = [f'{stem.split("_")[0]}/{stem}' for stem in stems]  # CITY/CITY_..., as in the directories
  return record_pairs(builder, split, names, image='image_left', mask='segmentation_label')


def check_archives(base: Path) -> None:
  """Raises UserError if the archives are incomplete, which TFDS reports incomprehensibly.

  Example: `check_archives(Path('Cityscapes'))`.
  """
  images, masks = (set(_members(base / archive)) for archive in ARCHIVES)
  for split in ('train', 'val', 'test'):  # TFDS reads all three
    expected = {name for name in images if name.startswith(f'{split}/') and name.endswith(IMAGE)}
    if not expected:
      raise UserError(
        f'{base / ARCHIVES[0]} holds no leftImg8bit/{split}/CITY/*{IMAGE}.png: it is not the '
        'archive that Cityscapes publishes. Download it again, or unpack it and set '
        "--config.data.reader='folders'."
      )
    bare = sorted(expected - {name.removesuffix(LABEL_ID) + IMAGE for name in masks})
    if bare:
      raise UserError(
        f'{base / ARCHIVES[1]} holds no labels for {len(bare)} of {len(expected)} images of '
        f'{split}: {listed(bare, 3)}. Download it again.'
      )


def _members(archive: Path) -> Iterator[str]:
  """Yields 'SPLIT/CITY/NAME' without extension for every PNG in an archive."""
  try:
    with zipfile.ZipFile(archive) as opened:
      check_growth(archive, opened, MAX_GROWTH)
      links = [
        member.filename for member in opened.infolist() if stat.S_ISLNK(member.external_attr >> 16)
      ]
      if links:
        raise UserError(
          f'{archive} holds the link {links[0]}, as the archive that Cityscapes publishes does '
          'not: download it again.'
        )
      for member in opened.namelist():
        if member.endswith('.png'):
          yield member.partition('/')[2].removesuffix('.png')
  except zipfile.BadZipFile as error:
    raise UserError(
      f'{archive} is no complete archive ({error}; {archive.stat().st_size} bytes): download '
      'it again.'
    ) from None
