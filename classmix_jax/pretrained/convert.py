"""Converts weights to the folder of this project and back; the program launch/convert.py.

Synopsis:

    convert_to_folder(open_weights(Path('resnet101COCO-41f33a49.pth')), Path('coco'),
              backbone='resnet101', head='deeplab_v2')
    convert_to_file(open_weights(Path('coco')), Path('again.pth'))     # the same bits
"""

from collections.abc import Iterator
from pathlib import Path
import statistics

import flax.traverse_util
import jax
import jax.numpy as jnp

from classmix_jax.config.lookup import lookup
from classmix_jax.errors import UserError
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads import HEADS
from classmix_jax.models.segmenter import build_segmenter, initialize
from classmix_jax.pretrained import LAYOUTS, matching
from classmix_jax.pretrained.converted_folder import check_free, write_weights
from classmix_jax.pretrained.load import Weights
from classmix_jax.pretrained.state_dict_files import write_file
from classmix_jax.types import PyTree

IMAGE = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)  # no shape of an array depends on it


def compute_shapes(backbone: str, head: str, num_classes: int) -> PyTree:
  """Returns `{'params': ..., 'batch_stats': ...}` of shapes; without a head where that is ''."""
  model = build_segmenter(
    lookup(BACKBONES, backbone, '--backbone')(),
    lookup(HEADS, head or next(iter(HEADS)), '--head'),
    num_classes,
  )
  trees = jax.eval_shape(lambda key: initialize(model, key, IMAGE), jax.random.key(0))
  parts = ('backbone', 'head') if head else ('backbone',)
  return {
    collection: {part: tree[part] for part in parts if part in tree}
    for collection, tree in zip(('params', 'batch_stats'), trees, strict=True)
  }


def list_differing_tensors(tree: PyTree, other: PyTree, weights: Weights) -> Iterator[str]:
  """Yields the tensors whose shapes differ between two trees of one structure."""
  pairs = zip(jax.tree.leaves_with_path(tree), jax.tree.leaves(other), strict=True)
  for (path, leaf), again in pairs:
    if leaf.shape != again.shape:
      yield weights.layout.name(matching.to_array_path(path))


def count_classes(weights: Weights, names: frozenset[str]) -> int:
  """The first axis of most of the named tensors; 0 where there are none."""
  found = [weights.tensors[name].shape[:1] for name in sorted(names) if name in weights.tensors]
  return (statistics.mode(found) or (0,))[0] if found else 0


def select_matched_arrays(shapes: PyTree, weights: Weights) -> tuple[PyTree, matching.MatchResult]:
  """Returns the arrays of the network that the weights have, and the account."""
  tree, account = matching.copy_matching(shapes, weights)
  arrays = {
    path: x
    for path, x in flax.traverse_util.flatten_dict(tree).items()
    if not isinstance(x, jax.ShapeDtypeStruct)
  }
  return flax.traverse_util.unflatten_dict(arrays), account


def convert_to_folder(
  weights: Weights,
  output: Path,
  *,
  backbone: str,
  head: str = '',
  num_classes: int = 0,
  partial: bool = False,
) -> None:
  """Writes the tensors of a file that belong to a network as a folder of weights.

  Args:
    weights: of a file.
    output: the folder, which must not exist.
    backbone, head: names of BACKBONES and HEADS; without a head the backbone alone.
    num_classes: 0 is as many as the file's head has.
    partial: whether a tenth of the backbone may be missing.

  Raises:
    UserError: the tensors are not those of the network; nothing is written.
  """
  check_free(output)
  # What differs between one class and two is what depends on their number.
  one, two = (compute_shapes(backbone, head, n) for n in (1, 2))
  class_names = frozenset(list_differing_tensors(one, two, weights))
  num_classes = num_classes or count_classes(weights, class_names)
  shapes = compute_shapes(backbone, head, num_classes) if num_classes else one
  tree, account = select_matched_arrays(shapes, weights)
  print(matching.format_report(account, weights.layout, weights.name))
  check(account, weights, class_names, partial)
  whole = bool(head) and not (account.missing or account.wrong_shape)
  write_weights(
    output,
    tree,
    {
      'backbone': backbone,
      'head': head if matching.select_head(account, weights.layout).matched else '',
      'num_classes': num_classes if whole else 0,
      'preprocessing': weights.preprocessing,
      'trained_on': weights.trained_on,
      'layout': weights.layout_name,
      'source': weights.name,
      'sha256': weights.sha256,
      'matched': len(account.matched),
      'expected': account.expected,
    },
  )
  print(
    f'wrote {output}: {len(account.matched)} arrays, preprocessing {weights.preprocessing}, '
    f'trained on {weights.trained_on or "unknown data"}'
  )


def check(
  account: matching.MatchResult, weights: Weights, class_names: frozenset[str], partial: bool
) -> None:
  """Raises UserError where the tensors are not those of the network."""
  matching.check_backbone(account, weights.layout, f'--input={weights.name}')
  if not partial and not matching.fits_exactly(account, weights.layout, class_names):
    raise UserError(
      f'--input={weights.name} does not hold exactly this network, see the report above; '
      'nothing is written. With --partial a tenth of the backbone may differ.'
    )


def convert_to_file(weights: Weights, output: Path, layout: str = '') -> None:
  """Writes a run or a folder of weights as a state dict in the names and axes of a layout.

  Args:
    weights: of a run or a folder.
    output: its ending decides: safetensors, or a file of torch.
    layout: a name of LAYOUTS; '' is where the weights came from, or deeplab_v2.

  Raises:
    UserError: there is no such layout, or the file cannot be written.
  """
  chosen = lookup(LAYOUTS, layout or weights.layout_name or 'deeplab_v2', '--layout')
  tensors = {
    chosen.name(tuple(name.split('/'))): chosen.to_file(x) for name, x in weights.tensors.items()
  }
  assert len(tensors) == len(weights.tensors), 'two arrays would get one name'
  write_file(output, tensors)
  print(f'wrote {output}: {len(tensors)} tensors')
