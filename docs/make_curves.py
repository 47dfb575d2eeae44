"""Draws validation curves of several runs.

    python docs/make_curves.py docs/images/curves.png RUNS/camvid-supervised-0 ...

Runs of one method share a colour; the teacher's curve is dashed.
"""

import json
from pathlib import Path
import sys

import matplotlib

matplotlib.use('agg')
from matplotlib import pyplot  # noqa: E402

NETWORKS = {'student': '-', 'teacher': '--'}


def main(output: Path, runs: list[Path]) -> None:
  figure, axes = pyplot.subplots(figsize=(7, 4))
  colors = {}
  for run in runs:
    config = json.loads((run / 'config.json').read_text())
    method = config['method']['name']
    color = colors.setdefault(method, f'C{len(colors)}')
    rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    for network, style in NETWORKS.items():
      points = [
        (row['step'], 100 * row[f'eval/miou_{network}'])
        for row in rows
        if f'eval/miou_{network}' in row
      ]
      if points:
        axes.plot(
          *zip(*points, strict=True),
          style,
          color=color,
          marker='.',
          label=f'{method}, {network}, seed {config["seed"]}',
        )
  axes.set_xlabel('step')
  axes.set_ylabel('validation mIoU in %')
  axes.grid(alpha=0.3)
  axes.legend(fontsize='small')
  figure.tight_layout()
  figure.savefig(output, dpi=110)


if __name__ == '__main__':
  main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
