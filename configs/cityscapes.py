"""ClassMix on Cityscapes at 512x1024 (arXiv 2007.07936): DeepLab-v2, ResNet-101, 372 labels.

    python launch/main.py --config=configs/cityscapes.py --config.data.root=DIR

DIR holds leftImg8bit/ and gtFine/, or the two archives; see docs/datasets.md.

Expected: the paper's 61.35 mIoU (mean of three splits). Not yet run.
The paper starts from COCO weights, config.model.pretrained=resnet101COCO-41f33a49.pth; without
them the network starts from random weights. See docs/weights.md.

Differences from the original implementation:
- Colours are jittered as RGB. The original jitters the network's BGR input as if it were RGB, with
  the channel means added in reverse order.
- The biases of the head start at 0. The original draws them from +-0.0074.
- config.data.split_seed draws the 372 labelled images from the sorted names. The original has a
  list of indices into the order of the files on the author's disk.
"""

from classmix_jax.config import defaults, papers


def get_config(text: str | None = None):
  config = defaults.get_config(text)
  config.name = 'cityscapes'
  config.checkpoint_every = 5_000
  config.data.name = 'cityscapes'
  config.data.reader = ''  # folders, tfds; '' for directories if they are unpacked, else tfds
  config.data.tfds_dir = ''  # directory of tfds; '' for ROOT/tensorflow_datasets
  config.data.train_extra = False  # adds leftImg8bit/train_extra to the unlabelled images
  config.data.labeled = config.data.labeled or '1/8'
  config.data.size = (512, 1024)
  config.data.working_copy = 'disk'
  config.model.preprocessing = 'classmix_cityscapes'
  config.optim.freeze_bn_affine = True
  config.optim.duplicate_steps = True
  config.paper = papers.classmix_row()
  return papers.apply(config)
