"""Sets that TensorFlow Datasets prepares once as ArrayRecord files; read without tf.data.

Synopsis:

    builder = open_prepared(make, make_files, Path('DIR'), 'config.data.root')
    names = record_names(builder, 'train', 'name')
    pairs = record_pairs(builder, 'train', names, image='image', mask='label')
    source = paired_source(pairs, decoding, size=(512, 1024))

The records hold pictures as the bytes of their files, so they decode exactly as files do.
"""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import fcntl
import importlib.util
import io
import json
import os
from pathlib import Path
import shutil
import time
from typing import Any

from classmix_jax.data.files.image_io import Encoded
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.errors import UserError

Builder = Any  # a tfds.core.DatasetBuilder; tensorflow_datasets is only imported when needed
# What TensorFlow Datasets does not read without.
IMPORTED = ('tensorflow_datasets', 'array_record', 'importlib_resources', 'tensorflow')
REMEDY = 'Remove that folder and start again.'


# -------------------------------------------------------------------- preparing


@contextlib.contextmanager
def needs_tfds(dataset: str) -> Iterator[None]:
  """Turns the lack of a package into a UserError that says how to install it.

  TFDS logs the lack of a package that it imports, and goes on without most of itself; so these
  are looked up first.
  """
  missing = [name for name in IMPORTED if importlib.util.find_spec(name) is None]
  if missing:
    raise _lack(dataset, missing)
  try:
    yield
  except ImportError as error:
    raise _lack(dataset, [error.name or IMPORTED[0]]) from error


def _lack(dataset: str, modules: Sequence[str]) -> UserError:
  """Returns the error that names the packages of these modules."""
  packages = ' '.join(name.partition('.')[0].replace('_', '-') for name in modules)
  return UserError(
    f"dataset '{dataset}' needs packages that are not installed: pip install {packages}."
  )


def open_prepared(
  make: Callable[[], Builder],
  make_files: Callable[[Builder], None],
  folder: Path,
  option: str,
) -> Builder:
  """Returns a builder whose files exist; has them made where they do not.

  Args:
    make: returns a new builder, which reads what its folder holds.
    make_files: called with a builder that has no files yet; see `prepare`.
    folder: the folder of the builder.
    option: the config field that names the folder.

  Raises:
    UserError: the folder cannot be written.

  Example: `open_prepared(make, make_files, Path('DIR'), 'config.data.root')`.
  """
  try:
    builder = make()
    if not builder.data_path.exists():
      with _alone(Path(builder.data_path)):
        builder = make()
        if not builder.data_path.exists():
          make_files(builder)
          builder = make()
  except OSError as error:
    raise UserError(
      f'{folder} cannot hold the prepared data set ({error}): set --{option}=DIR to a folder '
      'that can be written.'
    ) from error
  return builder


@contextlib.contextmanager
def _alone(place: Path) -> Iterator[None]:
  """Lets one process at a time make a folder; what killed ones have left of it is removed."""
  place.parent.mkdir(parents=True, exist_ok=True)
  with open(place.parent / f'.{place.name}.lock', 'w') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    for left in place.parent.glob(f'incomplete.*_{place.name}'):
      shutil.rmtree(left, ignore_errors=True)
    yield


def prepare(builder: Builder, begin: str, end: str, **options: Any) -> None:
  """Makes the files in a temporary folder that gets its name when all are written.

  Args:
    builder: whose files do not exist.
    begin: printed before.
    end: printed after, with the seconds that it took.
    **options: of `tfds.download.DownloadConfig`, e.g. `manual_dir`.

  Raises:
    OSError: the folder cannot be written, and no other process has made the files.

  Example: `prepare(builder, 'Rendering 2 scenes', 'Rendered 2 scenes')`.
  """
  import tensorflow_datasets as tfds

  print(begin, flush=True)
  start = time.monotonic()
  config = tfds.download.DownloadConfig(try_download_gcs=False, **options)
  try:
    with contextlib.redirect_stdout(io.StringIO()):  # TFDS speaks of a download; there is none
      builder.download_and_prepare(download_config=config, file_format='array_record')
  except OSError:
    if not builder.data_path.exists():  # else another process was faster: take its files
      raise
  print(f'{end} in {time.monotonic() - start:.1f} s', flush=True)


