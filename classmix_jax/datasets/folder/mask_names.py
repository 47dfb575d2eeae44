"""Finds the mask of each image by its name: NAME, NAME_mask, mask_NAME, or another rule.

Synopsis:

    match_masks({'a': Path('a.jpg')}, {'a_mask': Path('a_mask.png')}).masks    # {'a': a_mask.png}
    split_beside([Path('a.jpg'), Path('a_mask.png')], Path('.')).masks

A rule is found in these steps; the first that gives a pair counts.

1. The name is equal, or equal without a word for masks (`_mask`, `gt_`, ...) and, if that is not
   enough, without a word for images (`_rgb`, `img_`, ...).
2. The same in small letters, by the file name without its directories, or by numbers without
   leading zeros.
3. What is left and right of a common part is the same in most pairs: img_1.jpg and 1.png.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
import re
from typing import NamedTuple

from classmix_jax.data.files.find_images import EXTENSIONS, image_name, name_images
from classmix_jax.datasets.folder.affixes import find_affix_pairs
from classmix_jax.errors import UserError
from classmix_jax.utils.text import listed

SEPARATORS = r'[_\-. ]'
MASK_WORDS = (
  r'gtfine_label(?:train)?ids|label_?(?:train)?ids|masks?|labels?|lbl|gts?|ground_?truths?'
  r'|semantic(?:[_ ]segmentation)?|fuse|l|segmentations?|segs?|annotations?'
  r'|annots?|anns?|lesions?|trimaps?|mattes?|manual\d?'
)
IMAGE_WORDS = r'leftimg8bit|images?|imgs?|rgb|sat|photos?|pics?|frames?|inputs?|orig(?:inal)?|raw'
# Drawn for people, or of objects instead of classes.
OTHER_WORDS = (
  r'gtfine_(?:color|instanceids)|colou?r(?:ed)?|overlay|vis|viz|visuali[sz]ation|preview|blend'
  r'|instances?|instance_?ids|polygons'
)
LOSSY_EXTENSIONS = ('.jpg', '.jpeg')


class Matches(NamedTuple):
  """Images with their masks.

  Attributes:
    images: name -> image, of images with and without a mask.
    masks: name of the image -> mask.
    unused: masks without an image, sorted.
  """

  images: Mapping[str, Path]
  masks: Mapping[str, Path]
  unused: Sequence[Path]


def match_masks(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Matches:
  """Returns the images and the masks that belong to them by their names.

  Raises:
    UserError: two masks belong to one image.

  Example: `match_masks({'1': image}, {'1_gt': mask}).masks == {'1': mask}`.
  """
  views: tuple[Callable[[str], str], ...] = (str, str.lower, _base, _without_zeros)
  pairs: dict[str, str] = {}
  for view in views:
    pairs = pairs or _match(images, masks, view)
  for view in views[:2] + views[3:]:
    pairs = pairs or _match_affixes(images, masks, view)
  used = set(pairs.values())
  return Matches(
    images,
    {name: masks[pairs[name]] for name in images if name in pairs},
    [path for name, path in masks.items() if name not in used],
  )


def split_beside(files: Iterable[Path], directory: Path) -> Matches:
  """Separates images from masks beside them: a.jpg and a_mask.png, or a.jpg and a.png.

  Args:
    files: image files below the directory.
    directory: to which names are relative.

  Raises:
    UserError: two masks belong to one image, or two images have one name.

  Example: `split_beside([Path('a.jpg'), Path('a_mask.png')], Path('.')).images` has 'a'.
  """
  files = list(files)
  by_name: dict[str, list[Path]] = {}
  for path in sorted(files):
    by_name.setdefault(image_name(path, directory), []).append(path)
  words = _mask_words(by_name)
  if words:
    is_mask = {name: any(word in words for word, _ in _cuts(name, MASK_WORDS)) for name in by_name}
    others = {
      name
      for name in by_name
      if not is_mask[name] and any(key in by_name for _, key in _cuts(name, OTHER_WORDS))
    }
    kinds: dict[bool, list[Path]] = {True: [], False: []}
    for name, paths in by_name.items():
      if name not in others:
        kinds[is_mask[name]] += paths
    matches = match_masks(name_images(kinds[False], directory), name_images(kinds[True], directory))
    unused = [*matches.unused, *(path for name in sorted(others) for path in by_name[name])]
    return matches._replace(unused=unused)
  masks = _lossless_twins(by_name)
  images = [path for path in files if path not in set(masks.values())]
  return Matches(name_images(images, directory), masks, [])


def is_drawn(path: Path) -> bool:
  """Returns whether a file is a picture of a mask, drawn for people, by its name.

  Example: `is_drawn(Path('a_color.png')) and not is_drawn(Path('a_mask.png'))`.
  """
  return any(True for _ in _cuts(path.stem, OTHER_WORDS))


def _mask_words(names: Iterable[str]) -> set[str]:
  """Returns the words for masks that at least one name has beside the name of an image."""
  names = set(names)
  plain = {key for name in names for _, key in _cuts(name, IMAGE_WORDS)}
  return {
    word for name in names for word, key in _cuts(name, MASK_WORDS) if key in names or key in plain
  }


def _lossless_twins(by_name: Mapping[str, Sequence[Path]]) -> dict[str, Path]:
  """Returns name -> a.png where a.jpg has the same name; {} if no pair is one of such files."""
  masks = {}
  for name, paths in by_name.items():
    lossless = [path for path in paths if path.suffix.lower() not in LOSSY_EXTENSIONS]
    if len(paths) == 2 and len(lossless) == 1:
      masks[name] = lossless[0]
  return masks


# --------------------------------------------------------------------------- words


def _match(
  images: Mapping[str, Path], masks: Mapping[str, Path], view: Callable[[str], str]
) -> dict[str, str]:
  """Returns image -> mask by names that are equal but for words for images and masks."""
  keys = {view(name): name for name in images}
  if len(keys) < len(images) or len({view(name) for name in masks}) < len(masks):
    return {}  # such names would be confused
  bare: dict[str, str] = {}
  if not all(view(mask) in keys for mask in masks):
    bare = {rest: name for key, name in keys.items() for _, rest in _cuts(key, IMAGE_WORDS)}
  exact, drawn = {}, {}
  for mask in masks:
    key = view(mask)
    if key in keys:
      exact[mask] = keys[key]
      continue
    rests = [rest for _, rest in _cuts(key, MASK_WORDS)]
    image = next((keys[rest] for rest in rests if rest in keys), None)
    image = image or next((bare[rest] for rest in (*rests, key) if rest in bare), None)
    if image is not None:
      exact[mask] = image
    elif image := _image_of_other(key, keys, bare):
      drawn[mask] = image
  return _invert(exact or drawn, images, masks)


def _image_of_other(key: str, keys: Mapping[str, str], bare: Mapping[str, str]) -> str | None:
  """Returns the image of a mask drawn for people, such as a_color, None if there is none."""
  rests = [rest for _, rest in _cuts(key, OTHER_WORDS)]
  rests += [other for rest in rests for _, other in _cuts(rest, MASK_WORDS)]
  return next(
    (keys.get(rest) or bare[rest] for rest in rests if rest in keys or rest in bare), None
  )


def _invert(
  pairs: Mapping[str, str], images: Mapping[str, Path], masks: Mapping[str, Path]
) -> dict[str, str]:
  """Returns image -> mask of mask -> image; raises UserError if an image has two masks."""
  result: dict[str, str] = {}
  for mask, image in pairs.items():
    if image in result:
      both = sorted([masks[result[image]].name, masks[mask].name])
      raise UserError(
        f'{images[image]} has two masks, {listed(both, 2)} in {masks[mask].parent}: choose by a '
        "pattern below config.data.root, as in --config.data.masks='masks/{name}_mask.png', or "
        'unite or remove one of them.'
      )
    result[image] = mask
  return result


def _cuts(name: str, words: str) -> Iterator[tuple[str, str]]:
  """Yields (word, name without it) for every place of one of the words in the file name.

  Example: `list(_cuts('city/a_mask', MASK_WORDS)) == [('mask', 'city/a')]`.
  """
  directory, slash, base = name.rpartition('/')
  base = _without_extension(base)
  for match in re.finditer(rf'(?i)(?:^|(?<={SEPARATORS}))(?:{words})(?=$|{SEPARATORS})', base):
    head, tail = base[: match.start()], base[match.end() :]
    # a_mask_b is a_b, a_mask and a__mask are a, mask_b is b.
    rest = head + tail[1:] if head and tail else head + tail
    yield match[0].lower(), directory + slash + rest.strip('_-. ')
    if re.fullmatch(rf'{SEPARATORS}?\d+', tail) and head:  # the second of the masks of an image
      yield match[0].lower(), directory + slash + head.strip('_-. ')


def _without_extension(base: str) -> str:
  """Removes the image's extension from names such as a.jpg.png or a.jpg___fuse.png."""
  pattern = '|'.join(re.escape(extension) for extension in EXTENSIONS)
  return re.sub(rf'(?i)(?:{pattern})(?=$|_)', '', base, count=1)


def _base(name: str) -> str:
  return name.rpartition('/')[2]


def _without_zeros(name: str) -> str:
  """Example: `_without_zeros('img_007') == 'img_7'`."""
  return re.sub(r'\d+', lambda digits: str(int(digits[0])), name.lower())


# -------------------------------------------------------------------------- affixes


def _match_affixes(
  images: Mapping[str, Path], masks: Mapping[str, Path], view: Callable[[str], str]
) -> dict[str, str]:
  """Returns image -> mask by constant beginnings and ends of their names."""
  image_keys, mask_keys = ({view(name): name for name in names} for names in (images, masks))
  if len(image_keys) < len(images) or len(mask_keys) < len(masks):
    return {}
  pairs = find_affix_pairs(list(image_keys), list(mask_keys))
  return {image_keys[image]: mask_keys[mask] for image, mask in pairs.items()}
