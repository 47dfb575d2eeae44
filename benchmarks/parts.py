"""Times each part of a training step, compiled alone, on random images.

    python benchmarks/parts.py --config=configs/camvid.py:method=classmix,labeled=46 \
        [--config.FIELD=VALUE] [--classes=11] [--steps=30] [--output=FILE.json]

For methods with a mean teacher, one device. Times are those of --steps consecutive calls, with one
wait at the end. Within the step, the compiler fuses parts, so their times differ slightly.
"""

import functools

from absl import app
import json_file

# With the flags of benchmarks/step.py.
from step import CLASSES, CONFIG, OUTPUT, STEPS, about, prepare


def programs(config):
  """Returns name -> function without arguments; their inputs are computed before."""
  import jax
  import numpy as np
  import optax

  from classmix_jax.config.model import build_method, build_optimizer, choose_devices
  from classmix_jax.core.losses import cross_entropy
  from classmix_jax.core.packing import pack
  from classmix_jax.core.tiling import per_pixel
  from classmix_jax.methods.pseudo_label import make_pseudo_label
  from classmix_jax.tools.sweep.random_step import image_size, random_batch
  from classmix_jax.training.create_state import create_state
  from classmix_jax.training.step import make_train_step
  from classmix_jax.types import AXIS

  devices = choose_devices(config)[:1]
  method = build_method(config, CLASSES.value)
  tx = build_optimizer(config, method, config.steps)
  image = jax.ShapeDtypeStruct((1, *image_size(config), 3), np.float32)

  def create_fresh_state():
    return create_state(method, tx, jax.random.key(0, impl='rbg'), image, devices)

  state, (batch, _) = create_fresh_state(), random_batch(config, CLASSES.value, devices)
  on_device = functools.partial(jax.pmap, axis_name=AXIS, devices=devices)
  key = jax.random.key(0)

  @functools.partial(on_device, in_axes=(None, 0))
  def targets(state, batch):
    return method.targets(state, batch, key)[0]

  @functools.partial(on_device, in_axes=(None, 0))
  def teacher(state, batch):
    return make_pseudo_label(
      method.model,
      state.method_state['teacher'],
      state.model_state['teacher'],
      batch.unlabeled,
      train=True,
      exclude_padding=True,
    )

  def loss(params, state, targets):
    first = jax.tree.map(lambda x: x[0], targets)  # of the micro-batches
    return method.loss(params, state.model_state, first)[0]

  forward = on_device(lambda state, targets: loss(state.params, state, targets), in_axes=(None, 0))
  both = on_device(
    lambda state, targets: jax.grad(loss)(state.params, state, targets), in_axes=(None, 0)
  )

  @on_device
  def upsampled_loss(logits, label):
    def whole(logits):
      return per_pixel(cross_entropy, logits, label).mean()

    return jax.grad(whole)(logits)

  @jax.jit
  def update(state, gradient):
    updates, opt_state = tx.update(gradient, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    return params, opt_state, method.finish(state.replace(params=params))

  learned = targets(state, batch)
  gradient = jax.tree.map(lambda x: x[0], both(state, learned))
  label = batch.labeled.label[:, 0].astype(np.int32)
  low = [-(-length // 8) for length in label.shape[2:]]
  logits = np.zeros((*label.shape[:2], *low, CLASSES.value), np.float32)

  step, states = make_train_step(method, tx, 0, devices), [pack(create_fresh_state())]

  def whole():
    states[0], metrics = step(states[0], batch)
    return metrics

  return {
    'whole step': whole,
    'targets: teacher, mixing, augmentation': lambda: targets(state, batch),
    'teacher': lambda: teacher(state, batch),
    'student, forward': lambda: forward(state, learned),
    'student, forward and backward': lambda: both(state, learned),
    'upsampling and loss of labelled images, with gradient': lambda: upsampled_loss(logits, label),
    "optimizer and teacher's average": lambda: update(state, gradient),
  }


def main(_) -> None:
  import jax

  from classmix_jax.tools.sweep.random_step import WARM_UP, time_calls

  config = CONFIG.value
  prepare(config)
  result = {}
  for name, program in programs(config).items():
    time_calls(program, WARM_UP)
    result[name] = time_calls(program, STEPS.value)
    print(f'{name:56}{result[name]:9.1f} ms{result[name] / result["whole step"]:6.0%}', flush=True)
  around = (
    result['targets: teacher, mixing, augmentation']
    - result['teacher']
    + result["optimizer and teacher's average"]
  )
  print(
    f'{"mixing, augmentation, optimizer, average":56}{around:9.1f} ms'
    f'{around / result["whole step"]:6.0%}'
  )
  json_file.write(
    OUTPUT.value,
    {
      **about(config, jax.devices()[:1]),
      'images': config.batch_size + config.unlabeled_batch_size,
      'steps': STEPS.value,
      'ms': result,
      'around_ms': around,
    },
  )


if __name__ == '__main__':
  app.run(main)
