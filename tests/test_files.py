"""Files appear whole or not at all, under the names of their samples."""

import pytest

from tfinet_mm.files import sample_file, whole_file


def test_a_file_is_written_whole(tmp_path):
    path = tmp_path / 'new' / 'a.txt'
    with whole_file(path) as partial:
        partial.write_text('one')
        assert not path.exists()
        assert partial.suffix == '.txt'
    assert path.read_text() == 'one'
    assert list(path.parent.iterdir()) == [path]


def test_after_an_error_the_old_file_is_still_there(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')

    def write():
        with whole_file(path) as partial:
            partial.write_text('ne')
            raise RuntimeError('half way')

    with pytest.raises(RuntimeError, match='half way'):
        write()
    assert path.read_text() == 'old'
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_do_not_meet(tmp_path):
    path = tmp_path / 'a.txt'
    with whole_file(path) as first, whole_file(path) as second:
        first.write_text('first')
        second.write_text('second')
    assert path.read_text() == 'first'
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_as_long_as_names_can_be(tmp_path):
    path = tmp_path / ('a' * 251 + '.png')
    with whole_file(path) as partial:
        partial.write_text('x')
    assert path.exists()


@pytest.mark.parametrize('name', ['a', 'a.b', 'sub dir/a.b c', 'ünï/日本', 'a.png', 'x_x0_y512'])
def test_names_are_kept(tmp_path, name):
    assert sample_file(tmp_path, name, '.png').as_posix() == f'{tmp_path.as_posix()}/{name}.png'


@pytest.mark.parametrize('name', ['', '..', '../a', 'a/../../b', '/etc/a'])
def test_names_stay_inside(tmp_path, name):
    with pytest.raises(ValueError, match='inside its folder'):
        sample_file(tmp_path, name, '.png')
