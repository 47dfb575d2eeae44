"""Writes a result file that is complete even if the program is killed."""

import json
from pathlib import Path


def write(path: str | Path, content: object) -> None:
  """Replaces a JSON file atomically; writes nothing if `path` is empty."""
  if path:
    temporary = Path(f'{path}.tmp')
    temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')
    temporary.replace(path)
