"""Checks files by their headers, and checks paths and options of data sets.

Synopsis:

    check_exists('DIR', ['DIR/train', 'DIR/val'], layout='train/ and val/')
    check_pairs(pairs, decoding)
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from classmix_jax.data.files.decoding import Decoding
from classmix_jax.data.files.findings import Finding, keeps_findings, raise_findings
from classmix_jax.data.files.image_io import Header, read_header
from classmix_jax.data.files.mask_messages import lossy_error
from classmix_jax.data.files.open_image import File
from classmix_jax.data.files.pairs import Pairs
from classmix_jax.data.files.turning import advise_turning, turned_size
from classmix_jax.data.source import Source
from classmix_jax.errors import UserError


def check_pairs(pairs: Pairs, decoding: Decoding) -> None:
  """Compares the sizes of all images and masks by their headers, without decoding them.

  Args:
    pairs: images and masks.
    decoding: of the masks.

  Raises:
    UserError: a file is not an image, a mask is in a lossy format that `decoding` does not read,
      or it has another size than its image; the message has both files and both sizes.
  """
  if keeps_findings():
    return
  findings = []
  for name, image, mask in zip(*pairs, strict=True):
    try:
      check_fit(image, read_header(image), mask, read_header(mask), decoding)
    except UserError as error:
      findings.append(Finding.of(name, error))
  raise_findings(findings, len(pairs.names), 'pairs')


def file_pairs(source: Source) -> Pairs:
  """Returns the image and mask files of a source; empty if its images are not files."""
  files, mask = source.files, source.files and source.files.mask
  if files is None or mask is None or not len(source):
    return Pairs((), (), ())
  if not isinstance(files.image(0), str | Path):
    return Pairs((), (), ())
  indices = range(len(source))
  return Pairs(source.names, [files.image(i) for i in indices], [mask(i) for i in indices])


def image_files(source: Source) -> list[str]:
  """Returns the paths of a source's images in order; empty if they are not files."""
  if source.files is None or not len(source):
    return []
  if not isinstance(source.files.image(0), str | Path):
    return []
  return [str(source.files.image(index)) for index in range(len(source))]


def check_fit(
  image: File, image_header: Header, mask: File, mask_header: Header, decoding: Decoding
) -> None:
  """Raises UserError if a mask does not fit its image, by their headers.

  Example: `check_fit('a.jpg', read_header('a.jpg'), 'a.png', read_header('a.png'), decoding)`.
  """
  if mask_header.lossy and not decoding.reads_lossy:
    raise lossy_error(mask, mask_header.lossy, decoding)
  size, turned = mask_header.size, turned_size(image_header, mask_header)
  if decoding.turns_masks:
    size, turned = turned, size
  if image_header.size == size:
    return
  kind = 'masks of another size'
  remedy = 'Export the mask again at the size of its image.'
  if image_header.size == turned:
    kind = 'masks that are not turned with their image'
    remedy = f'The image is turned by its EXIF tag: {advise_turning(decoding)}'
  sizes = [f'{width}x{height}' for height, width in (size, image_header.size)]
  raise UserError(f'{mask} is {sizes[0]}, {image} is {sizes[1]} (width x height). {remedy}', kind)


def check_exists(root: str, paths: Iterable[str | Path], layout: str) -> None:
  """Raises a UserError that lists every missing path, and the option to set.

  Example: `check_exists('DIR', ['DIR/train'], layout='train/ and val/')`.
  """
  remedy = f'Set --config.data.root=DIR to a directory with {layout}.'
  if not root:
    raise UserError(f'config.data.root is empty. {remedy}')
  if not Path(root).is_dir():
    raise UserError(f'{root} is not a directory. {remedy}')
  missing = [str(path) for path in paths if not Path(path).exists()]
  if missing:
    raise UserError(f'Missing: {", ".join(missing)}. {remedy}')


def check_choice(field: str, value: str, choices: Sequence[str]) -> None:
  """Raises UserError if an option has a value that is not among the choices.

  Example: `check_choice('config.data.reader', 'zip', ('folders', 'tfds'))`.
  """
  if value not in choices:
    raise UserError(f'{field} is {value!r}; choose one of {", ".join(map(repr, choices))}.')
