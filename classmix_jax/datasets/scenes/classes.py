"""The classes of the scenes: names, colours and ids; walls and fences are buildings."""

CLASS_NAMES = (
  'sky',
  'building',
  'road',
  'pavement',
  'vegetation',
  'pole',
  'person',
  'car',
  'truck',
)
PALETTE = (
  (70, 130, 180),
  (90, 80, 90),
  (128, 64, 128),
  (244, 100, 220),
  (107, 142, 35),
  (240, 220, 0),
  (220, 20, 60),
  (0, 0, 200),
  (0, 180, 170),
)
SKY, BUILDING, ROAD, PAVEMENT, VEGETATION, POLE, PERSON, CAR, TRUCK = range(9)

NUM_TRAIN, NUM_VAL = 1000, 200  # scenes
