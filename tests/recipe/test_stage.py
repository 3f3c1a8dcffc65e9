"""The best checkpoint of a training gets a name of its own."""

import pytest

from tfinet_mm.errors import StageError
from tfinet_mm.recipe.stage import link_best


def test_the_highest_score_counts(tmp_path, checkpoint):
    """Of two best ones that a kill left, the later epoch need not be the better."""
    folder = tmp_path / 'train'
    folder.mkdir()
    for name, score in (('best_Score_epoch_9', 20.0), ('best_Score_epoch_12', 19.5)):
        checkpoint(folder / f'{name}.pth', score)
    checkpoint(folder / 'epoch_14.pth')
    text = link_best(folder, tmp_path / 'new' / 'one.pth')
    assert text == f'the best checkpoint is {folder / "best_Score_epoch_9.pth"}'
    link = tmp_path / 'new' / 'one.pth'
    assert link.is_symlink()
    assert link.resolve() == folder / 'best_Score_epoch_9.pth'
    # The folder may move as a whole.
    moved = tmp_path.rename(tmp_path.with_name(f'{tmp_path.name}-moved'))
    assert (moved / 'new' / 'one.pth').is_file()
    moved.rename(tmp_path)


def test_without_validation_the_newest(tmp_path, checkpoint):
    for epoch in (2, 10):
        checkpoint(tmp_path / f'epoch_{epoch}.pth')
    text = link_best(tmp_path, tmp_path / 'checkpoints' / 'one.pth')
    assert text.startswith('nothing was validated')
    assert (tmp_path / 'checkpoints' / 'one.pth').resolve() == tmp_path / 'epoch_10.pth'


def test_a_copy_where_there_are_no_links(tmp_path, checkpoint, monkeypatch):
    def refuse(*_):
        raise OSError('no links here')

    monkeypatch.setattr('pathlib.Path.symlink_to', refuse)
    checkpoint(tmp_path / 'best_Score_epoch_1.pth', 1.0)
    link_best(tmp_path, tmp_path / 'checkpoints' / 'one.pth')
    copy = tmp_path / 'checkpoints' / 'one.pth'
    assert not copy.is_symlink()
    assert copy.read_bytes() == (tmp_path / 'best_Score_epoch_1.pth').read_bytes()


def test_no_checkpoint_is_an_error(tmp_path):
    with pytest.raises(StageError, match='written no checkpoint to'):
        link_best(tmp_path, tmp_path / 'one.pth')
