import pytest

from classmix_jax.errors import UserError
from classmix_jax.models.backbones import BACKBONES
from classmix_jax.pretrained import known_files
from classmix_jax.pretrained.hub_name import HubName, parse_hub_name, pin_hub_name

DIGITS = '0123456789abcdef'


@pytest.mark.parametrize(
  'text, name',
  [
    ('hub:a/b', HubName('a/b')),
    ('hub:a/b.c-d_e', HubName('a/b.c-d_e')),
    ('hub:a/b@v1', HubName('a/b', 'v1')),
    ('hub:a/b@refs/pr/3', HubName('a/b', 'refs/pr/3')),
    ('hub:a/b:x.pth', HubName('a/b', file='x.pth')),
    ('hub:a/b@v1:deep/er/x.pth', HubName('a/b', 'v1', 'deep/er/x.pth')),
    (f'hub:a/b@v1:x.pth#sha256={DIGITS}', HubName('a/b', 'v1', 'x.pth', DIGITS)),
    (f'hub:a/b#sha256={DIGITS[:8]}', HubName('a/b', sha256='01234567')),
  ],
)
def test_names_are_parsed_and_written(text, name):
  assert parse_hub_name(text) == name
  assert str(name) == text


@pytest.mark.parametrize(
  'text',
  ['hub:', 'hub:/a', 'hub:a/', 'hub:a/b/c', 'hub:a/b@', 'hub:a/b:', 'hub:a/b:x@v1', 'hub:a/b c']
  + [f'hub:a/b#sha256={digits}' for digits in ('', '0123456', 'ABCDEF01', 65 * '0')],
)
def test_other_forms_are_refused(text):
  with pytest.raises(UserError, match='is not of the form hub:ORG/NAME'):
    parse_hub_name(text)


def test_short_names():
  assert parse_hub_name('hub:resnet50@v1') == HubName('timm/resnet50.tv_in1k', 'v1')
  assert parse_hub_name('hub:dinov2_small').repository == 'facebook/dinov2-small'
  assert (
    parse_hub_name('hub:dinov2_large_reg4').repository == 'facebook/dinov2-with-registers-large'
  )
  assert set(known_files.SHORT_NAMES) <= set(BACKBONES)
  assert set(known_files.SHORT_NAMES.values()) <= set(known_files.KNOWN_REPOSITORIES)
  with pytest.raises(UserError, match='has no organization: .* short names resnet18, resnet34'):
    parse_hub_name('hub:resnet19')


def test_a_name_is_pinned_by_an_earlier_start():
  recorded = 'hub:timm/resnet18.tv_in1k@1a2b:model.safetensors'
  assert pin_hub_name('hub:resnet18', recorded, DIGITS) == f'{recorded}#sha256={DIGITS}'


@pytest.mark.parametrize(
  'pretrained, recorded',
  [('x.pth', 'x.pth'), ('hub:a/b', 'x.pth'), ('x.pth', 'hub:a/b@1:x'), ('hub:a/b', 'hub:a/c@1:x')],
)
def test_other_weights_are_not_pinned(pretrained, recorded):
  assert pin_hub_name(pretrained, recorded, DIGITS) == pretrained
