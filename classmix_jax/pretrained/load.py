"""Opens weights in whatever form: a file, a converted folder, or a run of this project.

Synopsis:

    weights = open_weights(Path('resnet101COCO-41f33a49.pth'))
    weights.trained_on, weights.preprocessing, len(weights.tensors)   # 'COCO', 'caffe', 528
"""

from collections.abc import Mapping
import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from classmix_jax.config.load import read_config
from classmix_jax.errors import UserError
from classmix_jax.inference.restore import load_networks
from classmix_jax.models.backbones.preprocessing import PREPROCESSING
from classmix_jax.pretrained import INSTALLED, LAYOUTS
from classmix_jax.pretrained.converted_folder import is_weights_folder, read_weights
from classmix_jax.pretrained.known_files import identify
from classmix_jax.pretrained.layouts.layout import OWN, Layout
from classmix_jax.pretrained.state_dict_files import (
  ENDINGS,
  file_hash,
  is_file_name,
  read_file,
  unwrap,
)
from classmix_jax.types import PyTree

# config['dataset'] in a checkpoint of the original ClassMix -> trained_on, preprocessing.
CLASSMIX_DATA = {
  'cityscapes': ('Cityscapes', 'classmix_cityscapes'),
  'pascal_voc': ('PASCAL VOC', 'classmix_voc'),
}


@dataclasses.dataclass(frozen=True)
class Weights:
  """Tensors and what is known of them.

  Attributes:
    name: of the file or folder, for people.
    tensors: by their names in the file; `backbone/conv1/kernel` in own forms.
    layout: how those are named.
    layout_name: of LAYOUTS; of own forms that of the file they came from, or ''.
    preprocessing: what the backbone expects, of PREPROCESSING; '' is the backbone's own way.
    trained_on: data set, '' where nobody knows.
    sha256: of the file; '' of a run.
    warning: a sentence for the user, or ''.
  """

  name: str
  tensors: Mapping[str, np.ndarray]
  layout: Layout
  layout_name: str
  preprocessing: str
  trained_on: str
  sha256: str = ''
  warning: str = ''


def open_weights(
  path: Path,
  *,
  network: str = '',
  step: str = 'best',
  layout: str = '',
  preprocessing: str = '',
) -> Weights:
  """Reads weights from a file, a converted folder or a run.

  Args:
    path: of the file or folder.
    network: 'student' or 'teacher', where there are both; '' is the student.
    step: of a run: 'best', 'latest' or a number.
    layout: of a file, a name of LAYOUTS; '' finds it out by the names of tensors.
    preprocessing: '' is what is known of the file, or usual in its family.

  Raises:
    UserError: there is nothing like that, or it cannot be read.
  """
  if is_weights_folder(path):
    return open_folder(path)
  if (path / 'config.json').is_file():
    return open_run(path, network or 'student', step)
  if not is_file_name(path):
    raise UserError(
      f'{path} is neither the folder of a run or of converted weights, nor a file whose name '
      f'ends in {", ".join(ENDINGS)}.'
    )
  return open_file(path, network or 'student', layout, preprocessing)


def locate(given: str) -> Path:
  """Returns the path of config.model.pretrained: a key of `INSTALLED`, or a path.

  Raises:
    UserError: the package of the weights is not installed.
  """
  return INSTALLED[given]() if given in INSTALLED else Path(os.path.expanduser(given))


def find_layout(names: Mapping[str, Any], path: Path) -> str:
  """Returns the layout whose mark begins one of the names.

  Raises:
    UserError: nobody knows such names.
  """
  for name, layout in LAYOUTS.items():
    if any(tensor.startswith(layout.mark) for tensor in names):
      return name
  raise UserError(
    f'{path} has tensors like {", ".join(list(names)[:3]) or "none"}, in no layout that is '
    f'known; there are {", ".join(LAYOUTS)}.'
  )


def open_file(path: Path, network: str, layout: str, preprocessing: str) -> Weights:
  if layout and layout not in LAYOUTS:
    raise UserError(f'--layout={layout} is not known; there are {", ".join(LAYOUTS)}.')
  if preprocessing and preprocessing not in PREPROCESSING:
    raise UserError(
      f'--preprocessing={preprocessing} is not known; there are {", ".join(PREPROCESSING)}.'
    )
  content = read_file(path)
  tensors = unwrap(content, network, path)
  sha256 = file_hash(path)
  known, warning = identify(path.name, sha256)
  layout = layout or (known.layout if known else find_layout(tensors, path))
  trained_on, usual = (
    (known.trained_on, known.preprocessing)
    if known
    else classmix_data(content) or ('', LAYOUTS[layout].preprocessing)
  )
  return Weights(
    path.name, tensors, LAYOUTS[layout], layout, preprocessing or usual, trained_on, sha256, warning
  )


def classmix_data(content: Mapping[str, Any]) -> tuple[str, str] | None:
  """What a checkpoint of the original ClassMix says of itself."""
  config = content.get('config')
  return CLASSMIX_DATA.get(str(config.get('dataset'))) if isinstance(config, Mapping) else None


def flat(tree: PyTree) -> dict[str, np.ndarray]:
  """Names the arrays of `{'params': ..., 'batch_stats': ...}`, without the collection."""
  return {
    '/'.join(str(entry.key) for entry in path[1:]): np.asarray(leaf)
    for path, leaf in jax.tree.leaves_with_path(tree)
  }


def open_folder(path: Path) -> Weights:
  tree, known = read_weights(path)
  return Weights(
    known['source'],
    flat(tree),
    OWN,
    known['layout'],
    known['preprocessing'],
    known['trained_on'],
    known['sha256'],
  )


def open_run(path: Path, network: str, step: str) -> Weights:
  config = read_config(path)
  found, networks = load_networks(path, step)
  if network not in networks:
    raise UserError(f'{path} has no {network}; it has {", ".join(networks)}.')
  tree = {name: networks[network][name] for name in ('params', 'batch_stats')}
  return Weights(
    f'{path.name}, step {found}',
    flat(jax.device_get(tree)),
    OWN,
    '',
    config['model']['preprocessing'],
    config['data']['name'],
  )