def damaged(where: object, error: object) -> UserError:
  return UserError(f'{where} is damaged ({error}). {REMEDY}')


# ---------------------------------------------------------------------- reading


def _records(builder: Builder, split: str) -> Sequence:
  """Returns random access to a split, with pictures as bytes."""
  import tensorflow_datasets as tfds

  if split not in builder.info.splits:
    raise damaged(builder.data_dir, f'it lists no split {split}')
  file_format = builder.info.file_format.value
  if file_format != 'array_record':
    raise UserError(
      f'{builder.data_dir} was prepared as {file_format}; expected is array_record. Set '
      '--config.data.tfds_dir=DIR to another folder.'
    )
  raw = {
    name: tfds.decode.SkipDecoding()
    for name, feature in builder.info.features.items()
    if isinstance(feature, tfds.features.Image)
  }
  try:
    return builder.as_data_source(split, decoders=raw)
  except (OSError, AssertionError, ValueError) as error:
    raise damaged(builder.data_dir, error) from error


def record_names(builder: Builder, split: str, feature: str) -> list[str]:
  """Returns the names that a split's records carry, in the order of the records.

  TFDS shuffles what it writes, and a name can only be had by reading its whole record. So
  all are read once, and kept in `names_SPLIT.json` beside the records.

  Args:
    builder: whose files exist.
    split: e.g. 'train'.
    feature: the text feature with the name.

  Raises:
    UserError: the files are damaged.

  Example: `record_names(builder, 'train', 'image_id')`.
  """
  records = _records(builder, split)
  path = Path(builder.data_dir, f'names_{split}.json')
  with contextlib.suppress(OSError, ValueError):
    names = json.loads(path.read_text(encoding='utf-8'))
    if len(names) == len(records):
      return names
  names = [
    _field(records, index, feature, builder.data_dir).decode() for index in range(len(records))
  ]
  with contextlib.suppress(OSError):  # a folder that cannot be written: read again next time
    temporary = path.with_suffix(f'.{os.getpid()}')
    temporary.write_text(json.dumps(names), encoding='utf-8')
    temporary.replace(path)
  return names


def record_pairs(
  builder: Builder, split: str, names: Sequence[str], image: str, mask: str
) -> Pairs:
  """Returns the pairs of a split, sorted by name; a picture is read when it is indexed.

  Args:
    builder: whose files exist.
    split: e.g. 'train'.
    names: of the examples, in the order of the records.
    image: the feature with the encoded image.
    mask: the feature with the encoded mask.

  Raises:
    UserError: the files are damaged.

  Example: `record_pairs(builder, 'train', names, image='image', mask='label')`.
  """
  order = sorted(range(len(names)), key=lambda index: names[index])
  ordered = tuple(names[index] for index in order)
  records = _records(builder, split)
  pictures = Pictures(records, image, tuple(order), ordered, str(builder.data_dir))
  return Pairs(ordered, pictures, dataclasses.replace(pictures, feature=mask))


@dataclasses.dataclass(frozen=True)
class Pictures(Sequence[Encoded]):
  """The pictures of one feature, in the order of their names.

  Attributes:
    records: random access to the prepared examples.
    feature: which of their features.
    order: the record of every example.
    names: one per example, for messages.
    where: the folder, for messages.
  """

  records: Sequence
  feature: str
  order: tuple[int, ...]
  names: tuple[str, ...]
  where: str

  @property
  def version(self) -> str:
    """Changes when the set is prepared anew, see `types.Source.version`."""
    written = Path(self.where, 'dataset_info.json').stat().st_mtime_ns
    return f'{self.where} {self.feature} {written}'

  def __len__(self) -> int:
    return len(self.order)

  def __getitem__(self, index: int) -> Encoded:
    data = _field(self.records, self.order[index], self.feature, self.where)
    where = f"{self.feature} of '{self.names[index]}' in {self.where}"
    return Encoded(data, where, f'If the original is in order: {REMEDY}')


def _field(records: Sequence, index: int, feature: str, where: object) -> bytes:
  try:
    return records[index][feature]
  except (OSError, RuntimeError, ValueError) as error:  # files cut short or altered
    raise damaged(where, error) from error
