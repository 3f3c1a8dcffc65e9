"""Find weights of the package by name."""

import pytest

from tfinet_mm.checkpoints import shipped
from tfinet_mm.checkpoints.shipped import checkpoint_path, is_shipped, is_weights, shipped_names


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of shipped weights in place of the package's; the tests run beside it."""
    weights = tmp_path / 'weights'
    weights.mkdir()
    for name in ('tfinet_small_generated.safetensors', 'tfinet_small_generated.md'):
        (weights / name).write_bytes(b'')
    monkeypatch.setattr(shipped, 'FOLDER', weights)
    monkeypatch.chdir(tmp_path)
    return weights


def test_names_are_those_of_the_files(folder):
    assert shipped_names() == ['tfinet_small_generated']
    assert is_shipped('tfinet_small_generated')
    assert not is_shipped('tfinet_small_generated.md')
    assert checkpoint_path('tfinet_small_generated') == folder / (
        'tfinet_small_generated.safetensors'
    )
    assert is_weights('tfinet_small_generated')
    assert is_weights('a/b.safetensors')
    assert not is_weights('best.pth')


def test_a_name_goes_before_a_file(folder, tmp_path):
    (tmp_path / 'tfinet_small_generated').write_bytes(b'')
    assert checkpoint_path('tfinet_small_generated').parent == folder
    assert str(checkpoint_path('./tfinet_small_generated')) == 'tfinet_small_generated'


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('tfinet_smal_generated', "; did you mean 'tfinet_small_generated'?"),
        ('tfinet_small_generated.pth', "; did you mean 'tfinet_small_generated'?"),
        ('efficientnet_lit0', "; did you mean 'efficientnet_lite0'?"),
        ('nothing alike', 'there is no checkpoint nothing alike'),
        ('runs/tfinet_smal_generated', 'there is no checkpoint runs/tfinet_smal_generated'),
    ],
)
def test_unknown_names_have_the_nearest(folder, name, message):
    with pytest.raises(FileNotFoundError) as caught:
        checkpoint_path(name)
    assert str(caught.value).endswith(message)


def test_an_installation_without_the_weights_says_so(folder):
    with pytest.raises(FileNotFoundError, match=r'are not in this installation: .* from its wheel'):
        checkpoint_path(shipped.DEFAULT)
