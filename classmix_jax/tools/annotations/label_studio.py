"""Reads Label Studio: exports of the kinds JSON and JSON-MIN.

Synopsis:

    export = read(Path('project-1.json'), Options())
    image = next(export.items)       # regions in the order of the file, later ones on top

Of several annotations of a task, the one marked as ground truth counts, otherwise the latest.
Predictions, drafts and cancelled annotations are ignored. Tasks without annotations get no mask.
"""

from collections.abc import Mapping, Sequence
import functools
from pathlib import Path
from typing import Any

from classmix_jax.errors import UserError
from classmix_jax.tools.annotations.annotation import (
  AnnotatedImage,
  Export,
  Options,
  attempt,
)
from classmix_jax.tools.annotations.detect import Sample
from classmix_jax.tools.annotations.image_files import (
  ImageIndex,
  find_image,
  index_images,
  read_size,
)
from classmix_jax.tools.annotations.label_studio_shapes import (
  count_unplaced,
  has_outline,
  parse_results,
)
from classmix_jax.tools.annotations.label_studio_tasks import (
  Task,
  choose_names,
  is_task,
  list_tasks,
)
from classmix_jax.tools.annotations.parsing import (
  find_annotation_file,
  parse_relative_path,
  read_json_file,
)
from classmix_jax.tools.annotations.rle import import_mask_module


def matches(sample: Sample) -> bool:
  """Returns whether a sample is of Label Studio."""
  return any(map(has_tasks, sample.contents))


def has_tasks(content: Any) -> bool:
  """Returns whether the value of a JSON file is a list of tasks."""
  return isinstance(content, list) and bool(content) and all(map(is_task, content))


def read(path: Path, options: Options) -> Export:
  """Reads the tasks of a project; the classes are the labels of its regions.

  Masks have the names of the image files without directories. Label Studio puts eight digits and
  a hyphen before the names of uploaded files: they are removed, unless `images` has such names.

  Args:
    path: the JSON file, or a directory with one.
    options: `images` are the images, for their names and for tasks without a size.

  Raises:
    UserError: the file is not of Label Studio.

  Example: `next(read(Path('project-1.json'), Options()).items).name == 'street'`.
  """
  file = find_annotation_file(path, '.json')
  images = index_images(options.images)
  try:
    data = read_json_file(file)
    if not has_tasks(data):
      raise UserError("it is no list of tasks with 'data' and 'annotations'.")
  except UserError as error:
    raise UserError(f'{file} is not an export of Label Studio: {error}') from None
  tasks = list_tasks(data, file)
  if any(has_outline(result) for task in tasks for result in task.results or ()):
    import_mask_module()  # raises once if it is not installed, instead of once per image
  names = choose_names([task.image for task in tasks])
  items = (
    attempt(
      task.source,
      functools.partial(parse_image, task, names, images),
      functools.partial(name_task, task, names, images),
    )
    for task in tasks
  )
  return Export((), {}, len(tasks), items, describe_tasks(tasks))


def describe_tasks(tasks: Sequence[Task]) -> list[str]:
  """Returns a sentence on tasks with several annotations, if there are any."""
  several = sum(task.others > 0 for task in tasks)
  sentence = (
    f'{several} tasks have several annotations: the one marked as ground truth counts, otherwise '
    'the latest.'
  )
  return [sentence] if several else []


def parse_image(task: Task, names: Mapping[str, str], images: ImageIndex) -> AnnotatedImage:
  """Parses a task with its regions; raises UserError if a value is invalid."""
  if task.flaw:
    raise UserError(task.flaw)
  name = name_task(task, names, images)
  match = find_task_image(task, names, images)
  if task.results is None:
    return AnnotatedImage(name, task.source, None, (), is_annotated=False)
  size, shapes = parse_results(task.results, read_size(match[1]) if match else None)
  unplaced = ['region without an outline'] * count_unplaced(task.results)
  return AnnotatedImage(name, task.source, size, shapes, unplaced=unplaced)


def find_task_image(
  task: Task, names: Mapping[str, str], images: ImageIndex
) -> tuple[str, Path] | None:
  """Returns (name, path) of the image of a task, with or without the prefix of its upload."""
  return find_image(images, task.image) or find_image(images, names.get(task.image, ''))


def name_task(task: Task, names: Mapping[str, str], images: ImageIndex) -> str:
  """Returns the name of the image of a task; raises UserError if it is invalid."""
  match = find_task_image(task, names, images)
  return match[0] if match else str(parse_relative_path(names.get(task.image)))
