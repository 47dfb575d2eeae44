"""Images made to do harm: none starts a program or fills the memory."""

import struct
import tracemalloc
import zlib

import numpy as np
from PIL import Image
import pytest
import toy

from classmix_jax.data.files import mask_io
from classmix_jax.data.files.image_io import read_image
from classmix_jax.data.files.mask_io import read_mask
from classmix_jax.data.files.reading import parse_reading
from classmix_jax.errors import UserError

MEGABYTE = 2**20


def test_images_start_no_program(tmp_path, monkeypatch):
  """PIL passes an EPS file to Ghostscript, whatever its name."""
  path = tmp_path / 'x.png'
  Image.new('RGB', (3, 2)).save(path, 'EPS')
  with Image.open(path) as image:
    assert image.format == 'EPS'
  monkeypatch.setattr(
    'subprocess.check_call', lambda *_, **__: pytest.fail('a program was started')
  )
  with pytest.raises(UserError, match='x.png does not decode .*not an image that can be ident'):
    read_image(path)


def chunk(kind, data):
  return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png(*chunks, size=(2, 3)):
  header = chunk(b'IHDR', struct.pack('>IIBBBBB', *size, 8, 0, 0, 0, 0))
  pixels = chunk(b'IDAT', zlib.compress((b'\0' + b'\1' * size[0]) * min(size[1], 9)))
  return b'\x89PNG\r\n\x1a\n' + header + b''.join(chunks) + pixels + chunk(b'IEND', b'')


BOMB = zlib.compress(bytes(80 * MEGABYTE), 9)


@pytest.mark.parametrize(
  'chunks, size',
  [
    ([chunk(b'zTXt', b'Comment\0\0' + BOMB)], (2, 3)),
    ([chunk(b'iTXt', b'Comment\0\1\0\0\0' + BOMB)], (2, 3)),
    ([chunk(b'iCCP', b'profile\0\0' + BOMB)], (2, 3)),
    ([], (70_000, 70_000)),
  ],
)
def test_decompression_bombs(chunks, size, tmp_path):
  """80 MB of metadata compressed to 80 kB, and a header that claims five billion pixels."""
  (tmp_path / 'x.png').write_bytes(png(*chunks, size=size))
  decoding = mask_io.Decoding(('a', 'b'), np.arange(65536, dtype=np.int16))
  for read in (read_image, lambda path: read_mask(path, decoding)):
    try:
      array = read(tmp_path / 'x.png')
    except UserError as error:
      toy.assert_says(str(error), tmp_path / 'x.png')
    else:  # PIL does not decompress some kinds, which is as good
      assert array.shape[:2] == (3, 2)


def test_too_many_pixels_name_their_remedy(tmp_path):
  (tmp_path / 'x.png').write_bytes(png(size=(70_000, 70_000)))
  with pytest.raises(UserError, match='more than 178,956,970 pixels: cut it into parts'):
    read_image(tmp_path / 'x.png')


def test_compressed_metadata_is_allowed(tmp_path):
  (tmp_path / 'x.png').write_bytes(png(chunk(b'zTXt', b'Comment\0\0' + zlib.compress(b'hello'))))
  assert read_image(tmp_path / 'x.png').shape == (3, 2, 3)


def tiff(strip, compression, *, side=2, samples=4, bits=16):
  """A TIFF with one strip, whose header may claim anything."""
  entries = [
    (256, 4, side), (257, 4, side), (258, 3, bits), (259, 3, compression), (262, 3, 1),
    (273, 4, 8), (277, 3, samples), (278, 4, side), (279, 4, len(strip)), (284, 3, 1),
  ]  # fmt: skip
  tags = b''.join(struct.pack('<HHII', tag, kind, 1, value) for tag, kind, value in entries)
  start = 8 + len(strip) + len(strip) % 2
  directory = struct.pack('<H', len(entries)) + tags + bytes(4)
  return b'II*\0' + struct.pack('<I', start) + strip.ljust(start - 8, b'\0') + directory


@pytest.mark.parametrize('compression', [1, 5, 8, 32773, 32946, 50000])
@pytest.mark.parametrize(
  'claims',
  [{}, {'side': 70_000}, {'side': 13_000, 'samples': 60_000}, {'bits': 60_000}, {'samples': 0}],
)
def test_tiffs_that_claim_anything_fill_no_memory(tmp_path, compression, claims):
  """80 MB of zeros in 80 kB for a tile of 2x2, and headers that claim terabytes."""
  path = tmp_path / 'x.tif'
  path.write_bytes(tiff(BOMB, compression, **claims))
  tracemalloc.start()
  try:
    image = read_image(path, reading=parse_reading('1'))
  except UserError as error:
    toy.assert_says(str(error), path)
  else:
    assert not claims and image.shape == (2, 2, 3)
  assert tracemalloc.get_traced_memory()[1] < 20 * MEGABYTE
  tracemalloc.stop()


def test_a_circle_of_pages_ends(tmp_path):
  data = bytearray(tiff(bytes(32), 1))
  data[-4:] = data[4:8]  # the next page is this one
  (tmp_path / 'x.tif').write_bytes(data)
  assert read_image(tmp_path / 'x.tif', reading=parse_reading('1')).shape == (2, 2, 3)
