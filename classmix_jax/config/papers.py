"""Applies the settings of the publication behind a method, see `recipes` of its class.

Methods without settings for a data set keep those of ClassMix, which are in the configs.
"""

import ml_collections

from classmix_jax.data.splits import count_labeled
from classmix_jax.methods import method_class
from classmix_jax.methods.recipes import Epochs


def apply(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Sets what the paper of `config.method` trains with on `config.data.name`.

  `config.paper`, which the settings of a training run are compared with, becomes that of the
  paper, unless only hyper-parameters of the method differ from ClassMix. A number of steps that is
  given in epochs follows from `config.data.labeled` as it is now.

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
