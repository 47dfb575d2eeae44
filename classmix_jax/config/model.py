"""Network, method, optimizer and protocol of a config."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from classmix_jax.config.lookup import Config, lookup, plain_fields
from classmix_jax.core.optim import RULES, poly_optimizer
from classmix_jax.errors import UserError
from classmix_jax.evaluation.protocols import Protocol, check_protocol
from classmix_jax.methods import METHODS, hyper_parameters, method_class
from classmix_jax.methods.labeled_loss import LabeledLoss
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.preprocessing import PREPROCESSING
from classmix_jax.models.heads import HEADS
from classmix_jax.models.pyramid import build_backbone as build_levels
from classmix_jax.models.pyramid import get_class, takes_pyramid
from classmix_jax.models.segmenter import Segmenter, build_segmenter
from classmix_jax.types import Method

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def build_protocol(config: Config) -> Protocol:
  """Returns the evaluation protocol of `config.eval`.

  Raises:
    UserError: the protocol does not exist, or its numbers do not fit.
  """
  known = {'protocol', *Protocol.__dataclass_fields__} - {'name'}
  fields = plain_fields(config, 'eval', sorted(known))
  fields['name'] = fields.pop('protocol')
  fields['pad'] = fields['pad'] or None
  protocol = Protocol(**fields)
  check_protocol(protocol)
  if protocol.name == 'full' and not len(config.data.size):
    raise UserError(
      "config.eval.protocol=full brings predictions from the working size to the labels' own, "
      'but config.data.size is empty: images keep their own size. Use paper, which then scores '
      'at that size.'
    )
  return protocol


def needs_unlabeled(config: Config) -> bool:
  return fewest_unlabeled(config) > 0


def fewest_unlabeled(config: Config) -> int:
  """Returns how many unlabelled images a batch, and the data set, must have."""
  lookup(METHODS, config.method.name, 'config.method.name')
  return method_class(config.method.name).min_unlabeled


def build_backbone(config: Config) -> Any:
  """Builds the backbone of `config.model`.

  Raises:
    UserError: a name does not exist, or the backbone cannot have a stride or the scale.
  """
  model = config.model
  options = {
    # The statistics of a frozen network do not change either.
    'bn': 'running' if model.freeze_backbone else model.bn,
    'dtype': lookup(DTYPES, model.dtype, 'config.model.dtype'),
    'remat': model.remat,
  }
  if model.preprocessing:
    options['preprocessing'] = lookup(
      PREPROCESSING, model.preprocessing, 'config.model.preprocessing'
    )
  if model.output_stride:
    options['output_stride'] = model.output_stride
  factory = lookup(BACKBONES, model.backbone, 'config.model.backbone')
  if model.stem_stride:
    check_stem_stride(config)
    options['stem_stride'] = model.stem_stride
  if model.scale != 1.0:
    if not hasattr(get_class(factory), 'scale'):
      raise UserError(
        f'config.model.scale is {model.scale}, but {model.backbone} takes images as they are; set '
        'it to 1, or choose a dinov2_* backbone.'
      )
    options['scale'] = model.scale
  return build_levels(factory, build_head(config), **options)


def check_stem_stride(config: Config) -> None:
  """Raises UserError if the network has no stem, or a head that does not use its details."""
  model, field = config.model, f'config.model.stem_stride is {config.model.stem_stride}'
  if not hasattr(get_class(BACKBONES[model.backbone]), 'stem_stride'):
    raise UserError(
      f'{field}, but {model.backbone} has no stem whose stride could change; set it to 0, or '
      'choose tiny, a resnet* or efficientnet_lite0.'
    )
  if not takes_pyramid(build_head(config)):
    heads = ', '.join(name for name, head in HEADS.items() if takes_pyramid(head))
    raise UserError(
      f'{field}, which is for heads that join levels at every stride ({heads}), not for '
      f'{model.head}; set it to 0 or choose one of these heads.'
    )


def build_head(config: Config) -> Any:
  """Returns the entry of `HEADS` of `config.model`, with its widths.

  Raises:
    UserError: there is no such head, or it has no widths.
  """
  model = config.model
  head = lookup(HEADS, model.head, 'config.model.head')
  if not model.widths:
    return head
  if not hasattr(get_class(head), 'widths'):
    names = ', '.join(name for name, other in HEADS.items() if hasattr(get_class(other), 'widths'))
    raise UserError(
      f'config.model.widths is {tuple(model.widths)}, but {model.head} has no widths; set it to '
      f'(), or choose one of {names}.'
    )
  return functools.partial(head, widths=tuple(model.widths))


def build_model(config: Config, num_classes: int) -> Segmenter:
  """Builds the network of `config.model`.

  Raises:
    UserError: a name does not exist, or the backbone cannot have a stride or the scale.
  """
  model = config.model
  return build_segmenter(
    build_backbone(config),
    build_head(config),
    num_classes,
    bn=model.bn,
    stem=model.stem,
    freeze_backbone=model.freeze_backbone,
  )


def build_method(config: Config, num_classes: int) -> Method:
  """Returns the method with the hyper-parameters of `config.method`."""
  options = config.method.to_dict()
  name = options.pop('name')
  factory = lookup(METHODS, name, 'config.method.name')
  for option in options:
    lookup(hyper_parameters(name), option, f'An option of config.method ({name})')
  return factory(
    model=build_model(config, num_classes),
    num_classes=num_classes,
    labeled_loss=LabeledLoss(
      **plain_fields(config, 'labeled_loss', LabeledLoss.__dataclass_fields__)
    ),
    **options,
  )


def build_optimizer(config: Config, method: Method, steps: int) -> optax.GradientTransformation:
  """Returns the optimizer of a stage of `steps` steps; its schedule ends with them."""
  lookup(RULES, config.optim.rule, 'config.optim.rule')
  others = method.optimizers(steps, config.optim.power)
  return poly_optimizer(steps=steps, others=others, **config.optim.to_dict())


def choose_devices(config: Config) -> list[jax.Device]:
  """Returns the largest number of local devices that divides both batch sizes.

  With several processes it returns all of them; the input pipeline raises if the batch does not
  divide.
  """
  devices = jax.local_devices()
  if jax.process_count() > 1:
    return devices
  sizes = [config.batch_size // config.accumulate]
  if needs_unlabeled(config):
    sizes.append(config.unlabeled_batch_size // config.accumulate)
  count = max(n for n in range(1, len(devices) + 1) if all(size % n == 0 for size in sizes))
  return devices[:count]
