"""From files to batches on the devices.

source.py            `Source` and `Dataset`: random access to examples; subsets, unions, caches
splits.py            which training examples are labelled
unreadable.py        which examples are skipped because they are unreadable, and why
label_check.py       checks the labels before the first step, by label_statistics.py
class_list.py        prints the classes with their shares of the pixels
sampler.py           which example is at which position of the endless stream
random_crop.py       which window of a frame an example shows
example_reader.py    reads, checks and pads examples for all pipelines
input_pipeline.py    training batches by tf.data; the only module of training that uses TensorFlow
thread_pipeline.py   the same batches by threads, without TensorFlow
device_pipeline.py   the same batches, cut on the devices from frames in their memory
eval_batches.py      validation batches
disk_cache.py        decoded frames on the disk
feed.py              groups batches and copies them to the devices
files/               image and mask files
class_files/         files of class names
"""
