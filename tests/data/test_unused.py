"""What stands in a directory and is not read is counted and named; nothing else is left out."""

from pathlib import Path

from PIL import Image
import pytest
from toy import assert_says

from classmix_jax.data.duplicates import find_equal_files
from classmix_jax.data.files import find_images as find_images_module
from classmix_jax.data.files.file_source import image_source
from classmix_jax.data.files.find_images import find_images
from classmix_jax.data.files.unused import describe_system_files, describe_unused, list_unused


def make(directory, *names, content=b'x'):
  for name in names:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)
  return directory


@pytest.fixture
def no_heif(monkeypatch):
  extensions = [one for one in find_images_module.EXTENSIONS if one[:4] not in ('.hei', '.hif')]
  monkeypatch.setattr(find_images_module, 'readable_extensions', lambda: tuple(extensions))


def test_files_that_are_not_read_are_counted_by_extension(tmp_path, no_heif):
  make(tmp_path, 'a.jpg', 'b.JFIF', *(f'IMG_{i}.HEIC' for i in range(30)), 'c.heic')
  make(
    tmp_path, 'x.dng', 'film.mp4', 'all.zip', 'm.npy', 'page.pdf', 'y.nii.gz', 'README', 'a.json'
  )
  make(tmp_path, 'z.xyz', 'sub/w.xyz')
  sentences = describe_unused([tmp_path])
  assert_says(sentences[0], '1 file without an extension is not read', str(tmp_path / 'README'))
  assert len(sentences) == 10
  by_kind = {one.reason: (len(one.paths), one.remedy) for one in list_unused([tmp_path])}
  assert by_kind['*.HEIC'][0] == 31 and by_kind['*.xyz'] == (2, '')
  assert "pip install 'classmix_jax[heic]'" in by_kind['*.HEIC'][1]
  for extension, word in {
    'dng': 'develop',
    'mp4': 'frames',
    'zip': 'unpack',
    'npy': 'arrays',
    'pdf': 'PNG',
    'nii.gz': 'slices',
    'json': 'convert_labels',
  }.items():
    assert word in by_kind[f'*.{extension}'][1]
  assert find_images(tmp_path).keys() == {'a', 'b'}


def test_system_files_are_one_sentence_and_no_images(tmp_path):
  make(
    tmp_path, 'a.png', '.DS_Store', 'Thumbs.db', 'desktop.ini', '._a.png', 'a.tfw', 'a.tif.aux.xml'
  )
  make(tmp_path, '@eaDir/a.png/SYNOPHOTO_THUMB_M.jpg', '.ipynb_checkpoints/a-checkpoint.png')
  make(tmp_path, '__MACOSX/._b.png', '#recycle/b.png', '$RECYCLE.BIN/c.png', '.thumbnails/d.png')
  assert find_images(tmp_path) == {'a': tmp_path / 'a.png'}
  assert describe_unused([tmp_path]) == []
  assert_says(describe_system_files([tmp_path]), '12 hidden, system', '.DS_Store')
  assert describe_system_files([make(tmp_path / 'b', 'a.png')]) == ''


@pytest.mark.parametrize(
  'files, reason',
  [
    (('a.png', 'a_overlay.png', 'a_confidence.png', 'classes.json'), 'results of predict'),
    (('a.png', 'a_overlay.png', 'a_confidence.png'), 'results of predict'),  # interrupted
    (('config.json', 'metrics.jsonl', 'predictions.png'), 'a training run'),
    (('report.txt', 'contact_sheet.png', 'mixed.png'), 'a report of check_data'),
  ],
)
def test_results_of_our_programs_are_no_images(tmp_path, files, reason):
  make(tmp_path, 'v.png')
  make(tmp_path / 'out', *files)
  assert find_images(tmp_path).keys() == {'v'}
  assert describe_unused([tmp_path]) == [f'{tmp_path / "out"} is left out: {reason}.']


def test_results_beside_images_are_left_out_if_asked_for(tmp_path):
  """As masks they may be wanted: predictions that were mended by hand."""
  make(tmp_path, 'a.png', 'a_overlay.png', 'a_confidence.png', 'b.png', 'b_overlay.png')
  assert len(find_images(tmp_path)) == 5
  assert find_images(tmp_path, without_results=True).keys() == {'b', 'b_overlay'}
  sentences = describe_unused([tmp_path], without_results=True)
  assert len(sentences) == 1 and 'results of predict' in sentences[0]
  assert find_images(make(tmp_path / 'c', 'out/d.png'), [tmp_path / 'c/out']) == {}


def test_empty_files_are_named(tmp_path):
  make(tmp_path, 'a.png', 'b/c.jpg', content=b'')
  assert_says(describe_unused([tmp_path])[0], '2 files are empty: copy again, or remove')


def source_of(directory):
  return image_source(find_images(directory))


def test_images_of_equal_content_are_named_by_their_parts(tmp_path):
  for part, colors in {'labelled': [1, 2, 2], 'unlabelled': [1, 3], 'val': [4, 3]}.items():
    (tmp_path / part).mkdir()
    for index, color in enumerate(colors):
      Image.new('L', (200, 100), color).save(tmp_path / part / f'{index}.bmp')
  sources = {part: source_of(tmp_path / part) for part in ('labelled', 'unlabelled', 'val')}
  texts = [equal.describe() for equal in find_equal_files(sources)]
  labelled, across, leak = sorted(texts, key=len)
  assert_says(labelled, '1 labelled image has the same content as another', '2.bmp = ', '1.bmp')
  assert_says(across, '1 unlabelled image has the same content as labelled images')
  assert_says(leak, '1 val image', 'as unlabelled images', 'can make the scores too high')
  assert find_equal_files({'labelled': sources['val'], 'unlabelled': sources['val']}) == []
  assert find_equal_files(sources, most=6) == []  # seven files of one size
  assert len(find_equal_files(sources, most=7)) == 3


def test_a_link_to_the_same_file_and_empty_files_are_no_duplicates(tmp_path):
  make(tmp_path, 'a.png', 'c.png', 'd.png', content=b'')
  (tmp_path / 'a.png').write_bytes(b'image')
  (tmp_path / 'b.png').symlink_to(tmp_path / 'a.png')
  assert find_equal_files({'labelled': source_of(tmp_path)}) == []
  assert find_equal_files({'labelled': source_of(Path(tmp_path) / 'none')}) == []


def test_the_record_of_converted_masks_is_no_finding(tmp_path):
  make(tmp_path, 'a.jpg', 'masks.sha256')
  assert describe_unused([tmp_path]) == []
