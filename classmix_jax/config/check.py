"""Checks a config before anything is opened."""

from flax.traverse_util import flatten_dict

from classmix_jax.config.bounds import check_ranges
from classmix_jax.config.lookup import Config, lookup
from classmix_jax.config.model import build_backbone, build_protocol, fewest_unlabeled
from classmix_jax.core.finite import ON_NONFINITE
from classmix_jax.errors import UserError
from classmix_jax.evaluation.headline import headline_network
from classmix_jax.methods import method_class
from classmix_jax.models.layers.batch_norm import BN_MODES


def check_config(config: Config) -> None:
  """Raises UserError if a number is out of range, a size does not divide or a name is unknown."""
  check_ranges(flatten_dict(config.to_dict(), sep='.'))
  for field in ('batch_size', 'unlabeled_batch_size'):
    if config[field] % config.accumulate:
      raise UserError(
        f'config.{field} is {config[field]}, which config.accumulate={config.accumulate} does '
        f'not divide; choose a multiple of {config.accumulate}.'
      )
  least = fewest_unlabeled(config)
  if config.unlabeled_batch_size < least:
    why = 'mixes pairs' if least > 1 else 'learns from unlabelled images'
    raise UserError(
      f'{config.method.name} {why}: config.unlabeled_batch_size is '
      f'{config.unlabeled_batch_size}; set it to {least} or more.'
    )
  check_cached_features(config)
  lookup(dict.fromkeys(BN_MODES), config.model.bn, 'config.model.bn')
  lookup(dict.fromkeys(ON_NONFINITE), config.on_nan, 'config.on_nan')
  check_eval_network(config)
  build_protocol(config)


def check_cached_features(config: Config) -> None:
  """Raises UserError if features are to be cached that change from step to step."""
  if not config.model.cache_features:
    return
  data, needed = config.data, 'config.model.cache_features'
  if not config.model.freeze_backbone:
    raise UserError(f'{needed} needs a frozen backbone; set config.model.freeze_backbone=True.')
  if not hasattr(build_backbone(config), 'feature_grid'):
    raise UserError(f'{needed} is for dinov2_* backbones, not {config.model.backbone}.')
  if not method_class(config.method.name).encoded_images:
    raise UserError(
      f'{config.method.name} changes the pixels that its network sees, so no features can be '
      f'cached; set {needed}=False.'
    )
  if not data.size or tuple(data.scale) != (1.0, 1.0):
    raise UserError(
      f'{needed} needs frames of one size without random scaling: set config.data.size=(H, W) and '
      f'config.data.scale=(1.0, 1.0); they are {tuple(data.size)} and {tuple(data.scale)}.'
    )
  if data.working_copy == 'device':
    raise UserError(f'{needed} reads features from the disk; set config.data.working_copy=memory.')


def check_eval_network(config: Config) -> None:
  """Raises UserError if no method has a network named `config.eval_network`."""
  headline_network(config.eval_network, {})
