"""Network, method, optimizer and protocol of a config."""

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
from classmix_jax.models.heads import HEADS, takes_pyramid
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
    UserError: a name does not exist, or the backbone cannot have the output stride or the scale.
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
  if takes_pyramid(lookup(HEADS, model.head, 'config.model.head')):
    coarsest = getattr(factory, 'func', factory).coarsest_stride
    options = {'output_stride': coarsest, **options, 'pyramid': True}
  if model.scale != 1.0:
    if not hasattr(getattr(factory, 'func', factory), 'scale'):
      raise UserError(
        f'config.model.scale is {model.scale}, but {model.backbone} takes images as they are; set '
        'it to 1, or choose a dinov2_* backbone.'
      )
    options['scale'] = model.scale
  return factory(**options)


def build_model(config: Config, num_classes: int) -> Segmenter:
  """Builds the network of `config.model`.

  Raises:
    UserError: a name does not exist, or the backbone cannot have the output stride or the scale.
  """
  backbone, model = build_backbone(config), config.model
  head = lookup(HEADS, model.head, 'config.model.head')
  return build_segmenter(
    backbone,
    head,
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
