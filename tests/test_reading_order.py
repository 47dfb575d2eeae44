"""The size of what a newcomer reads: ClassMix in five files, and no long module in training."""

from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'classmix_jax'
READING_ORDER = (
  'types.py',
  'masks/class_mask.py',
  'core/mixing.py',
  'methods/mean_teacher.py',
  'training/step.py',
)
TRAINING_PATH = ('core', 'masks', 'methods', 'models', 'data', 'training', 'evaluation')


def count_lines(path):
  return len(path.read_text(encoding='utf-8').splitlines())


def test_classmix_is_five_files_of_460_lines():
  lines = {name: count_lines(PACKAGE / name) for name in READING_ORDER}
  assert sum(lines.values()) <= 460, lines


@pytest.mark.parametrize('room', TRAINING_PATH)
def test_modules_of_the_training_path_are_short(room):
  lines = {path.name: count_lines(path) for path in (PACKAGE / room).rglob('*.py')}
  assert {name: count for name, count in lines.items() if count > 250} == {}
