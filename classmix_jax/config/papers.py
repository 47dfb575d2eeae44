"""Applies the settings of the publication behind a method, see `recipes` of its class.

Methods without settings for a data set keep those of ClassMix, which are in the configs. A config
claims a paper if its `config.paper` has fields: the settings that a training run is compared with.
"""

import ml_collections

from classmix_jax.data.splits import count_labeled
from classmix_jax.methods import method_class
from classmix_jax.methods.recipes import Epochs


def apply(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Sets what the paper of `config.method` trains with on `config.data.name`.

  `config.paper` becomes that of the paper, unless only hyper-parameters of the method differ from
  ClassMix. A number of steps that is given in epochs follows from `config.data.labeled` as it is
  now.

  Raises:
    UserError: the steps depend on `config.data.labeled`, which is no count, fraction or list.
  """
  recipe = dict(method_class(config.method.name).recipes.get(config.data.name, {}))
  steps = recipe.get('steps')
  if isinstance(steps, Epochs):
    labeled = count_labeled(config.data.labeled, steps.images)
    recipe['steps'] = steps.steps(labeled, recipe['unlabeled_batch_size'])
  config.update_from_flattened_dict(recipe)
  if all(field.startswith('method.') for field in recipe):
    return config
  batch, unlabeled = config.batch_size, config.unlabeled_batch_size
  config.paper = ml_collections.ConfigDict(
    {
      'network': f'{config.model.backbone} + {config.model.head}',
      'global batch': f'{batch} labelled + {unlabeled} unlabelled',
      'learning rate': f'{config.optim.learning_rate:g} for {batch} + {unlabeled} images, head '
      f'{config.optim.head_multiplier:g}x',
      'steps': str(config.steps),
      'crop': 'x'.join(map(str, config.data.crop)),
    }
  )
  return config


def classmix_row() -> ml_collections.ConfigDict:
  """Returns the settings of ClassMix on Cityscapes (arXiv 2007.07936), as in the fingerprint."""
  return ml_collections.ConfigDict(
    {
      'source': 'arXiv 2007.07936, Cityscapes',
      'network': 'resnet101 + deeplab_v2',
      'pre-training': 'COCO',
      'global batch': '2 labelled + 2 unlabelled',
      'learning rate': '0.00025 for 2 + 2 images, head 10x',
      'steps': '40000',
      'crop': 'whole image',
      'BN mode': 'batch statistics, affine frozen',
      'protocol': 'paper at 512x1024, student',
    }
  )
