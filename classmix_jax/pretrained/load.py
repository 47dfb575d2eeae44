"""Opens weights from a file, a converted directory or a run of this project.

Synopsis:

    location = locate_weights('resnet101COCO-41f33a49.pth')     # config.model.pretrained
    weights = open_weights(location.path, name=location.name)
    weights.trained_on, weights.preprocessing, len(weights.tensors)   # 'COCO', 'caffe', 528
"""

from collections.abc import Mapping
import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from classmix_jax.config.load import read_config
from classmix_jax.errors import UserError
from classmix_jax.inference.restore import load_networks
from classmix_jax.models.backbones import DINOV2
from classmix_jax.models.backbones.preprocessing import PREPROCESSING
from classmix_jax.pretrained import INSTALLED, LAYOUTS, hub
from classmix_jax.pretrained.converted_directory import is_weights_directory, read_weights
from classmix_jax.pretrained.hub_name import is_hub_name, parse_hub_name
from classmix_jax.pretrained.known_files import KNOWN_REPOSITORIES, identify_file
from classmix_jax.pretrained.layouts.layout import NATIVE, Layout, Tensors
from classmix_jax.pretrained.state_dict_files import (
  ENDINGS,
  hash_file,
  is_file_name,
  read_file,
  unwrap,
)
from classmix_jax.types import PyTree
from classmix_jax.workdir import run_files


@dataclasses.dataclass(frozen=True)
class Weights:
  """Tensors and their origin.

  Attributes:
    name: of the file or directory, for messages.
    tensors: by their names in the file; `backbone/conv1/kernel` in the native layout.
    layout: their naming and axis order.
    layout_name: a key of LAYOUTS; in the native layout that in which the weights are written to a
      file: of the source file, or of the run's backbone.
    preprocessing: a name of PREPROCESSING; '' is the backbone's default.
    trained_on: the data set; '' if it is unknown.
    sha256: of the file; '' for a run.
    warning: a sentence for the user, or ''.
    class_names: of the head, in its order; () if they are not known.
  """

  name: str
  tensors: Mapping[str, np.ndarray]
  layout: Layout
  layout_name: str
  preprocessing: str
  trained_on: str
  sha256: str = ''
  warning: str = ''
  class_names: tuple[str, ...] = ()


def open_weights(
  path: Path,
  *,
  name: str = '',
  trained_on: str = '',
  network: str = '',
  step: str = 'best',
  layout: str = '',
  preprocessing: str = '',
) -> Weights:
  """Reads weights from a file, a converted directory or a run.

  Args:
    path: the file or directory.
    name, trained_on: of a file, see `Location`.
    network: 'student' or 'teacher', if there are both; '' is the student.
    step: of a run: 'best', 'latest' or a number.
    layout: of a file, a key of LAYOUTS; '' detects it from the names of the tensors.
    preprocessing: of a file, a name of PREPROCESSING; '' is that of the published file, or else
      the default of the layout.

  Raises:
    UserError: the path is none of these, or is unreadable, or an option is unknown.

  Example: `open_weights(Path('RUN'), network='teacher', step='latest')`.
  """
  if is_weights_directory(path):
    return open_converted_directory(path)
  if (path / 'config.json').is_file():
    return open_run_weights(path, network or 'student', step)
  if not is_file_name(path):
    raise UserError(
      f'{path} is neither the directory of a run or of converted weights, nor a file whose name '
      f'ends in {", ".join(ENDINGS)}.'
    )
  weights = open_file(path, network or 'student', layout, preprocessing)
  return dataclasses.replace(
    weights, name=name or weights.name, trained_on=weights.trained_on or trained_on
  )


class Location(NamedTuple):
  """Place of weights.

  Attributes:
    path: of the file or directory.
    name: for messages and the run's pretrained.json; '' is that of the file or directory.
    trained_on: the data set; '' if only the content may reveal it.
  """

  path: Path
  name: str = ''
  trained_on: str = ''


def locate_weights(pretrained: str) -> Location:
  """Returns the place that config.model.pretrained names, after a download from the Hub.

  Args:
    pretrained: a key of `INSTALLED`, a name on the Hub (see hub_name.py), or a path.

  Raises:
    UserError: the package of the weights is not installed, or the download fails.
  """
  if pretrained in INSTALLED:
    return Location(INSTALLED[pretrained]())
  if not is_hub_name(pretrained):
    return Location(Path(pretrained).expanduser())
  path, name = hub.download(parse_hub_name(pretrained))
  known = KNOWN_REPOSITORIES.get(name.repository)
  return Location(path, str(name), known.trained_on if known else '')


