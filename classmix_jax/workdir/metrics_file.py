"""Lines of metrics.jsonl."""

import json


def truncate_metrics(text: str, step: int) -> str:
  """Keeps the JSON lines of steps <= `step`; drops later and torn ones."""
  kept = []
  for line in text.splitlines():
    try:
      if json.loads(line)['step'] <= step:
        kept.append(line + '\n')
    except (ValueError, KeyError, TypeError):
      continue  # a line that was cut short by a crash
  return ''.join(kept)
