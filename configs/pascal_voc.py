"""ClassMix on PASCAL VOC 2012, crops of 321: arXiv 2007.07936, DeepLab-v2 with ResNet-101.

    python launch/main.py --config=configs/pascal_voc.py --config.data.root=VOCdevkit/VOC2012

1,323 (1/8) of the 10,582 images with masks in SegmentationClassAug are labelled; docs/datasets.md
lists the files.

Expected: the paper's 71.00 mIoU. Not yet run.
The paper starts from COCO weights, config.model.pretrained=resnet101COCO-41f33a49.pth; without
them the network starts from random weights. See docs/weights.md.

Differences from the original implementation:
- Padding is black before the means are subtracted. The original pads with 0 afterwards.
- The biases of the head start at 0 unless the weights include the head. The original draws them
  from +-0.0074.
- config.data.split_seed draws the labelled images from the sorted names. The original ships them as
  the list split_0.
"""

from classmix_jax.config import defaults, papers


def get_config(text: str | None = None):
  config = defaults.get_config(text)
  config.name = 'pascal_voc'
  config.batch_size = 10
  config.unlabeled_batch_size = 10
  config.data.name = 'pascal_voc'
  config.data.masks = 'SegmentationClassAug'  # training masks, or SegmentationClass
  config.data.labeled = config.data.labeled or '1/8'
  config.data.crop = (321, 321)
  config.data.scale = (0.5, 1.6)
  config.data.scale_step = 0.1
  config.eval.pad = (505, 505)
  config.data.working_copy = 'disk'
  config.model.preprocessing = 'classmix_voc'
  config.optim.freeze_bn_affine = True
  config.optim.duplicate_steps = True
  config.paper = papers.classmix_row()
  config.paper.update(
    {
      'source': 'arXiv 2007.07936, PASCAL VOC 2012',
      'global batch': '10 labelled + 10 unlabelled',
      'learning rate': '0.00025 for 10 + 10 images, head 10x',
      'crop': '321x321',
      'protocol': 'paper at own sizes, padded to 505x505, student',
    }
  )
  return papers.apply(config)