def detect_layout(names: Mapping[str, Any], path: Path) -> str:
  """Returns the first key of LAYOUTS whose prefix begins one of the tensor names.

  Raises:
    UserError: no layout has such names.
  """
  for name, layout in LAYOUTS.items():
    if any(tensor.startswith(layout.prefix) for tensor in names):
      return name
  raise UserError(
    f'{path} has tensors like {", ".join(list(names)[:3]) or "none"}, which belong to none of the '
    f'layouts {", ".join(LAYOUTS)}.'
  )


def open_file(path: Path, network: str, layout: str, preprocessing: str) -> Weights:
  """Reads weights from a file; see `open_weights`."""
  if layout and layout not in LAYOUTS:
    raise UserError(f'--layout={layout} is not known; there are {", ".join(LAYOUTS)}.')
  if preprocessing and preprocessing not in PREPROCESSING:
    raise UserError(
      f'--preprocessing={preprocessing} is not known; there are {", ".join(PREPROCESSING)}.'
    )
  content = read_file(path)
  tensors: Tensors = unwrap(content, network, path)
  sha256 = hash_file(path)
  published, warning = identify_file(path.name, sha256)
  layout = layout or (published.layout if published else detect_layout(tensors, path))
  tensors = LAYOUTS[layout].normalize(tensors, path)
  if published:
    trained_on, default = published.trained_on, published.preprocessing
  else:
    trained_on, default = read_origin(content, LAYOUTS[layout])
  return Weights(
    name=path.name,
    tensors=tensors,
    layout=LAYOUTS[layout],
    layout_name=layout,
    preprocessing=preprocessing or default,
    trained_on=trained_on,
    sha256=sha256,
    warning=warning,
  )


def read_origin(content: Mapping[str, Any], layout: Layout) -> tuple[str, str]:
  """Returns (trained_on, preprocessing) of a checkpoint with a config, or layout defaults."""
  config = content.get('config')
  dataset = str(config.get('dataset')) if isinstance(config, Mapping) else ''
  return layout.origins.get(dataset, ('', layout.preprocessing))


def flatten_arrays(tree: PyTree) -> dict[str, np.ndarray]:
  """Flattens `{'params': ..., 'batch_stats': ...}` to names such as 'backbone/conv1/kernel'."""
  return {
    '/'.join(str(entry.key) for entry in path[1:]): np.asarray(leaf)
    for path, leaf in jax.tree.leaves_with_path(tree)
  }


def choose_native_layout(layout_name: str) -> Layout:
  """Returns the layout of a directory whose weights came from, or go to, the named layout."""
  return NATIVE._replace(min_matched=LAYOUTS.get(layout_name, NATIVE).min_matched)


def open_converted_directory(path: Path) -> Weights:
  """Reads weights from a directory written by `launch/convert.py`."""
  tree, description = read_weights(path)
  return Weights(
    name=description['source'],
    tensors=flatten_arrays(tree),
    layout=choose_native_layout(description['layout']),
    layout_name=description['layout'],
    preprocessing=description['preprocessing'],
    trained_on=description['trained_on'],
    sha256=description['sha256'],
  )


def open_run_weights(path: Path, network: str, step: str) -> Weights:
  """Reads a network of a run; see `open_weights`."""
  config = read_config(path)
  layout_name = 'dinov2_dpt' if config['model']['backbone'] in DINOV2 else 'deeplab_v2'
  loaded_step, networks = load_networks(path, step)
  if network not in networks:
    raise UserError(f'{path} has no {network}; it has {", ".join(networks)}.')
  tree = {name: networks[network][name] for name in ('params', 'batch_stats')}
  return Weights(
    name=f'{path.name}, step {loaded_step}',
    tensors=flatten_arrays(jax.device_get(tree)),
    layout=choose_native_layout(layout_name),
    layout_name=layout_name,
    preprocessing=config['model']['preprocessing'],
    trained_on=config['data']['name'],
    class_names=run_files.read_classes(path)[0],
  )
