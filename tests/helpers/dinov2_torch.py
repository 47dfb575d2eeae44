"""DINOv2 and the DPT head restated in torch, on plain dicts of tensors by their published names."""

import torch
from torch.nn import functional as F


def positions(embedding, size, way):
  """Position embedding `[1, 1370, D]` for a grid of `size`; `way` is a switch of the tests."""
  first, grid = embedding[:, :1], embedding[:, 1:]
  side = int(grid.shape[1] ** 0.5)
  grid = grid.reshape(1, side, side, -1).permute(0, 3, 1, 2)
  if way == 'offset' and size != (side, side):
    factor = tuple((length + 0.1) / side for length in size)
    grid = F.interpolate(grid, scale_factor=factor, mode='bicubic')
  elif way == 'size':
    grid = F.interpolate(grid, size=size, mode='bicubic')
  elif way == 'antialiased':
    grid = F.interpolate(grid, size=size, mode='bicubic', antialias=True)
  assert grid.shape[2:] == size
  return torch.cat([first, grid.flatten(2).transpose(1, 2)], dim=1)


def block(tensors, prefix, x, *, eps, approximate):
  def get(name):
    return tensors[f'{prefix}{name}']

  def norm(name, x):
    return F.layer_norm(x, x.shape[-1:], get(f'{name}.weight'), get(f'{name}.bias'), eps)

  def linear(name, x):
    return F.linear(x, get(f'{name}.weight'), get(f'{name}.bias'))

  batch, count, width = x.shape
  qkv = linear('attn.qkv', norm('norm1', x)).reshape(batch, count, 3, width // 64, 64)
  query, key, value = qkv.permute(2, 0, 3, 1, 4)
  weight = torch.softmax(query @ key.transpose(-1, -2) / 8, dim=-1)
  y = (weight @ value).transpose(1, 2).reshape(batch, count, width)
  x = x + get('ls1.gamma') * linear('attn.proj', y)
  y = F.gelu(linear('mlp.fc1', norm('norm2', x)), approximate=approximate)
  return x + get('ls2.gamma') * linear('mlp.fc2', y)


def levels(tensors, image, taps, *, way='offset', eps=1e-6, approximate='none'):
  """Normed patch tokens `[B, h, w, D]` of the tapped blocks of normalised images `[B, 3, H, W]`."""
  x = F.conv2d(
    image, tensors['patch_embed.proj.weight'], tensors['patch_embed.proj.bias'], stride=14
  )
  size = tuple(x.shape[2:])
  first = tensors['cls_token'].expand(len(x), -1, -1)
  x = torch.cat([first, x.flatten(2).transpose(1, 2)], dim=1)
  x = x + positions(tensors['pos_embed'], size, way)
  if 'register_tokens' in tensors:
    registers = tensors['register_tokens'].expand(len(x), -1, -1)
    x = torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)
  taken = []
  for index in range(max(taps) + 1):
    x = block(tensors, f'blocks.{index}.', x, eps=eps, approximate=approximate)
    if index in taps:
      normed = F.layer_norm(x, x.shape[-1:], tensors['norm.weight'], tensors['norm.bias'], eps)
      taken.append(normed[:, -size[0] * size[1] :].reshape(len(x), *size, -1))
  return taken


def dpt(tensors, levels):
  """Logits `[B, 8 h, 8 w, C]` of the head of UniMatch V2."""

  def conv(name, x, **options):
    weight = tensors[f'head.{name}.weight']
    padding = weight.shape[-1] // 2
    return F.conv2d(x, weight, tensors.get(f'head.{name}.bias'), padding=padding, **options)

  def unit(name, x):
    return x + conv(f'{name}.conv2', F.relu(conv(f'{name}.conv1', F.relu(x))))

  def enlarge(index, x, size):
    name = f'head.resize_layers.{index}'
    return F.conv_transpose2d(x, tensors[f'{name}.weight'], tensors[f'{name}.bias'], stride=size)

  x = [conv(f'projects.{i}', level.permute(0, 3, 1, 2)) for i, level in enumerate(levels)]
  x = [enlarge(0, x[0], 4), enlarge(1, x[1], 2), x[2], conv('resize_layers.3', x[3], stride=2)]
  x = [conv(f'scratch.layer{i + 1}_rn', level) for i, level in enumerate(x)]
  path = x[3]
  for index in (4, 3, 2, 1):
    name = f'scratch.refinenet{index}'
    if index < 4:
      path = path + unit(f'{name}.resConfUnit1', x[index - 1])
    path = unit(f'{name}.resConfUnit2', path)
    size = x[index - 2].shape[2:] if index > 1 else [2 * side for side in path.shape[2:]]
    path = F.interpolate(path, size=tuple(size), mode='bilinear', align_corners=True)
    path = conv(f'{name}.out_conv', path)
  path = F.relu(conv('scratch.output_conv.0', path))
  return conv('scratch.output_conv.2', path).permute(0, 2, 3, 1)


def upsample(logits, size):
  """Bilinear with aligned corners, `[B, h, w, C]`."""
  x = F.interpolate(logits.permute(0, 3, 1, 2), size=size, mode='bilinear', align_corners=True)
  return x.permute(0, 2, 3, 1)
