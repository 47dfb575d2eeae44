"""Writes the tables of benchmarks/README.md and docs/export.md from benchmarks/results/.

    python benchmarks/tables.py

A table is between `<!-- NAME -->` and `<!-- end -->`; NAME is one of `TABLES`.
"""

from collections.abc import Callable, Mapping
import json
from pathlib import Path
import re
import statistics

HERE = Path(__file__).resolve().parent
PAGES = (HERE / 'README.md', HERE.parent / 'docs' / 'export.md')
BLOCK = re.compile(r'(<!-- (\w+) -->\n).*?(<!-- end -->)', re.DOTALL)


def read(name: str) -> dict:
  return json.loads((HERE / 'results' / name).read_text(encoding='utf-8'))


def table(head: list[str], rows: list[list[str]]) -> str:
  lines = [head, ['---'] * len(head), *rows]
  return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def against_torch() -> str:
  """Returns a row for each results/compare_*.json: ours and torch alternately."""
  rows = []
  for path in sorted((HERE / 'results').glob('compare_*.json')):
    result = read(path.name)
    images = f'{result["batch"]}' + f' + {result["batch"]}' * (result['method'] == 'classmix')
    ms = [f'{pair["ours"]["ms"]:.0f} / {pair["torch"]["ms"]:.0f}' for pair in result['pairs']]
    variants = dict.fromkeys(pair['torch']['best'] for pair in result['pairs'])
    rows.append(
      [
        result['backbone'],
        result['method'],
        result['dtype'],
        f'{images} of {result["size"].replace(",", "x")}',
        str(result['pairs'][0]['ours']['cores']),
        ', '.join(variants),
        ', '.join(ms),
        ' '.join(f'{ratio:.2f}' for ratio in result['ratios']),
        f'**{statistics.median(result["ratios"]):.2f}**',
      ]
    )
  return table(
    [
      'network',
      'step',
      'dtype',
      'images',
      'cores',
      "torch's fastest",
      'ours / torch in ms, pair by pair',
      'ratios',
      'median',
    ],
    rows,
  )


def parts() -> str:
  """Returns the table of results/parts_*.json, side by side."""
  result = [read(path.name) for path in sorted((HERE / 'results').glob('parts_*.json'))]
  head = ['part, in ms'] + [
    f'{one["model"]["backbone"]}, {one["images"]} of {"x".join(map(str, one["crop"]))}'
    for one in result
  ]
  whole = [one['ms']['whole step'] for one in result]

  def share(values):
    return [f'{value:.1f} ({value / of:.1%})' for value, of in zip(values, whole, strict=True)]

  rows = [[name, *share([one['ms'][name] for one in result])] for name in result[0]['ms']]
  around = '**mixing, augmentation, optimizer, average together**'
  return table(head, [*rows, [around, *share([one['around_ms'] for one in result])]])


def memory() -> str:
  """Returns the table of results/memory.json: MiB of temporaries, without and with remat."""
  rows = read('memory.json')['rows']
  cells = {
    (row['method'], row['dtype'], row['accumulate'], row['remat']): row['temp'] for row in rows
  }
  kinds = list(dict.fromkeys((row['method'], row['dtype']) for row in rows))
  counts = list(dict.fromkeys(row['accumulate'] for row in rows))

  def number(key):
    return f'{cells[key]:.0f}' if key in cells else '-'  # not measured

  def cell(kind, count):
    return ' / '.join(number((*kind, count, remat)) for remat in ('off', 'on'))

  return table(
    [
      'temporaries in MiB, without / with `config.model.remat`',
      *(f'{count} micro-batches' if count > 1 else '1 micro-batch' for count in counts),
    ],
    [[', '.join(kind), *(cell(kind, count) for count in counts)] for kind in kinds],
  )


def accelerators() -> str:
  """Returns the table of results/accelerators.json: a row for each compiled program.

  Only GPUs have a roofline: much of the data of a TPU's kernels stays on the chip.
  """
  rows = []
  for row in read('accelerators.json')['rows']:
    gpu = row['topology'].startswith('h100')
    model = [f'{row["gigabytes"]:.1f}', f'{row["work_ms"]:.1f} + {row["launch_ms"]:.1f}']
    rows.append(
      [
        row['topology'],
        f'{row["backbone"]} {row.get("head", "")}'.strip()
        + ''.join(f', {name}' for name in ('remat', 'frozen') if row.get(name) == 'on'),
        row['method'],
        row['images'],
        f'{row["temp"]:,.0f}',
        f'{row["kernels"]:,}',
        *(model if gpu else '--'),
        str(row['collectives']),
        f'{row["seconds"]:.0f}',
        str(len(row['faults'])),
        (row['commit'] or '-')[:7],
      ]
    )
  return table(
    [
      'for',
      'backbone',
      'method',
      'images of a device',
      'temporaries, MiB',
      'kernels',
      'GB',
      'roofline + launches, ms',
      'collectives',
      'compiled in s',
      'faults',
      'commit',
    ],
    rows,
  )


def dispatch() -> str:
  """Returns the table of results/dispatch.json: a row for each backbone."""
  states = {(row['backbone'], row['state']): row for row in read('dispatch.json')['rows']}
  pairs = [
    (states[name, 'as it is'], states[name, 'packed'])
    for name in dict.fromkeys(backbone for backbone, _ in states)
  ]
  return table(
    ['backbone', 'arrays', 'ms', 'arrays, packed', 'ms'],
    [
      [plain['backbone']]
      + [text for row in (plain, packed) for text in (str(row['arrays']), f'{row["ms"]:.2f}')]
      for plain, packed in pairs
    ],
  )


def export_formats() -> str:
  """Returns the table of results/export_formats.json: a row for each network.

  A cell has the largest difference of logits relative to the largest, and the share of pixels with
  another class.
  """
  result = read('export_formats.json')
  kinds = ('stablehlo', 'onnx', 'savedmodel', 'tflite')

  def cell(value: dict) -> str:
    if 'reason' in value:
      return value['reason']
    return f'{value["difference"]:.1e}, {100 * value["pixels"]:.4f} %'

  rows = [
    [name, str(row['frames']), *(cell(row[kind]) for kind in kinds)]
    for name, row in result['networks'].items()
  ]
  return table(['network', 'frames', *(f'`{kind}`' for kind in kinds)], rows)


TABLES: Mapping[str, Callable[[], str]] = {
  'against_torch': against_torch,
  'parts': parts,
  'memory': memory,
  'accelerators': accelerators,
  'dispatch': dispatch,
  'export_formats': export_formats,
}


def filled(text: str) -> str:
  """Returns the text with every table replaced."""
  return BLOCK.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], text)


def main() -> None:
  for page in PAGES:
    page.write_text(filled(page.read_text(encoding='utf-8')), encoding='utf-8')


if __name__ == '__main__':
  main()
