"""Network, method, optimizer and protocol of a config."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections
import optax

from classmix_jax.config.lookup import lookup, plain_fields
from classmix_jax.core.optim import RULES, poly_optimizer
from classmix_jax.data.source import Dataset
from classmix_jax.errors import UserError
from classmix_jax.evaluation.evaluator import Evaluator
from classmix_jax.evaluation.protocols import Protocol, check_protocol
from classmix_jax.methods import METHODS, hyper_parameters
from classmix_jax.methods.labeled_loss import LabeledLoss
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.models.backbones.preprocessing import PREPROCESSING
from classmix_jax.models.heads import HEADS
from classmix_jax.models.segmenter import Segmenter, build_segmenter
from classmix_jax.types import Method

DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def build_protocol(config: ml_collections.ConfigDict) -> Protocol:
  """Returns how the run is scored; runs older than `config.eval` are scored as the default.

  Raises:
    UserError: a protocol that does not exist, or numbers that do not fit.
  """
  known = {'protocol', *Protocol.__dataclass_fields__} - {'name'}
  fields = plain_fields(config, 'eval', sorted(known))
  fields['name'] = fields.pop('protocol', Protocol.name)
  fields['pad'] = fields.get('pad') or None
  protocol = Protocol(**fields)
  check_protocol(protocol)
  if protocol.name == 'full' and not len(config.data.size):
    raise UserError(
      "config.eval.protocol=full brings predictions from the working size to the labels' own, "
      'but config.data.size is empty: images keep their own size. Use paper, which then scores '
      'at that size.'
    )
  return protocol


def needs_unlabeled(config: ml_collections.ConfigDict) -> bool:
  return config.method.name != 'supervised'


def fewest_unlabeled(config: ml_collections.ConfigDict) -> int:
  """How many unlabelled images a batch, and the data set, must have."""
  return 2 if 'mask' in config.method else int(needs_unlabeled(config))


def build_model(config: ml_collections.ConfigDict, num_classes: int) -> Segmenter:
  """Joins backbone and head.

  Raises:
    UserError: a name that does not exist, or an output stride that the backbone cannot have.
  """
  model = config.model
  # Runs older than some of these fields have none of them.
  options = {
    'bn': model.bn,
    'dtype': lookup(DTYPES, model.dtype, 'config.model.dtype'),
    'remat': model.get('remat', False),
  }
  if model.get('preprocessing'):
    options['preprocessing'] = lookup(
      PREPROCESSING, model.preprocessing, 'config.model.preprocessing'
    )
  if model.get('output_stride'):
    options['output_stride'] = model.output_stride
  backbone = lookup(BACKBONES, model.backbone, 'config.model.backbone')(**options)
  return build_segmenter(backbone, lookup(HEADS, model.head, 'config.model.head'), num_classes)


def build_method(config: ml_collections.ConfigDict, num_classes: int) -> Method:
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


def build_optimizer(config: ml_collections.ConfigDict, steps: int) -> optax.GradientTransformation:
  """Returns the optimizer of a stage of so many steps."""
  lookup(RULES, config.optim.get('rule', 'sgd'), 'config.optim.rule')
  return poly_optimizer(steps=steps, **config.optim.to_dict())


def choose_devices(config: ml_collections.ConfigDict) -> list[jax.Device]:
  """Returns as many local devices as both batches can be shared by.

  Across several processes every device must take part, and the input pipeline
  says so where the batch does not divide.
  """
  devices = jax.local_devices()
  if jax.process_count() > 1:
    return devices
  sizes = [config.batch_size // config.accumulate]
  if needs_unlabeled(config):
    sizes.append(config.unlabeled_batch_size // config.accumulate)
  count = max(n for n in range(1, len(devices) + 1) if all(size % n == 0 for size in sizes))
  return devices[:count]


def build_evaluator(
  config: ml_collections.ConfigDict,
  dataset: Dataset,
  model: Segmenter,
  devices: list[jax.Device],
  split: tuple[str, int],
  stop: Callable[[], bool] = lambda: False,
) -> Evaluator:
  """Returns the evaluator of a training run; see `Evaluator` for the arguments."""
  return Evaluator(
    dataset,
    model,
    devices,
    split,
    build_protocol(config),
    size=tuple(config.data.size) or None,
    batch_size=config.eval_batch_size,
    headline=config.eval_network,
    stop=stop,
  )
