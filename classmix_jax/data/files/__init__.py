"""Files of images and masks: how they are found, paired, checked, read and decoded.

find_images.py     directories -> name and path of every image, by directory_walk.py
unused.py          files in a directory that are not read
pairs.py           images and masks of the same name
name_list.py       lists of names: which image a line means; list_words.py
checks.py          compares the headers of images and masks; checks paths and options
findings.py        collects what is wrong with single files
open_image.py      opens image files with PIL; converts errors
image_io.py        image file -> RGB array
reading.py         bands and range of values -> RGB bytes
pixel_io.py        image file -> values as they are stored; tiff_io.py reads TIFF
mask_io.py         mask file -> class ids, by decoding.py
mask_pixels.py     mask file -> ids or colours, transparency; mask_format.py and mask_grey.py help
mask_messages.py   errors of masks, with the remedies of mask_advice.py
transparency.py    compares the transparency of masks with their colours
turning.py         images that EXIF turns, and their masks
compression.py     finds lossy formats
colors.py          colours as triples, integers and text
file_source.py     pairs -> `Source`
archives.py        refuses archives that would fill the disk
tfds_prepare.py    prepares a data set by TensorFlow Datasets; tfds_records.py reads its records
"""
