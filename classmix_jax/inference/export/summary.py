"""What an export prints: a line for each file, their sizes and their scores."""

from classmix_jax.inference.export.export import Exported
from classmix_jax.inference.export.model_card import Written
from classmix_jax.inference.export.score import describe_scores


def describe_file(file: Written) -> str:
  """Returns the name of a file, how it differs from JAX, and how fast it is."""
  check, parts = file.check, []
  if check.difference is not None:
    parts.append(f"logits within {check.difference:.1e} of JAX's, relative to the largest")
  if check.pixels is not None:
    parts.append(f'{100 * check.pixels:.3f} % of the pixels have another class')
  return (
    f'{file.path.name}: {", ".join(parts) or "runs"}; {check.milliseconds:.0f} ms per image with '
    f'{check.library}'
  )


def describe_export(exported: Exported) -> str:
  """Returns the sizes of the images of the test and of the files, and the scores."""
  height, width = exported.size
  lines = [f'JAX: {exported.milliseconds:.0f} ms per image; all of {height}x{width}, on the CPU']
  fixed = [file for file in exported.files if file.sizes]
  others = [file.path.name for file in exported.files if not file.sizes]
  if others:
    lines.append(f'{", ".join(others)}: images of any number and size')
  if fixed:
    sizes = ', '.join(f'{height}x{width}' for height, width in fixed[0].sizes)
    title = exported.title and f', {exported.title}'
    lines.append(
      f'{fixed[0].path.name}: one image of {sizes} (height x width) only{title}; '
      '--sizes=HEIGHTxWIDTH,... chooses others'
    )
  if exported.scores.miou:
    lines.append(describe_scores(exported.scores.miou, exported.scores.images))
  lines += [f'note: {note}' for note in exported.scores.notes]
  if exported.left_out:
    lines.append(
      f'note: the run is evaluated with {" and ".join(exported.left_out)}; a file sees an image '
      'as a whole and once'
    )
  return '\n'.join(lines)
