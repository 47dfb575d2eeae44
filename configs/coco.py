"""UniMatch V2 on COCO, crops of 518: arXiv 2410.10777, DINOv2-B with the DPT head.

    python launch/main.py --config=configs/coco.py:method=unimatch_v2 --config.data.root=DIR

DIR holds train2017/, val2017/ and masks/; docs/datasets.md paints the masks. 925 (1/128) of the
118,287 images are labelled.

Expected: the paper's 58.7 mIoU. Not yet run.
"""

from classmix_jax.config import defaults, papers


def get_config(text: str | None = None):
  config = defaults.get_config(text)
  config.name = 'coco'
  config.batch_size = 16
  config.unlabeled_batch_size = 16
  config.data.name = 'coco'
  config.data.unlabeled2017 = False  # adds unlabeled2017/ to the unlabelled images
  config.data.labeled = config.data.labeled or '925'
  config.data.crop = (518, 518)
  config.data.scale = (0.5, 2.0)
  config.data.flip = True
  config.eval_batch_size = 8
  return papers.apply(config)
