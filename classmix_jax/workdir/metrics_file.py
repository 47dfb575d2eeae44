"""Trims metrics.jsonl to the steps before a checkpoint."""

import json


def truncate_metrics(text: str, step: int) -> str:
  """Returns the JSON lines up to a step, without later or incomplete lines.

  Example:
    >>> truncate_metrics('{"step": 1}\\n{"step": 2}\\n{"st', step=1)
    '{"step": 1}\\n'
  """
  lines = []
  for line in text.splitlines():
    try:
      if json.loads(line)['step'] <= step:
        lines.append(line + '\n')
    except (ValueError, KeyError, TypeError):
      continue  # an incomplete line, written when the process was killed
  return ''.join(lines)
