"""Starting from the weights of another run.

Synopsis:

    params, report = merge(params, other_params)
    print(report)      # matched 52 of 54 arrays; not taken: head/dilation6/kernel, ...
"""

from collections.abc import Sequence

import jax

from classmix_jax.types import Array, PyTree, UserError

MINIMUM_SHARE = 0.9  # of the backbone's arrays


def path_name(path: Sequence) -> str:
  return '/'.join(str(entry.key) for entry in path)


def merge(tree: PyTree, other: PyTree) -> tuple[PyTree, str]:
  """Copies every array of `other` whose name and shape occur in `tree`.

  Args:
    tree: nested dicts of arrays with the subtrees `backbone` and `head`.
    other: nested dicts of arrays, e.g. from a checkpoint.

  Returns:
    The merged tree and a sentence that accounts for every array of `tree`.

  Raises:
    UserError: fewer than 90 % of the backbone's arrays fit. A head for other
      classes is expected not to.
  """
  source = {path_name(path): leaf for path, leaf in jax.tree.leaves_with_path(other)}

  def fits(path: Sequence, leaf: Array) -> bool:
    found = source.get(path_name(path))
    return found is not None and found.shape == leaf.shape

  missing = [path_name(path) for path, leaf in jax.tree.leaves_with_path(tree)
             if not fits(path, leaf)]
  total = len(jax.tree.leaves(tree))
  report = f'matched {total - len(missing)} of {total} arrays'
  if missing:
    report += f"; not taken: {', '.join(missing[:4])}{', ...' if len(missing) > 4 else ''}"
  backbone = len(jax.tree.leaves(tree['backbone']))
  lost = sum(name.startswith('backbone/') for name in missing)
  if backbone - lost < MINIMUM_SHARE * backbone:
    raise UserError(
        f'config.model.pretrained holds another network: {report}. Use the same '
        'config.model.backbone as the run it comes from.')
  take = lambda path, leaf: source[path_name(path)] if fits(path, leaf) else leaf
  return jax.tree.map_with_path(take, tree), report
