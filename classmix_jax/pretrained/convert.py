"""Converts weights to a directory of this project and back; see launch/convert.py.

Synopsis:

    convert_to_directory(open_weights(Path('resnet101COCO-41f33a49.pth')), Path('coco'),
              backbone='resnet101', head='deeplab_v2')
    convert_to_file(open_weights(Path('coco')), Path('again.pth'))     # the same bits
"""

from collections.abc import Iterator
from pathlib import Path
import statistics

import flax.traverse_util
import jax

from classmix_jax.config.lookup import lookup
from classmix_jax.errors import UserError
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.heads import HEADS
from classmix_jax.models.pyramid import build_backbone
from classmix_jax.models.segmenter import IMAGE_SHAPE, build_segmenter, initialize
from classmix_jax.pretrained import LAYOUTS, matching
from classmix_jax.pretrained.converted_directory import check_free, write_weights
from classmix_jax.pretrained.load import Weights
from classmix_jax.pretrained.state_dict_files import write_file
from classmix_jax.types import PyTree


def compute_shapes(backbone: str, head: str, num_classes: int) -> PyTree:
  """Returns `{'params': ..., 'batch_stats': ...}` of shapes; without the head if it is ''."""
  head_class = lookup(HEADS, head or next(iter(HEADS)), '--head')
  model = build_segmenter(
    build_backbone(lookup(BACKBONES, backbone, '--backbone'), head_class),
    head_class,
    num_classes,
  )
  trees = jax.eval_shape(lambda key: initialize(model, key, IMAGE_SHAPE), jax.random.key(0))
  # Batch statistics of a head without BN are absent.
  parts = ('backbone', 'head') if head else ('backbone',)
  return {
    collection: {part: tree[part] for part in parts if part in tree}
    for collection, tree in zip(('params', 'batch_stats'), trees, strict=True)
  }


def list_differing_tensors(tree: PyTree, other: PyTree, weights: Weights) -> Iterator[str]:
  """Yields the names of tensors whose shapes differ between two trees of equal structure."""
  pairs = zip(jax.tree.leaves_with_path(tree), jax.tree.leaves(other), strict=True)
  for (path, leaf), other_leaf in pairs:
    if leaf.shape != other_leaf.shape:
      yield weights.layout.tensor_name(matching.to_array_path(path))


def count_classes(weights: Weights, names: frozenset[str]) -> int:
  """Returns the most frequent first axis of the named tensors; 0 if the file has none of them."""
  axes = [weights.tensors[name].shape[:1] for name in sorted(names) if name in weights.tensors]
  return (statistics.mode(axes) or (0,))[0] if axes else 0


def select_matched_arrays(shapes: PyTree, weights: Weights) -> tuple[PyTree, matching.MatchResult]:
  """Returns the network's arrays that occur in the weights, and the result of the match."""
  tree, result = matching.copy_matching(shapes, weights)
  arrays = {
    path: x
    for path, x in flax.traverse_util.flatten_dict(tree).items()
    if not isinstance(x, jax.ShapeDtypeStruct)
  }
  return flax.traverse_util.unflatten_dict(arrays), result


def convert_to_directory(
  weights: Weights,
  output: Path,
  *,
  backbone: str,
  head: str = '',
  num_classes: int = 0,
  partial: bool = False,
) -> None:
  """Writes the tensors of a network in a file as a directory of weights.

  Args:
    weights: of a file.
    output: the directory, which must not exist.
    backbone: a key of BACKBONES.
    head: a key of HEADS; '' converts the backbone only.
    num_classes: of the head; 0 is the number in the file.
    partial: whether a tenth of the backbone may be missing.

  Raises:
    UserError: the tensors do not match the network; nothing is written.
  """
  check_free(output)
  # Tensors whose shape differs between one class and two have a class axis.
  one, two = (compute_shapes(backbone, head, n) for n in (1, 2))
  class_names = frozenset(list_differing_tensors(one, two, weights))
  num_classes = num_classes or count_classes(weights, class_names)
  shapes = compute_shapes(backbone, head, num_classes) if num_classes else one
  tree, result = select_matched_arrays(shapes, weights)
  print(matching.format_report(result, weights.layout, weights.name))
  check_match(result, weights, class_names, partial)
  complete_head = bool(head) and not (result.missing or result.wrong_shape)
  write_weights(
    output,
    tree,
    {
      'backbone': backbone,
      'head': head if matching.select_head(result, weights.layout).matched else '',
      'num_classes': num_classes if complete_head else 0,
      'preprocessing': weights.preprocessing,
      'trained_on': weights.trained_on,
      'layout': weights.layout_name,
      'source': weights.name,
      'sha256': weights.sha256,
      'matched': len(result.matched),
      'expected': result.expected,
    },
  )
  print(
    f'wrote {output}: {len(result.matched)} arrays, preprocessing {weights.preprocessing}, '
    f'trained on {weights.trained_on or "unknown data"}'
  )


def check_match(
  result: matching.MatchResult, weights: Weights, class_names: frozenset[str], partial: bool
) -> None:
  """Raises UserError if the tensors do not match the network; see `convert_to_directory`."""
  matching.check_backbone(result, weights.layout, f'--input={weights.name}')
  if not partial and not matching.fits_exactly(result, weights.layout, class_names):
    raise UserError(
      f'--input={weights.name} does not contain exactly this network, see the report above; '
      'nothing is written. With --partial a tenth of the backbone may differ.'
    )


def convert_to_file(weights: Weights, output: Path, layout: str = '') -> None:
  """Writes a run or a directory of weights as a state dict in a layout.

  Args:
    weights: of a run or a directory.
    output: the file, in .safetensors or else in torch's format.
    layout: a key of LAYOUTS; '' is that of the source file, or that of the run's backbone.

  Raises:
    UserError: there is no such layout, or the file cannot be written.
  """
  chosen = lookup(LAYOUTS, layout or weights.layout_name, '--layout')
  paths = {tuple(name.split('/')): x for name, x in weights.tensors.items()}
  tensors = {chosen.tensor_name(path): chosen.to_file(path, x) for path, x in paths.items()}
  assert len(tensors) == len(weights.tensors), 'two arrays have the same name in the file'
  write_file(output, tensors)
  print(f'wrote {output}: {len(tensors)} tensors')
