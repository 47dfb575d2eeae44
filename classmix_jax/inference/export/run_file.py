"""Runs an exported file on images, in a process that imports its library and nothing else.

    python run_file.py onnx OUT/model.onnx INPUTS.npz OUTPUTS.npz 3

INPUTS has arrays `[B, H, W, 3]` uint8 of some names. OUTPUTS gets the arrays NAME/label and so on,
and `seconds`, of each repetition for the first image of the first array. The last line that is
printed names the library.
"""

import os
import sys
import time
import warnings

import numpy as np


def load_stablehlo(path):
  import jax
  from jax import export

  with open(path, 'rb') as file:
    model = export.deserialize(bytearray(file.read()))
  # A program is compiled once for each size.
  return jax.jit(model.call), f'jax {jax.__version__}'


def load_savedmodel(path):
  import tensorflow as tf

  return tf.saved_model.load(path), f'tensorflow {tf.__version__}'


def load_tflite(path):
  import tensorflow as tf

  with warnings.catch_warnings():
    warnings.simplefilter('ignore')  # that tf.lite moves to another package
    interpreter = tf.lite.Interpreter(path, num_threads=os.cpu_count())

  def call(images):
    runner = interpreter.get_signature_runner(f'{images.shape[1]}x{images.shape[2]}')
    outputs = [runner(images=image[None]) for image in images]
    return {name: np.concatenate([one[name] for one in outputs]) for name in outputs[0]}

  return call, f'TFLite of tensorflow {tf.__version__}'


def load_onnx(path):
  import onnxruntime

  session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])
  names = [output.name for output in session.get_outputs()]

  def call(images):
    return dict(zip(names, session.run(names, {'images': images}), strict=True))

  return call, f'onnxruntime {onnxruntime.__version__}'


LOADERS = {
  'stablehlo': load_stablehlo,
  'savedmodel': load_savedmodel,
  'tflite': load_tflite,
  'onnx': load_onnx,
}


def run(call, images):
  """Returns the outputs for some images as arrays."""
  return {name: np.asarray(value) for name, value in call(images).items()}


def measure(call, image):
  """Returns the seconds of a call."""
  start = time.perf_counter()
  run(call, image)
  return time.perf_counter() - start


def run_all(call, images, repetitions):
  """Returns the outputs for all images, and the seconds of some calls for the first one."""
  results = {
    f'{name}/{key}': value
    for name, batch in images.items()
    for key, value in run(call, batch).items()
  }
  first = next(iter(images.values()))[:1]
  run(call, first)  # which may compile another program for one image
  return {**results, 'seconds': np.array([measure(call, first) for _ in range(repetitions)])}


def main(kind, path, inputs, outputs, repetitions):
  # On the CPU, which every machine has; an accelerator may be in use.
  os.environ.update(TF_CPP_MIN_LOG_LEVEL='3', CUDA_VISIBLE_DEVICES='', JAX_PLATFORMS='cpu')
  os.environ.pop('TF_ENABLE_ONEDNN_OPTS', None)  # which trainings switch off
  call, library = LOADERS[kind](path)
  with np.load(inputs, allow_pickle=False) as arrays:
    results = run_all(call, dict(arrays), int(repetitions))
  np.savez(outputs, **results)
  print(library)


if __name__ == '__main__':
  main(*sys.argv[1:])
