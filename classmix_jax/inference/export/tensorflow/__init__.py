"""SavedModel and TFLite, written with TensorFlow's own operations.

    program = trace(network, sizes='b, h, w')
    savedmodel.write(program, directory)
    tflite.write([trace(network, sizes=f'1, {h}, {w}') for h, w in sizes], path)

Imported lazily, because TensorFlow is optional and loads slowly.
"""
