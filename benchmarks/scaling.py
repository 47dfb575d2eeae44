"""Times a step on 1, 2, 4, ... devices: weak scaling (batch grows) and strong (batch fixed).

    python benchmarks/scaling.py --config=configs/camvid.py:method=classmix,labeled=46 \
        [--config.FIELD=VALUE] [--devices=1,2,4,8] [--steps=10] [--output=FILE.json]

Runs benchmarks/step.py once per point; unknown arguments go there. The
config's batch is that of one device (weak) or of all together (strong; it must divide). On a CPU
the devices are simulated and share its cores: this measures the cost of communication, and an
efficiency of 100 % is a step that takes as long per image as on one device. Also counts the
collectives of a step, from the compiled program.
"""

import argparse
import json
import os
from pathlib import Path
import subprocess
import sys
import tempfile

HERE = Path(__file__).resolve().parent


def measured(devices: int, times: int, arguments: list[str]) -> dict:
  """Runs a step on some devices, with `times` times the batch of the config."""
  with tempfile.TemporaryDirectory() as directory:
    path = Path(directory) / 'result.json'
    subprocess.run(
      [
        sys.executable,
        str(HERE / 'step.py'),
        *arguments,
        f'--devices={devices}',
        f'--times_batch={times}',
        f'--output={path}',
      ],
      env={**os.environ, 'JAX_NUM_CPU_DEVICES': str(devices)},
      check=True,
    )
    return json.loads(path.read_text())


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--devices', default='1,2,4,8')
  parser.add_argument('--output', type=Path)
  options, arguments = parser.parse_known_args()
  counts, rows = list(map(int, options.devices.split(','))), []
  for kind in ('weak', 'strong'):
    for devices in counts:
      times = devices if kind == 'weak' else max(counts)
      result = measured(devices, times, arguments)
      per_image = result['ms'] / result['images_per_step']
      # Simulated devices share the cores of one; real ones have their own.
      cost = per_image * (1 if result['made_up_devices'] else devices)
      rows.append({'kind': kind, 'devices': devices, 'cost': cost, **result})
  for row in rows:
    first = next(other for other in rows if other['kind'] == row['kind'])
    row['efficiency'] = first['cost'] / row['cost']
    print(
      f'{row["kind"]:7}{row["devices"]:3} devices{row["images_per_step"]:5} images'
      f'{row["ms"]:9.1f} ms{row["images_per_s"]:8.1f} images/s'
      f'{row["efficiency"]:6.0%}{row["collectives"]:5} collectives'
      f'{row["collective_bytes"] / 1e6:8.1f} MB'
    )
  if options.output:
    options.output.write_text(json.dumps(rows, indent=1) + '\n')


if __name__ == '__main__':
  main()
